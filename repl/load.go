package repl

import (
	"fmt"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/rdb"
)

// A loading is a full copy on the replica's side. It outlives the connection,
// so that the next one can go on with it.
type loading struct {
	loader rdb.Loader
	header rdb.Header
	sync   *syncRecord // set with the loader

	broken bool // no connection feeds it; from and done say where to go on
	from   backlog.Position
	done   rdb.ShardSet

	progress Progress
	open     map[int]Progress // keys and bytes of the shards under way
}

// interrupted forgets the shards that are not complete.
func (l *loading) interrupted() {
	if l.loader == nil || l.broken {
		return
	}
	l.from, l.done = l.loader.Interrupted()
	l.broken = true
	l.progress.Place = 0
	for _, lost := range l.open {
		l.progress.Keys -= lost.Keys
		l.progress.Bytes -= lost.Bytes
	}
	clear(l.open)
	l.progress.Shards = 0
	for i := range l.header.Shards {
		if l.done.Has(i) {
			l.progress.Shards++
		}
	}
	l.sync.advance(func(p *Progress) { *p = l.progress })
}

// resumes reports whether the copy can go on with what header describes.
func (l *loading) resumes(h rdb.Header) bool {
	return l.broken && l.header.Seed == h.Seed && l.header.Shards == h.Shards &&
		l.from.History == h.Position.History
}

// dropLoad gives up the copy under way, if there is one.
func (u *upstream) dropLoad() {
	if u.load != nil && u.load.loader != nil {
		u.load.loader.Abort()
	}
	u.load = nil
}

