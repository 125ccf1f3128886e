package repl

import (
	"slices"
	"time"

	"github.com/emberkv/ember/rdb"
)

// A linkInfo is what a replica knows of its upstream by the present link, or the last one. The
// upstream's lock guards it.
type linkInfo struct {
	peer        Peer
	path        []NodeID // the upstream and the nodes that it follows; nil while the link is down; replaced, never changed
	few         bool     // follow the target, as it said last
	secret      int
	sealed      bool
	compression rdb.Compression

	lastIO          time.Time
	read, readPlain int64
	theirEnd        int64 // of the upstream's log, as last heard

	clockAt time.Time // when clock was heard
	clock   int64     // the writer's, in Unix milliseconds
}

// meet notes that the link l is up.
func (i *linkInfo) meet(l *link) {
	i.peer, i.theirEnd = l.peer, l.with.end
	i.secret, i.sealed, i.compression = l.secret, l.sealed, l.compression()
	i.bytes(l.r, time.Now())
}

// bytes notes what r has read by now.
func (i *linkInfo) bytes(r *frameReader, now time.Time) {
	i.lastIO, i.read, i.readPlain = now, r.read, r.plain
}

// tick notes the writer's clock.
func (i *linkInfo) tick(clock int64, now time.Time) { i.clock, i.clockAt = clock, now }

// now returns the writer's clock: what was last heard, and our own monotonic time since.
func (i *linkInfo) now() int64 {
	if i.clockAt.IsZero() {
		return time.Now().UnixMilli()
	}
	return i.clock + time.Since(i.clockAt).Milliseconds()
}

func (i *linkInfo) status(s *UpstreamStatus) {
	s.Peer, s.Path = i.peer, slices.Clone(i.path)
	s.Secret, s.Sealed, s.Compression = i.secret, i.sealed, i.compression
	s.Read, s.ReadPlain = i.read, i.readPlain
	if s.LastIO = -1; !i.lastIO.IsZero() {
		s.LastIO = time.Since(i.lastIO)
	}
	if !i.clockAt.IsZero() {
		s.ClockSkew = time.Duration(i.clock-i.clockAt.UnixMilli()) * time.Millisecond
	}
}
