package repl

import (
	"slices"
	"sync"
	"time"
)

// A board is where sentinels of a group leave each other notes, at every node that they
// watch: so those find each other that know only one node in common.
type board struct {
	mu struct {
		sync.Mutex
		notes []note // by the time of the last posting, the oldest first
	}
}

type note struct {
	Notice
	link *link     // by which it was posted last
	left time.Time // when that ended; zero while it has not
}

const (
	// maxNotices is how many are kept. Of one more the oldest goes.
	maxNotices = 32
	// noticeMemory is for how long one is kept after the end of its link.
	noticeMemory = time.Minute
)

// post puts up body in the name of l's peer, in place of what it has put up before.
func (b *board) post(l *link, body []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.mu.notes = slices.DeleteFunc(b.mu.notes, func(n note) bool { return n.ID == l.peer.ID })
	if len(b.mu.notes) == maxNotices {
		b.mu.notes = slices.Delete(b.mu.notes, 0, 1)
	}
	b.mu.notes = append(b.mu.notes, note{Notice: Notice{l.peer.ID, l.peer.Listen, body}, link: l})
}

// leave notes that l has ended.
func (b *board) leave(l *link) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, n := range b.mu.notes {
		if n.link == l {
			b.mu.notes[i].left = time.Now()
		}
	}
}

// read returns what others than reader have put up.
func (b *board) read(reader NodeID) (notices []Notice) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.mu.notes = slices.DeleteFunc(b.mu.notes, func(n note) bool {
		return !n.left.IsZero() && time.Since(n.left) > noticeMemory
	})
	for _, n := range b.mu.notes {
		if n.ID != reader {
			notices = append(notices, n.Notice)
		}
	}
	return notices
}
