package repl

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emberkv/ember/backlog"
)

// A feed serves one follower: it is a reader of the node's log with a
// connection, and for the time of a full copy also a member of a pass. One
// goroutine, run, writes everything that goes out; another, listen, reads the
// acks. Nobody waits for a feed but the pass that it is a member of.
type feed struct {
	n       *Node
	link    *link
	reader  *backlog.Reader // nil until a full copy has begun
	refusal backlog.Refusal // why the copy, if reader was nil
	head    [logHeadBytes]byte

	// reads is reader, for the goroutines that ask whether its log is still the node's.
	reads atomic.Pointer[backlog.Reader]

	// copy is the full copy under way. It belongs to run, like the phase.
	copy    *copying
	started chan *syncStart // from listen: the follower's answer to FullSync

	// What is to be said of a handover, and what the follower has answered.
	orders  chan *part
	part    *part // taken from orders; of run
	asked   atomic.Uint64
	answers chan answer

	// parting is set while the follower waits to leave its tail, or thinks about that.
	parting     *parting
	tails       chan *tail // from listen: its answer
	notRepaired string     // why it takes a full copy in place of that

	from     int64      // where the log on this link began; of run
	lacking  bool       // a partial resync has not brought everything; of run
	caughtUp chan int64 // from listen, once: the follower has caught up, at this offset

	beats  *time.Ticker
	news   <-chan struct{} // closed when there is a new path to tell of
	over   chan struct{}   // closed when run returns
	seq    atomic.Uint64   // of the newest heartbeat
	began  time.Time
	online atomic.Bool // the follower streams: it has said so

	// retired is set when the link is over or replaced; guarded by acks.mu.
	retired bool

	// replaced is closed, after replacedBy was set to why, when the follower has come back on a newer
	// connection: nothing counts any more that is said on this one. Then grace bounds what telling
	// of it may take; Node.mu guards that.
	replaced   chan struct{}
	replacedBy error
	grace      *time.Timer

	mu struct {
		sync.Mutex
		sentAt  time.Time // when heartbeat seq was sent
		rtt     time.Duration
		last    ack
		lastAt  time.Time
		state   FollowerState
		sent    int64       // offset up to which the log was sent, or is being sent
		written int64       // bytes on the connection
		plain   int64       // what they would be without compression
		inLine  *copying    // from joining the passes to the end of the copy
		turn    *turn       // from getting in line for a repair to its end
		sync    *syncRecord // what the follower is given; nil before that is known
		goal    int64       // while streaming: what the follower has to apply to have caught up
		reached bool        // it has
		asked   questions
		asOf    time.Duration // see nearness; never before the first answer
	}
}

func newFeed(n *Node, l *link, reader *backlog.Reader, refusal backlog.Refusal) *feed {
	f := &feed{
		n: n, link: l, refusal: refusal, began: time.Now(),
		started: make(chan *syncStart, 1), tails: make(chan *tail, 1), caughtUp: make(chan int64, 1), over: make(chan struct{}),
		replaced: make(chan struct{}), orders: make(chan *part), answers: make(chan answer, 4),
	}
	f.mu.asOf = never
	f.read(reader)
	return f
}

// read makes r, which may be nil, the reader of what the follower is sent: no more than
// the log shares.
func (f *feed) read(r *backlog.Reader) {
	if r != nil {
		r.Bind()
	}
	f.reader = r
	f.reads.Store(r)
}

// outdated reports whether the node's log was replaced by another one since the feed
// began to read it. The link will end of it, but may take its time if the follower
// hangs; an offset means another thing meanwhile.
func (f *feed) outdated() bool {
	r := f.reads.Load()
	return r != nil && r.Outdated()
}

// isReplaced reports whether the follower has come back on a newer connection.
func (f *feed) isReplaced() bool {
	select {
	case <-f.replaced:
		return true
	default:
		return false
	}
}

// run serves the follower until the link ends, and returns why it did.
func (f *feed) run() error {
	defer close(f.over)
	if err := f.n.enlist(f); err != nil {
		if f.reader != nil {
			f.reader.Close()
		}
		f.link.refuse(err)
		return err
	}
	o := f.n.opts
	f.beats = time.NewTicker(o.Heartbeat)
	f.news = f.n.news()
	f.link.w.between = f.beatIfDue
	call(o.Events.Connected, f.link.peer)

	listening := make(chan struct{})
	go func() { // ends with the link, which run closes before it waits here
		defer close(listening)
		f.link.close(f.listen())
	}()
	err := f.send()
	told := f.sayWhy(err)
	if !told && (f.asked.Load() > 0 || errors.As(err, new(*net.OpError))) {
		f.hearOut(err, listening)
	}
	f.link.close(err)
	<-listening
	f.link.release()
	if !told { // else the follower may have been the first to close, because of it
		err = f.link.because(err)
	}
	err = linkError("serve", f.link.peer, err)

	f.account().end(err)
	f.beats.Stop()
	f.endParting()
	if f.copy != nil {
		f.copy.letGo()
		f.n.passes.leave(f.copy)
	}
	if f.reader != nil {
		f.reader.Close()
	}
	o.Logger.Log(context.Background(), f.n.delist(f, err), "follower disconnected", "peer", f.link.peer.Name, "addr", f.link.peer.Addr, "err", err)
	if call := o.Events.Disconnected; call != nil {
		call(f.link.peer, err)
	}
	return err
}