// considerCopy decides whether this node gives up what it has for a full copy,
// and asks for it, from where an earlier one broke if there was one.
func (s *session) considerCopy(body []byte) error {
	if len(body) == 0 || backlog.Refusal(body[0]) == backlog.Accepted {
		return fmt.Errorf("%w: FullSync without a reason", ErrProtocol)
	}
	if s.phase == phaseRepairing {
		s.repairing, s.notRepaired = nil, "the upstream cannot"
	}
	header, err := rdb.ParseHeader(body[1:])
	if err != nil {
		return fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	if err := s.up.admits(header, s.to); err != nil {
		s.link.refuse(err)
		return err
	}
	s.reason = backlog.Refusal(body[0])
	if s.up.load != nil && !s.up.load.resumes(header) {
		s.up.dropLoad()
	}
	if err := s.up.dropState(header, s.reason); err != nil {
		return linkError("load", s.link.peer, err)
	}
	ask := syncStart{shards: header.Shards}
	if l := s.up.load; l != nil {
		ask = syncStart{resume: true, from: l.from, shards: header.Shards, done: l.done}
		l.header = header // says where the log begins if the upstream cannot resume
	}
	if s.up.load == nil {
		s.up.load = &loading{header: header}
	}
	s.phase = phaseAgreement
	return s.link.say(kindSyncStart, ask.append(nil))
}

// tail returns how many bytes of this node's log are not in one with lineage next that
// ends at offset at: what was written here after the two had parted. If both have other
// bytes at the same place, it is all that the log holds.
func (u *upstream) tail(next backlog.Lineage, at int64, why backlog.Refusal) int64 {
	log := u.node.log
	mine, end := log.Lineage(), log.End()
	if why == backlog.OtherBytes {
		return end - log.Window().First
	}
	common, _ := mine.Common(end, next, at)
	return max(end-common, 0)
}

// lost notes that a tail of that many bytes is gone.
func (u *upstream) lost(bytes int64) {
	if bytes == 0 {
		return
	}
	u.node.count(func(c *Counters) { c.LostTails++; c.LostBytes += bytes })
	u.node.opts.Logger.Warn("lost tail", "bytes", bytes)
}

// dropState empties the machine, if the program has asked for it, and if there
// is no copy under way that was begun by emptying it.
func (u *upstream) dropState(next rdb.Header, why backlog.Refusal) error {
	d, ok := u.node.machine.(Dropped)
	if !ok || !u.node.opts.DropFirst || u.load != nil || why == backlog.OtherBytes {
		return nil // of other bytes nothing is dropped that was not reported
	}
	u.mu.Lock()
	u.mu.ready = false
	u.mu.Unlock()
	lost := u.tail(next.Lineage, next.Position.Offset, why)
	err := d.Drop(next)
	if err == nil {
		u.lost(lost)
	}
	return err
}

// admits returns an error when this node holds data and the upstream's are not
// of its kind. It goes by the header: what the upstream has said of itself in its Welcome
// may be out of date.
func (u *upstream) admits(header rdb.Header, to *target) error {
	if isEmpty(u.node.machine) {
		return nil
	}
	log, o := u.node.log, u.node.opts
	u.mu.Lock()
	allow := to.allow
	u.mu.Unlock()
	if _, ok := log.Lineage().Common(log.End(), header.Lineage, header.Position.Offset); ok {
		return nil
	}
	switch {
	case header.Keys == 0 && !o.AllowEmpty && allow&AllowEmpty == 0:
		return wipeError{}
	case header.Keys != 0 && !o.AllowForeign && allow&AllowForeign == 0:
		return ErrForeign
	}
	return nil
}

// beginCopy starts the loader, or goes on with the one there is.
func (s *session) beginCopy(body []byte) error {
	if len(body) != 1+positionBytes || body[0] > 1 {
		return fmt.Errorf("%w: SyncBegin of %d bytes", ErrProtocol, len(body))
	}
	from, err := parsePosition(body[1:])
	if err != nil {
		return err
	}
	l, resumed := s.up.load, body[0] == 1
	switch {
	case resumed && (l.loader == nil || from != l.from):
		return fmt.Errorf("%w: copy resumed at %s, which was not asked for", ErrProtocol, from)
	case !resumed && from != l.header.Position:
		return fmt.Errorf("%w: copy begins at %s, announced at %s", ErrProtocol, from, l.header.Position)
	}
	if !resumed {
		if l.loader != nil {
			l.loader.Abort()
			l.loader = nil
		}
		l.progress, l.open = Progress{ShardsTotal: l.header.Shards}, make(map[int]Progress)
		if l.loader, err = s.up.node.machine.Load(l.header); err != nil {
			return linkError("load", s.link.peer, err)
		}
	}
	l.broken = false
	l.progress.Peer = s.link.peer
	l.progress.KeysTotal, l.progress.BytesTotal = l.header.Keys, l.header.Bytes
	if !resumed {
		l.sync = newSync(SyncStatus{Peer: s.link.peer, Reason: s.reason, NotRepaired: s.notRepaired, From: from})
	}
	l.sync.goOn(resumed, l.progress)
	s.phase, s.sync = phaseLoading, l.sync
	s.at, s.from = from, from.Offset
	s.up.mu.Lock()
	s.up.mu.syncs.fulls++
	s.up.mu.state, s.up.mu.syncs.lastFull = LinkCopying, l.sync
	s.up.mu.Unlock()
	s.up.node.tellFullSync(FullSync{
		Peer: s.link.peer, Reason: s.reason, NotRepaired: s.notRepaired, Keys: l.header.Keys, Bytes: l.header.Bytes, Resumed: resumed,
	})
	return nil
}

// heardPlace notes where in its upstream's line this node waits for the copy.
func (s *session) heardPlace(body []byte) error {
	place, err := parsePlace(body)
	if err != nil {
		return err
	}
	s.up.load.progress.Place = place
	s.report()
	return nil
}

func (s *session) loadBlock(body []byte) error {
	l := s.up.load
	b, err := rdb.ParseBlock(body)
	if err != nil {
		return linkError("load", s.link.peer, err)
	}
	if err := l.loader.Block(b); err != nil {
		s.up.dropLoad() // what was taken in so far is not to be trusted
		return linkError("load", s.link.peer, err)
	}
	s.up.working()
	l.account(b)
	s.report()
	return nil
}

// account adds a block to the progress.
func (l *loading) account(b *rdb.Block) {
	p, shard := &l.progress, l.open[b.Shard]
	p.Place = 0
	p.Keys += int64(b.Count)
	p.Bytes += int64(len(b.Data))
	shard.Keys += int64(b.Count)
	shard.Bytes += int64(len(b.Data))
	l.open[b.Shard] = shard
	if b.Last {
		p.Shards++
		delete(l.open, b.Shard)
	}
}

// report publishes the progress.
func (s *session) report() {
	l := s.up.load
	s.up.mu.Lock()
	s.up.mu.link.bytes(s.link.r, time.Now())
	s.up.mu.Unlock()
	if p := l.sync.advance(func(p *Progress) { *p = l.progress }); p != nil {
		call(s.up.node.opts.Events.Progress, *p)
	}
}

func (s *session) loadLog(body []byte) error {
	at, clock, records, err := parseLog(body)
	if err != nil {
		return err
	}
	if at != s.at.Offset {
		return fmt.Errorf("%w: log at %d where %d was due", ErrProtocol, at, s.at.Offset)
	}
	s.up.heard(clock, at+int64(len(records)), s.link.r)
	if err := s.up.load.loader.Records(at, records); err != nil {
		s.up.dropLoad()
		return linkError("load", s.link.peer, fmt.Errorf("records at %s: %w", s.at, err))
	}
	s.at.Offset += int64(len(records))
	s.up.load.progress.LogBytes += int64(len(records))
	return nil
}

// commit commits the copy, which may take seconds when there is much to put in order,
// and acks meanwhile, so that the upstream does not take that for silence.
func (s *session) commit(loader rdb.Loader, footer rdb.Footer) error {
	return s.busy(func() error { return loader.Commit(footer) })
}

// busy runs f, which may take long, and acks meanwhile.
func (s *session) busy(f func() error) error {
	done := make(chan error, 1)
	go func() { done <- f() }() // waited for below, whatever happens
	beats := time.NewTicker(max(s.link.with.heartbeat, minHeartbeat))
	defer beats.Stop()
	for {
		select {
		case err := <-done:
			return err
		case <-beats.C:
			// If the link breaks the copy stands, and the next link goes on from it.
			a := ack{echo: s.echo, loading: true, heard: s.up.node.standing()}
			s.link.say(kindAck, a.append(nil))
		}
	}
}

func parseSyncEnd(body []byte) (footer rdb.Footer, sum backlog.Sum, err error) {
	if len(body) != rdb.FooterBytes+backlog.SumBytes {
		return footer, sum, fmt.Errorf("%w: SyncEnd of %d bytes", ErrProtocol, len(body))
	}
	if footer, err = rdb.ParseFooter(body[:rdb.FooterBytes]); err != nil {
		return footer, sum, err
	}
	if sum, _, err = backlog.CutSum(body[rdb.FooterBytes:], footer.Position.Offset); err != nil {
		return footer, sum, fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	return footer, sum, nil
}

// endCopy verifies the copy and puts it in place of the old state.
func (s *session) endCopy(body []byte) error {
	footer, sum, err := parseSyncEnd(body)
	if err != nil {
		return linkError("load", s.link.peer, err)
	}
	if footer.Position != s.at {
		return fmt.Errorf("%w: copy ends at %s, log was sent up to %s", ErrProtocol, footer.Position, s.at)
	}
	l := s.up.load
	l.progress.Place = 0
	lost := s.up.tail(l.header.Lineage, footer.Position.Offset, s.reason)
	if d, ok := l.loader.(rdb.Doubter); ok && s.reason == backlog.OtherBytes {
		d.Doubt()
	}
	if err := s.commit(l.loader, footer); err != nil {
		s.up.dropLoad()
		return linkError("load", s.link.peer, fmt.Errorf("%w: %w", ErrDiverged, err))
	}
	s.up.load, s.up.unrepaired = nil, nil
	if err := s.up.node.log.SetSum(footer.Position.Offset, sum); err != nil {
		return linkError("load", s.link.peer, err) // the log was replaced meanwhile
	}
	s.up.lost(lost)
	s.link.with.lineage = l.header.Lineage // newer than that of Welcome
	s.share()
	s.at = s.up.node.log.Position()
	s.goal = s.at.Offset
	l.sync.advance(func(p *Progress) { *p = l.progress })
	call(s.up.node.opts.Events.Progress, l.progress)
	s.up.node.tellSynced(Synced{
		Peer: s.link.peer, Position: s.at, Keys: footer.Keys,
		Bytes: l.progress.Bytes, LogBytes: l.progress.LogBytes, Took: l.sync.status().Took, Lost: lost,
	})
	s.up.working()
	return s.stream(true)
}
