package repl

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/internal/giveway"
	"github.com/emberkv/ember/rdb"
)

// logBeside is how much log is sent while one shard is under way (rule B of
// PROTOCOL.md): what the follower has to keep aside.
const logBeside = 32 << 20

// logPerBlock is how much log goes out before the next block, so that a writer
// who is faster than the connection does not stop the copy.
const logPerBlock = 1 << 20

// A copying is one follower's full copy. The feed and the pass share it: the
// pass fills the queue, the feed empties it.
type copying struct {
	feed    *feed
	header  rdb.Header
	offered time.Time
	begun   bool // SyncBegin is sent; of the feed's goroutine

	queue chan *blockBuffer

	// held is the block that was taken off the queue last and may not be sent before
	// due, see pacer; of the feed's goroutine. The pass looks at due, too.
	held  *blockBuffer
	due   atomic.Int64
	timer *time.Timer

	worker giveway.Worker // of the feed's goroutine

	toldPlace int    // what the follower was told last of its place in the line
	toldSeq   uint64 // and behind which heartbeat

	// What the pass has still to bring; guarded by passes.mu.
	done    rdb.ShardSet // shards that the follower has, or that are assigned
	missing int          // shards that are not done

	mu struct {
		sync.Mutex
		// holds has, for each shard that is assigned and has not begun, the
		// log's end at the assignment: no log goes out beyond it (rule A). And
		// for finale the log's end when the last shard was queued.
		holds map[int]int64
		// under has, for each shard that is under way, where the log stood when
		// it began (rule B). It bounds when no more is sent, not up to where:
		// log goes out in whole runs.
		under map[int]int64
	}
}

// finale stands for the footer among the shards of holds.
const finale = -1

// queuedBlocks bounds what a pass encodes ahead of its slowest member.
const queuedBlocks = 4

// hasRoom reports whether the next shard may be meant for c, too.
func (c *copying) hasRoom() bool { return len(c.queue) <= queuedBlocks/2 }

// logLimit returns the offset up to which log may be sent now that it was sent up
// to at: an offset between two records, or at. The log's end is read under the
// lock that hold takes: an assignment that comes later notes an end that is no
// lower.
func (c *copying) logLimit(log *backlog.Log, at int64) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	limit := log.End()
	for _, l := range c.mu.holds {
		limit = min(limit, l)
	}
	for _, begun := range c.mu.under {
		if at-begun >= logBeside {
			limit = min(limit, at)
		}
	}
	return limit
}

// hold keeps the log from being sent beyond its present end until shard has
// begun: whatever offset its capture will stand for, it is not below that.
func (c *copying) hold(shard int, log *backlog.Log) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.holds[shard] = log.End()
}

// sentBlock notes that a block was sent when the log stood at at.
func (c *copying) sentBlock(b *blockBuffer, at int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if b.first {
		delete(c.mu.holds, b.shard)
		c.mu.under[b.shard] = at
	}
	if b.last {
		delete(c.mu.under, b.shard)
	}
}

// offerCopy tells the follower that it needs a full copy, and why.
func (f *feed) offerCopy() error {
	header, err := f.n.passes.header()
	if err != nil {
		return err
	}
	r, err := f.n.log.NewReader(header.Position.Offset)
	if err != nil {
		return err
	}
	f.read(r)
	f.copy = &copying{feed: f, header: header, offered: time.Now(), queue: make(chan *blockBuffer, queuedBlocks)}
	f.copy.mu.holds, f.copy.mu.under = make(map[int]int64), make(map[int]int64)
	f.link.told = header.Position.History
	f.setState(FollowerOffered)
	f.n.count(func(c *Counters) { c.Refusals[f.refusal]++ })
	return f.link.w.write(kindFullSync, []byte{byte(f.refusal)}, rdb.AppendHeader(nil, header))
}