// hearOut lets listen read on after err has ended the writing, as far as that may be because
// the follower has closed the link: what it has said before, such as why, or that it has taken
// over, may not have been read yet, and nobody would say it again.
func (f *feed) hearOut(err error, listening <-chan struct{}) {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return // it lives, but takes nothing
	}
	patience := time.NewTimer(lastWordPatience)
	defer patience.Stop()
	select {
	case <-listening:
	case <-f.link.closed:
	case <-patience.C:
	case <-f.n.ctx.Done():
	}
}

// sayWhy tells the follower why its link ends, if that is something it should know.
func (f *feed) sayWhy(err error) bool {
	for _, why := range []error{backlog.ErrTrimmed, backlog.ErrReset, ErrForked, ErrReplaced, ErrClosed} {
		if errors.Is(err, why) {
			f.link.refuse(err)
			return true
		}
	}
	return false
}

// send writes all that goes to the follower.
func (f *feed) send() error {
	if err := f.beat(); err != nil { // gives the follower the clock at once
		return err
	}
	if f.reader != nil {
		if err := f.sendContinue(); err != nil {
			return err
		}
	} else if err := f.offer(); err != nil {
		return err
	}
	for {
		sent, err := f.step()
		if err != nil {
			return err
		}
		if err := f.beatIfDue(); err != nil {
			return err
		}
		select {
		case <-f.n.leaving:
			return ErrClosed
		case <-f.replaced:
			return f.replacedBy
		default:
		}
		if !sent {
			if sent, err = f.carryOut(); err != nil {
				return err
			}
		}
		if !sent {
			if err := f.wait(); err != nil {
				return err
			}
		}
	}
}

// offer offers what there is for a follower that cannot go on from where it stands.
func (f *feed) offer() error {
	if offered, err := f.offerRepair(); offered || err != nil {
		return err
	}
	return f.offerCopy()
}

// step sends what is at hand: log first, then what the pass has for a copy. It
// reports whether there was anything.
func (f *feed) step() (bool, error) {
	switch {
	case f.parting != nil:
		return false, nil
	case f.copy != nil:
		return f.stepCopy()
	}
	sent, err := f.sendLog(f.n.log.End())
	if sent && f.lacking {
		report, all := f.account().brought(f.reader.Offset() - f.from)
		f.lacking = !all
		if report != nil {
			call(f.n.opts.Events.Progress, *report)
		}
	}
	return sent, err
}

// wait blocks until there may be something to send.
func (f *feed) wait() error {
	var ready <-chan struct{}
	var blocks <-chan *blockBuffer
	var due <-chan time.Time
	var turn <-chan struct{}
	switch {
	case f.parting != nil:
		turn = f.parting.myTurn()
	case f.copy == nil:
		ready = f.reader.Ready()
	case f.copy.begun:
		if due = f.paused(); due == nil {
			blocks = f.copy.queue
		}
		// With the log held back at a limit, only a block can free it.
		if f.reader.Offset() < f.copy.logLimit(f.n.log, f.reader.Offset()) || f.reader.Offset() == f.n.log.End() {
			ready = f.reader.Ready()
		}
	}
	select {
	case <-ready:
	case f.part = <-f.orders:
	case <-f.news:
		f.news = f.n.news()
		return f.beat()
	case buf := <-blocks:
		f.hold(buf) // the next step sends it
	case <-due:
	case s := <-f.started:
		return f.beginCopy(s)
	case <-turn:
		return f.tellParted()
	case t := <-f.tails:
		return f.answerTail(t)
	case at := <-f.caughtUp:
		f.reportCaughtUp(at)
	case <-f.beats.C:
		if f.copy != nil && !f.copy.begun && time.Since(f.copy.offered) > f.n.opts.SyncTimeout {
			return fmt.Errorf("%w: no answer to FullSync", ErrTimeout)
		}
		if f.parting != nil && !f.parting.told.IsZero() && time.Since(f.parting.told) > f.n.opts.SyncTimeout {
			return fmt.Errorf("%w: no answer to Parted", ErrTimeout)
		}
		if err := f.forked(); err != nil {
			return err
		}
		if err := f.beat(); err != nil {
			return err
		}
		return f.tellTurn()
	case <-f.n.leaving:
		return ErrClosed
	case <-f.replaced:
		return f.replacedBy
	case <-f.link.closed:
		return f.link.cause
	}
	return nil
}

func (f *feed) beatIfDue() error {
	select {
	case <-f.beats.C:
		return f.beat()
	case at := <-f.caughtUp:
		f.reportCaughtUp(at)
	default:
	}
	return nil
}

func (f *feed) beat() error {
	seq, now := f.seq.Add(1), f.n.acks.now()
	h := heartbeat{seq: seq, heard: f.n.standing(), path: f.n.path()}
	h.age, h.linked = f.n.freshness()
	h.few = f.n.hasFew()
	h.clock = f.n.clock()
	h.end = f.n.log.End() // last of all: there may be more here than is vouched for, not less
	f.mu.Lock()
	f.mu.sentAt, f.mu.written, f.mu.plain = time.Now(), f.link.w.written, f.link.w.plain
	f.mu.asked.ask(question{seq, now, h.end}, f.n.opts.MaxLag)
	f.mu.Unlock()
	var b [heartbeatBytes + 4*len(NodeID{})]byte
	return f.link.w.writeFrame(kindHeartbeat, 0, h.append(b[:0]), nil)
}

func (f *feed) setState(s FollowerState) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mu.state = s
}
