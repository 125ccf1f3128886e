package repl

import (
	"sync"
	"time"

	"github.com/emberkv/ember/backlog"
)

// A SyncState says how far a sync has come.
type SyncState uint8

const (
	// SyncRunning means that the follower has not caught up yet.
	SyncRunning SyncState = iota
	// SyncComplete means that it has.
	SyncComplete
	// SyncBroken means that the link ended before it had.
	SyncBroken
)

var syncStates = [...]string{"running", "complete", "broken"}

// String returns "running", "complete" or "broken".
func (s SyncState) String() string { return word(syncStates[:], s) }

// MarshalText returns what String returns.
func (s SyncState) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what MarshalText wrote, or returns [backlog.ErrText].
func (s *SyncState) UnmarshalText(text []byte) error { return unword(syncStates[:], s, text) }

// A SyncStatus is the account of one sync, a partial resync or a full copy: why
// it was needed, how far it has come, and what it has cost.
type SyncStatus struct {
	Peer   Peer            `json:"peer"` // the other end
	State  SyncState       `json:"state"`
	Reason backlog.Refusal `json:"reason"`          // why a full copy was needed; accepted for a partial resync
	Error  string          `json:"error,omitempty"` // why it broke

	// NotRepaired is why a full copy was needed in place of a repair, when there was a
	// tail to leave.
	NotRepaired string `json:"not_repaired,omitempty"`

	// RepairedKeys is how many keys were concerned by a tail that was left at the
	// beginning of a partial resync, and RepairedBytes the size of the entries that came
	// instead.
	RepairedKeys  int64 `json:"repaired_keys,omitempty"`
	RepairedBytes int64 `json:"repaired_bytes,omitempty"`

	Resumed  bool             `json:"resumed"` // it went on with an earlier, broken copy
	From     backlog.Position `json:"from"`    // where the log of this sync began
	Began    time.Time        `json:"began"`   // by this node's clock
	Took     time.Duration    `json:"took_ns"` // until the follower had caught up, or the link broke, including the pauses of a resumed one; so far, if running
	Keys     int64            `json:"keys"`
	Bytes    int64            `json:"bytes"`     // of entries
	LogBytes int64            `json:"log_bytes"` // of log beside them, or of a partial resync
}

// A syncRecord keeps the account of one sync. It outlives the link, so that a
// node can tell what became of its last one. Its mutex is a leaf.
type syncRecord struct {
	mu struct {
		sync.Mutex
		status     SyncStatus
		progress   Progress // of a full copy
		lastReport time.Time
	}
}

func newSync(s SyncStatus) *syncRecord {
	r := new(syncRecord)
	s.Began = time.Now()
	r.mu.status = s
	r.mu.progress.Peer = s.Peer
	return r
}

// goOn notes that a copy begins at progress p, or goes on from there over a
// new link.
func (r *syncRecord) goOn(resumed bool, p Progress) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := &r.mu.status
	s.Peer, s.State, s.Error, s.Resumed = p.Peer, SyncRunning, "", resumed
	r.mu.progress = p
}

// progressEvery bounds how often Progress is called.
const progressEvery = 20 * time.Millisecond

// advance changes the progress by f and returns it when it is time to report it.
func (r *syncRecord) advance(f func(*Progress)) (report *Progress) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f(&r.mu.progress)
	if time.Since(r.mu.lastReport) < progressEvery {
		return nil
	}
	r.mu.lastReport = time.Now()
	p := r.mu.progress
	return &p
}

// resume begins a partial resync of total bytes of log.
func (r *syncRecord) resume(total int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.progress.LogTotal = total
}

// brought notes that a partial resync has brought n bytes. It returns the
// progress when it is time to report it, or all is there.
func (r *syncRecord) brought(n int64) (report *Progress, all bool) {
	report = r.advance(func(p *Progress) { p.LogBytes = min(n, p.LogTotal) })
	p := r.progress()
	if all = p.LogBytes == p.LogTotal; all {
		report = &p
	}
	return report, all
}

// end notes that the follower has caught up, if err is nil, or why it could
// not. Only the first end counts. A nil record, of a link that got to no sync,
// records nothing.
func (r *syncRecord) end(err error) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	s := &r.mu.status
	if s.State != SyncRunning {
		return
	}
	s.State, s.Took = SyncComplete, time.Since(s.Began)
	if err != nil {
		s.State, s.Error = SyncBroken, err.Error()
	}
}

// progress returns how far a full copy is; the zero Progress for a nil record.
func (r *syncRecord) progress() Progress {
	if r == nil {
		return Progress{}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.mu.progress
}

// shown returns the progress for a Status, which names the peer elsewhere.
func (r *syncRecord) shown() Progress {
	p := r.progress()
	p.Peer = Peer{}
	return p
}

// status returns the account as it stands; nil for a nil record.
func (r *syncRecord) status() *SyncStatus {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	s, p := r.mu.status, &r.mu.progress
	if s.State == SyncRunning {
		s.Took = time.Since(s.Began)
	}
	s.Began = s.Began.UTC().Round(0) // its monotonic part means nothing outside of this process
	s.Keys += p.Keys
	s.Bytes += p.Bytes
	s.LogBytes += p.LogBytes
	return &s
}

// The syncs of a replica are counted, and the newest accounts kept. The upstream's lock guards them.
type syncs struct {
	partials, fulls       int64
	lastPartial, lastFull *syncRecord // nil before the first
	place                 int         // in the upstream's line for a repair; 0 when not in that
}

func (y *syncs) status(s *UpstreamStatus) {
	s.Partials, s.Fulls = y.partials, y.fulls
	s.LastPartial, s.LastFull = y.lastPartial.status(), y.lastFull.status()
	if s.Progress = y.lastFull.shown(); y.place > 0 {
		s.Progress.Place = y.place
	}
}
