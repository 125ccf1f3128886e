package repl

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/rdb"
)

// A follower whose log goes on beyond the point at which its history and the upstream's
// have parted need not take a full copy: it can leave that tail, as PROTOCOL.md describes.
// This is the upstream's side of it; repair.go is the follower's.

// Bounds of a repair. What the follower takes is more than what the upstream sends, so
// that versions may differ.
const (
	// maxTailBytes bounds the list of keys that a follower sends.
	maxTailBytes = 1 << 20

	// maxStateBytes bounds the entries that it is sent for them, and maxStateTaken what
	// it takes, with the blocks' own bytes.
	maxStateBytes = 32 << 20
	maxStateTaken = 64 << 20

	// maxPartedBytes bounds the log between the fork and the state, which the follower
	// holds until it is complete, and maxPartedTaken what it holds.
	maxPartedBytes = 64 << 20
	maxPartedTaken = 2 * maxPartedBytes
)

// A parted is the body of Parted: where the two logs have parted, and the sum up to there.
type parted struct {
	at  int64
	sum backlog.Sum
}

const partedBytes = 8 + backlog.SumBytes

func (p parted) append(b []byte) []byte {
	b, _ = p.sum.AppendBinary(appendOffset(b, p.at))
	return b
}

func parseParted(b []byte) (p parted, err error) {
	if len(b) != partedBytes {
		return p, fmt.Errorf("%w: parting of %d bytes", ErrProtocol, len(b))
	}
	if p.at, err = offset(b); err != nil {
		return p, err
	}
	if p.sum, _, err = backlog.CutSum(b[8:], p.at); err != nil {
		return p, fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	return p, nil
}

// A tail is the body of Tail: the keys that a follower asks for, or why it does not.
type tail struct {
	count uint32 // of the keys
	keys  []byte
	why   string // if it is not empty there are no keys
}

func (t *tail) append(b []byte) []byte {
	if t.why != "" {
		return append(append(b, 1), t.why[:min(len(t.why), maxReasonBytes)]...)
	}
	return append(binary.LittleEndian.AppendUint32(append(b, 0), t.count), t.keys...)
}

// maxReasonBytes bounds the text in which a follower says why it takes a full copy.
const maxReasonBytes = 512

func parseTail(b []byte) (*tail, error) {
	switch {
	case len(b) >= 5 && b[0] == 0:
		return &tail{count: binary.LittleEndian.Uint32(b[1:]), keys: b[5:]}, nil
	case len(b) >= 2 && len(b) <= 1+maxReasonBytes && b[0] == 1:
		return &tail{why: printable(string(b[1:]), "")}, nil
	}
	return nil, fmt.Errorf("%w: tail of %d bytes", ErrProtocol, len(b))
}

// A parting is what a feed keeps while it waits for its turn, and then while the follower
// thinks about Parted.
type parting struct {
	machine Repairer
	turn    *turn
	place   int       // that the follower was told last; 0 for none
	told    time.Time // when it was told where the two have parted; zero before that
	at      int64     // where they have
}

// offerRepair gets in line for a repair, if the follower has a tail that it could leave. It
// returns false when there is nothing to offer but a full copy.
func (f *feed) offerRepair() (bool, error) {
	m, ok := f.n.machine.(Repairer)
	if !ok || f.refusal != backlog.AheadOfFork {
		return false, nil
	}
	f.parting = &parting{machine: m, turn: f.n.repairs.ask()}
	f.mu.Lock()
	f.mu.state, f.mu.turn = FollowerOffered, f.parting.turn
	f.mu.Unlock()
	select {
	case <-f.parting.turn.granted:
		return true, f.tellParted()
	default:
		return true, f.tellTurn()
	}
}

// tellTurn tells a follower that waits for its turn its place in the line, when that has
// changed.
func (f *feed) tellTurn() error {
	p := f.parting
	if p == nil || !p.told.IsZero() {
		return nil
	}
	place := f.n.repairs.place(p.turn)
	if place == p.place || place == 0 {
		return nil
	}
	p.place = place
	return f.link.w.write(kindPlace, appendPlace(nil, place), nil)
}

// myTurn returns a channel that is closed when it is the follower's turn, as long as it has
// not been told so.
func (p *parting) myTurn() <-chan struct{} {
	if p.told.IsZero() {
		return p.turn.granted
	}
	return nil
}

// tellParted tells the follower where the two have parted, or offers it a full copy: the log
// has gone on while it waited.
func (f *feed) tellParted() error {
	lineage, end, theirs := f.n.log.Lineage(), f.n.log.End(), f.link.with
	at, ok := lineage.Common(end, theirs.lineage, theirs.end)
	if !ok || lineage.Current != f.link.told {
		f.endParting()
		return f.offerCopy()
	}
	r, err := f.n.log.NewReader(at)
	if err != nil {
		f.notRepaired = "the log does not reach back to where they have parted"
		f.endParting()
		return f.offerCopy()
	}
	f.read(r)
	f.parting.at, f.parting.told = at, time.Now()
	p := parted{at: at, sum: backlog.Sum{From: at}}
	if sum, err := f.n.log.Sum(at); err == nil {
		p.sum = sum
	}
	return f.link.w.write(kindParted, p.append(nil), nil)
}

// endParting gives the turn to the next one.
func (f *feed) endParting() {
	if f.parting == nil {
		return
	}
	f.n.repairs.leave(f.parting.turn)
	f.parting = nil
	f.mu.Lock()
	f.mu.turn = nil
	f.mu.Unlock()
}

// answerTail sends what the follower has asked for, or begins a full copy.
func (f *feed) answerTail(t *tail) error {
	p := f.parting
	if p == nil || p.told.IsZero() {
		return fmt.Errorf("%w: Tail that nobody asked for", ErrProtocol)
	}
	defer f.endParting()
	why := t.why
	if why == "" && f.n.log.End()-p.at > maxPartedBytes {
		why = "too much log since they have parted"
	}
	if why == "" {
		err := f.sendState(p, t)
		if !errors.Is(err, errNoRepair) {
			return err
		}
		why = err.Error()
	}
	f.notRepaired = why
	f.n.opts.Logger.Info("no repair", "peer", f.link.peer.Name, "why", why)
	f.reader.Close()
	f.endParting()
	return f.offerCopy()
}

// errNoRepair is wrapped by errors after which a full copy can take the place of a repair.
var errNoRepair = errors.New("no repair")

// sendState sends the state of the follower's keys, and goes over to streaming from where
// the two have parted.
func (f *feed) sendState(p *parting, t *tail) error {
	var sent Repaired
	footer, err := p.machine.State(t.keys, maxStateBytes, func(b *rdb.Block) error {
		sent.Entries += int64(b.Count)
		sent.Bytes += int64(len(b.Data))
		if err := f.keepPace(len(b.Data)); err != nil {
			return err
		}
		return f.link.w.write(kindBlock, rdb.AppendBlock(nil, &rdb.Block{
			First: b.First, Last: b.Last, Shard: b.Shard, At: b.At, Keys: b.Keys, Count: b.Count}), b.Data)
	})
	switch {
	case err != nil && sent.Bytes == 0 && f.link.because(nil) == nil:
		return fmt.Errorf("%w: %w", errNoRepair, err)
	case err != nil:
		return err
	case footer.Position.History != f.link.told:
		return ErrForked
	}
	from := backlog.Position{History: f.n.log.Lineage().At(p.at).Current, Offset: p.at}
	sent.Peer, sent.From, sent.Position, sent.Keys = f.link.peer, from, footer.Position, int64(t.count)
	f.beginPartial(SyncStatus{From: from, RepairedKeys: sent.Keys, RepairedBytes: sent.Bytes})
	f.n.count(func(c *Counters) { c.Repairs++; c.RepairedKeys += sent.Keys; c.RepairedBytes += sent.Bytes })
	f.n.opts.Logger.Info("repair", "peer", f.link.peer.Name, "from", from, "keys", sent.Keys, "bytes", sent.Bytes)
	if err := f.link.w.write(kindSyncEnd, f.syncEnd(&footer), nil); err != nil {
		return err
	}
	sent.Took = time.Since(p.told)
	call(f.n.opts.Events.Repaired, sent)
	return nil
}
