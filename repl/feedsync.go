package repl

import (
	"time"

	"github.com/emberkv/ember/backlog"
)

func (f *feed) sendContinue() error {
	from := backlog.Position{History: f.n.log.Position().History, Offset: f.reader.Offset()}
	f.beginPartial(SyncStatus{From: from})
	var at [8]byte
	return f.link.w.write(kindContinue, appendOffset(at[:0], from.Offset), nil)
}

// beginPartial goes over to streaming from where s begins.
func (f *feed) beginPartial(s SyncStatus) {
	lacking := f.n.log.End() - s.From.Offset
	f.willSend(s.From.Offset)
	f.beginSync(s)
	f.account().resume(lacking)
	f.lacking = lacking > 0
	f.mu.Lock()
	f.mu.state, f.mu.goal = FollowerStreaming, s.From.Offset+lacking
	f.mu.Unlock()
	f.n.count(func(c *Counters) { c.PartialSyncs++ })
	f.n.tellPartialSync(PartialSync{Peer: f.link.peer, From: s.From, Bytes: lacking})
}

// beginSync begins the account of a sync, which s describes.
func (f *feed) beginSync(s SyncStatus) {
	s.Peer = f.link.peer
	record := newSync(s)
	f.from = s.From.Offset
	f.mu.Lock()
	first := f.mu.sync == nil
	f.mu.sync = record
	f.mu.Unlock()
	if first {
		f.n.opts.Logger.Info("follower connected", "peer", s.Peer.Name, "addr", s.Peer.Addr, "compression", f.link.compression())
	}
	f.n.mu.Lock()
	defer f.n.mu.Unlock()
	delete(f.n.mu.vain, s.Peer.ID)
	if s.Reason == backlog.Accepted {
		f.n.mu.lastPartial = record
	} else {
		f.n.mu.lastFull = record
	}
}

// account returns the account of the sync on this link; nil before there is one.
func (f *feed) account() *syncRecord {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.mu.sync
}

// reportCaughtUp tells the program that the follower has caught up.
func (f *feed) reportCaughtUp(at int64) {
	f.n.tellCaughtUp(CaughtUp{
		Peer: f.link.peer, Position: backlog.Position{History: f.link.told, Offset: at},
		Bytes: at - f.from, Took: time.Since(f.began),
	})
}