// beginCopy answers the follower's SyncStart and joins the passes.
func (f *feed) beginCopy(s *syncStart) error {
	c := f.copy
	if c == nil || c.begun {
		return fmt.Errorf("%w: SyncStart that nobody asked for", ErrProtocol)
	}
	from, resumed := c.header.Position, false
	if s.resume && s.shards == c.header.Shards && s.from.History == from.History {
		if r, err := f.n.log.NewReader(s.from.Offset); err == nil {
			f.read(r)
			from, resumed, c.done = s.from, true, s.done
		}
	}
	c.missing = 0
	for i := range c.header.Shards {
		if !c.done.Has(i) {
			c.missing++
		}
	}
	if c.missing == 0 {
		c.hold(finale, f.n.log)
	}
	c.begun = true
	f.willSend(from.Offset)
	f.beginSync(SyncStatus{Reason: f.refusal, NotRepaired: f.notRepaired, From: from, Resumed: resumed})
	share := int64(c.missing) // a resumed copy brings only what is missing
	f.account().advance(func(p *Progress) {
		p.ShardsTotal = c.missing
		p.KeysTotal = c.header.Keys * share / int64(c.header.Shards)
		p.BytesTotal = c.header.Bytes * share / int64(c.header.Shards)
	})
	f.mu.Lock()
	f.mu.state, f.mu.inLine = FollowerCopying, c
	f.mu.Unlock()
	f.n.count(func(c *Counters) { c.FullSyncs++ })
	f.n.tellFullSync(FullSync{
		Peer: f.link.peer, Reason: f.refusal, NotRepaired: f.notRepaired, Keys: c.header.Keys, Bytes: c.header.Bytes, Resumed: resumed,
	})
	if err := f.link.w.write(kindSyncBegin, appendPosition([]byte{flag(resumed)}, from), nil); err != nil {
		return err
	}
	c.toldSeq = f.seq.Load()
	return f.n.passes.join(c)
}

// stepCopy sends some log and at most one block.
func (f *feed) stepCopy() (bool, error) {
	if !f.copy.begun {
		return false, nil
	}
	begin := f.reader.Offset()
	for f.reader.Offset()-begin < logPerBlock {
		sent, err := f.sendLog(f.copy.logLimit(f.n.log, f.reader.Offset()))
		if err != nil {
			return false, err
		}
		if !sent {
			break
		}
	}
	if n := f.reader.Offset() - begin; n > 0 {
		f.report(func(p *Progress) { p.LogBytes += n })
	}
	if err := f.tellPlace(); err != nil {
		return false, err
	}
	if buf := f.takeBlock(); buf != nil {
		return true, f.sendBlock(buf)
	}
	return f.reader.Offset() > begin, nil
}

// tellPlace tells a follower that waits in line its place there when that has changed,
// at most once for each heartbeat.
func (f *feed) tellPlace() error {
	c, seq := f.copy, f.seq.Load()
	if seq == c.toldSeq {
		return nil
	}
	c.toldSeq = seq
	place := f.n.passes.place(c)
	if place == c.toldPlace || place == 0 { // the first block says as much
		return nil
	}
	c.toldPlace = place
	return f.link.w.write(kindPlace, appendPlace(nil, place), nil)
}

// sendBlock sends a block, or the end of the copy.
func (f *feed) sendBlock(buf *blockBuffer) error {
	if buf.footer != nil {
		return f.endCopy(buf.footer)
	}
	var err error
	if packed := &buf.packed[f.link.packs]; len(packed.frames) > 0 {
		err = f.link.w.writePacked(kindBlock, buf.body, packed)
	} else {
		err = f.link.w.write(kindBlock, nil, buf.body)
	}
	if err == nil {
		f.copy.sentBlock(buf, f.reader.Offset())
	}
	keys, bytes, last := int64(buf.count), int64(buf.bytes), buf.last
	f.n.passes.release(buf)
	f.n.passes.poke()
	if err != nil {
		return err
	}
	f.copy.worker.GiveWay() // a connection that is never full would not let the thread rest
	f.mu.Lock()
	f.mu.written, f.mu.plain = f.link.w.written, f.link.w.plain
	f.mu.Unlock()
	f.report(func(p *Progress) {
		p.Keys += keys
		p.Bytes += bytes
		if last {
			p.Shards++
		}
	})
	return nil
}

