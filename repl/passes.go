package repl

import (
	"sync"

	"github.com/emberkv/ember/internal/pack"
)

// passes makes the full copies. All followers that need one are members of the
// same pass over the shards: each shard is captured once and each block encoded
// once for all of them, however many they are. A follower that comes later joins at the next shard and
// gets what it missed when the pass comes round again; one that has everything
// leaves. At most Options.MaxSyncs are members, the rest wait in turn.
//
// A pass goes at the pace of its slowest member for the length of one shard:
// a member whose queue is filled is passed over when the next shard is handed
// out. One that takes no block for Options.SyncTimeout is put out.
type passes struct {
	node *Node
	free chan *blockBuffer

	pacer pacer

	encoders pack.Encoders // as many as there are dumping goroutines, while a pass runs

	mu struct {
		sync.Mutex
		running bool
		waiting []*copying
		members []*copying
		cursor  int           // the shard after the one handed out last
		idle    int           // goroutines that wait for changed
		changed chan struct{} // closed and renewed when there may be something to hand out
	}
}

func newPasses(n *Node) *passes {
	p := &passes{node: n, free: make(chan *blockBuffer, freeBuffers)}
	p.pacer.rate, p.pacer.now = n.opts.SyncRate, n.acks.now
	p.mu.changed = make(chan struct{})
	return p
}

// poke tells those who wait for something to hand out to look again.
func (p *passes) poke() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pokeLocked()
}

func (p *passes) pokeLocked() {
	if p.mu.idle > 0 {
		close(p.mu.changed)
		p.mu.changed = make(chan struct{})
	}
}

// join makes c a member of the pass under way, or of a new one, or puts it in
// line.
func (p *passes) join(c *copying) error {
	p.mu.Lock()
	p.mu.waiting = append(p.mu.waiting, c)
	run := !p.mu.running
	p.mu.running = true
	p.mu.Unlock()
	if run && !p.node.start(p.run) {
		return ErrClosed
	}
	p.poke() // a pass may be waiting for members that take nothing
	return nil
}

// leave ends c's membership. Blocks in its queue are let go.
func (p *passes) leave(c *copying) {
	p.mu.Lock()
	p.removeLocked(c)
	p.mu.Unlock()
	p.poke()
	for {
		select {
		case b := <-c.queue:
			if b.footer == nil {
				p.release(b)
			}
		default:
			return
		}
	}
}

func (p *passes) removeLocked(c *copying) {
	p.mu.members = without(p.mu.members, c)
	p.mu.waiting = without(p.mu.waiting, c)
}

func without(list []*copying, c *copying) []*copying {
	kept := make([]*copying, 0, len(list))
	for _, m := range list {
		if m != c {
			kept = append(kept, m)
		}
	}
	return kept
}

// admitLocked lets followers in from the line while there is room.
func (p *passes) admitLocked() {
	for len(p.mu.waiting) > 0 && len(p.mu.members) < p.node.opts.MaxSyncs {
		c := p.mu.waiting[0]
		p.mu.waiting = p.mu.waiting[1:]
		p.mu.members = append(p.mu.members, c)
	}
}

// place returns c's place in the line, from 1; 0 when it is a member or done.
func (p *passes) place(c *copying) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, w := range p.mu.waiting {
		if w == c {
			return i + 1
		}
	}
	return 0
}

// run makes passes until no follower is left that needs one.
func (p *passes) run() {
	for {
		p.mu.Lock()
		p.admitLocked()
		if len(p.mu.members) == 0 {
			p.mu.running = false
			p.mu.Unlock()
			p.encoders.Close()
			return
		}
		p.mu.Unlock()
		w := &pass{passes: p, jobs: make(map[int]*job)}
		if err := p.node.machine.Dump(p.node.ctx, w); err != nil {
			p.fail(err)
		}
	}
}

// fail closes the links of all members: their copy cannot go on.
func (p *passes) fail(err error) {
	p.mu.Lock()
	members := p.mu.members
	p.mu.members = nil
	p.mu.Unlock()
	for _, c := range members {
		c.feed.link.close(linkError("dump", c.feed.link.peer, err))
	}
}
