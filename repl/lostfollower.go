package repl

import "time"

// A LostFollower is a follower whose link has ended. It may be back on another, and is then among the followers.
type LostFollower struct {
	Peer   Peer      `json:"peer"`
	At     time.Time `json:"at"`     // when the link ended, by this node's clock
	Why    string    `json:"why"`    // it ended
	Left   bool      `json:"left"`   // the follower said that it was leaving: it was closed, given another upstream, or promoted
	Behind int64     `json:"behind"` // bytes of log that it had not said to have applied then
}

// lost describes the follower of f, whose link has ended for the reason err.
func (f *feed) lost(err error) *LostFollower {
	f.mu.Lock()
	applied := f.mu.last.applied
	f.mu.Unlock()
	return &LostFollower{
		Peer: f.link.peer, At: time.Now().UTC().Round(0), Why: err.Error(), Left: anyOf(err, ErrPeerClosed, ErrPeerLeft),
		Behind: max(f.n.log.End()-applied, 0),
	}
}