// report changes the progress by change, and tells the program when it is time to.
func (f *feed) report(change func(*Progress)) {
	if p := f.account().advance(change); p != nil {
		call(f.n.opts.Events.Progress, *p)
	}
}

// awaitShared blocks while the log does not share what a copy needs that ends at offset end:
// the journal of a machine that is kept on disk may be behind the state that was copied.
func (f *feed) awaitShared(end int64) error {
	if at := f.n.log.End(); at < end {
		return fmt.Errorf("repl: log ends at %d, before the copy's end at %d", at, end)
	}
	select {
	case <-f.reader.Ready():
	case <-f.beats.C:
		return f.beat()
	case <-f.n.leaving:
		return ErrClosed
	case <-f.replaced:
		return f.replacedBy
	case <-f.link.closed:
		return f.link.cause
	}
	return nil
}

// endCopy sends the log up to the footer's offset, then the footer, and goes
// over to streaming.
func (f *feed) endCopy(footer *rdb.Footer) error {
	begin := f.reader.Offset()
	for f.reader.Offset() < footer.Position.Offset {
		sent, err := f.sendLog(footer.Position.Offset)
		if err != nil {
			return err
		}
		if !sent {
			if err := f.awaitShared(footer.Position.Offset); err != nil {
				return err
			}
		}
	}
	if at := f.reader.Offset(); at != footer.Position.Offset {
		return fmt.Errorf("repl: log was sent up to %d, beyond the copy's end at %d", at, footer.Position.Offset)
	}
	if footer.Position.History != f.link.told {
		return ErrForked
	}
	f.copy.letGo()
	f.copy = nil
	f.mu.Lock()
	f.mu.state, f.mu.inLine, f.mu.goal = FollowerStreaming, nil, footer.Position.Offset
	f.mu.Unlock()
	if err := f.link.w.write(kindSyncEnd, f.syncEnd(footer), nil); err != nil {
		return err
	}
	f.account().advance(func(p *Progress) { p.LogBytes += footer.Position.Offset - begin })
	call(f.n.opts.Events.Progress, f.account().progress())
	done := f.account().status()
	f.n.tellSynced(Synced{
		Peer: f.link.peer, Position: footer.Position, Keys: footer.Keys,
		Bytes: done.Bytes, LogBytes: done.LogBytes, Took: done.Took,
	})
	return nil
}

// syncEnd returns the body of SyncEnd.
func (f *feed) syncEnd(footer *rdb.Footer) []byte {
	at := footer.Position.Offset
	sum, err := f.n.log.Sum(at)
	if err != nil {
		sum = backlog.Sum{From: at} // which says nothing
	}
	body, _ := sum.AppendBinary(rdb.AppendFooter(nil, *footer))
	return body
}

// header asks the machine for the shape of its table, by a dump without shards.
func (p *passes) header() (rdb.Header, error) {
	var h headerOnly
	ctx, cancel := context.WithTimeout(p.node.ctx, p.node.opts.SyncTimeout)
	defer cancel()
	if err := p.node.machine.Dump(ctx, &h); err != nil {
		return rdb.Header{}, err
	}
	return h.header, nil
}

// headerOnly is a BlockWriter that wants no shards.
type headerOnly struct{ header rdb.Header }

func (h *headerOnly) Begin(header rdb.Header) error { h.header = header; return nil }
func (h *headerOnly) Next() (int, bool)             { return 0, false }
func (h *headerOnly) WriteBlock(*rdb.Block) error   { return nil }
func (h *headerOnly) End(rdb.Footer) error          { return nil }

func appendOffset(b []byte, n int64) []byte {
	return binary.LittleEndian.AppendUint64(b, uint64(n))
}
