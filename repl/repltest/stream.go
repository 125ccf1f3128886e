package repltest

import (
	"bytes"
	"io"
	"math/bits"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/emberkv/ember/internal/hash"
	"github.com/emberkv/ember/internal/pipe"
)

// A stream is one direction of one connection: what was written and has not been
// read, with the instant at which each piece of it is due. There is no goroutine
// that moves bytes; they lie in the queue until a reader may have them.
//
// Guarded by Network.mu.
type stream struct {
	network   *Network
	direction *direction
	conn      *Conn // nil while the dial is under way
	id        uint64
	turn      int      // see direction.slot
	mangler   mangler  // what happens to the bytes
	recording *capture // nil when nothing is recorded

	queue    []segment     // due in this order
	queued   int           // bytes in the queue
	void     int           // bytes that vanished; they fill the window too
	sent     int64         // bytes written so far
	segments uint64        // of data, so far
	last     time.Duration // when the newest segment is due
	ended    bool          // a fin was sent
	lost     bool          // something vanished: nothing arrives any more
	wasHeld  bool          // as settleLocked found it last

	// The writer's end was closed for reading as well. Its peer learns of that,
	// and gets errors for what it writes, at goneAt.
	gone   bool
	goneAt time.Duration

	readable, writable          sync.Cond
	readDeadline, writeDeadline pipe.Deadline
	writing                     bool // a Write is under way: its bytes stay together
	readClosed                  bool

	timer *time.Timer   // wakes the ends when the next thing is due
	armed time.Duration // when it fires; zero when it is not set
}

// A segment is what one Read returns at most.
type segment struct {
	kind segmentKind
	data []byte // of kind data; not empty
	due  time.Duration
}

type segmentKind uint8

const (
	data segmentKind = iota
	fin              // the writer has ended the stream
	cut              // the segment before it has the last bytes that pass
)

func newStream(n *Network, d *direction, id uint64, turn int) *stream {
	s := &stream{network: n, direction: d, id: id, turn: turn}
	s.mangler.rng = rand.New(rand.NewPCG(n.seed, id))
	s.readable.L = &n.mu
	s.writable.L = &n.mu
	return s
}

// roomLocked returns how many bytes can be written now.
func (s *stream) roomLocked() int { return s.direction.window - s.queued - s.void }

// sendLocked takes p, for which there is room.
func (s *stream) sendLocked(p []byte) {
	at := s.sent
	s.sent += int64(len(p))
	s.direction.stats.Bytes += int64(len(p))
	s.recording.add(&s.network.mu.recorder, p)

	pass := s.mangler.passes(at, len(p))
	s.void += len(p) - pass
	if s.vanishesLocked() || s.readClosed {
		s.void += pass
		return
	}
	p = bytes.Clone(p[:pass])
	s.mangler.flip(p, at, s.direction.faults.flip)
	for len(p) > 0 {
		n := s.mangler.piece(len(p), &s.direction.config)
		s.queueLocked(segment{kind: data, data: p[:n:n], due: s.dueLocked(n)})
		p = p[n:]
	}
	if c := s.mangler.cut; at < c && c <= s.sent {
		s.controlLocked(cut)
	}
}

// vanishesLocked reports whether what is sent now is lost, which is for good.
func (s *stream) vanishesLocked() bool {
	s.lost = s.lost || s.direction.blackhole
	return s.lost
}

// queueLocked puts a segment of data at the end of the queue, or otherwise,
// where faults say so.
func (s *stream) queueLocked(seg segment) {
	s.network.mu.trace += hash.Bytes(s.id^bits.RotateLeft64(uint64(seg.due), 16)^s.segments, seg.data)
	s.segments++
	f := &s.direction.faults
	twice := s.mangler.chance(f.duplicate)
	if before := len(s.queue) - 1; s.mangler.chance(f.swap) && before >= 0 && s.queue[before].kind == data {
		s.queue[before].data, seg.data = seg.data, s.queue[before].data
	}
	s.queue = append(s.queue, seg)
	s.queued += len(seg.data)
	if twice {
		s.queue = append(s.queue, seg)
		s.queued += len(seg.data)
	}
	s.wakeReaderLocked()
}

// controlLocked sends what is not data: it takes its place behind the data.
func (s *stream) controlLocked(kind segmentKind) {
	if s.readClosed {
		return
	}
	s.queue = append(s.queue, segment{kind: kind, due: s.dueLocked(0)})
	s.wakeReaderLocked()
}

// wakeReaderLocked lets the reader look at once if something is there for it,
// else when it is due.
func (s *stream) wakeReaderLocked() {
	if s.readyLocked() {
		s.readable.Broadcast()
		return
	}
	s.armLocked()
}

// heldLocked reports whether nothing arrives for now.
func (s *stream) heldLocked() bool {
	return s.direction.heldLocked() || s.conn != nil && s.conn.stalled
}

// readyLocked reports whether the reader may have the head of the queue.
func (s *stream) readyLocked() bool {
	return len(s.queue) > 0 && !s.heldLocked() && s.queue[0].due <= s.network.now()
}

// takeLocked copies what has arrived into p, of one segment at most. It returns
// false when nothing has arrived, and io.EOF at the end of the stream.
func (s *stream) takeLocked(p []byte) (n int, ok bool, err error) {
	if !s.readyLocked() {
		s.armLocked()
		return 0, false, nil
	}
	head := &s.queue[0]
	if head.kind == fin {
		return 0, true, io.EOF // and stays, for the next Read
	}
	n = copy(p, head.data)
	head.data = head.data[n:]
	s.queued -= n
	if len(head.data) == 0 {
		*head = segment{}
		s.queue = s.queue[1:]
		if len(s.queue) > 0 && s.queue[0].kind == cut {
			s.conn.cutLocked() // those were the last bytes that pass
		}
	}
	s.writable.Broadcast()
	return n, true, nil
}

// goneLocked reports whether the one who reads this stream knows that its
// writer's end was closed.
func (s *stream) goneLocked() bool {
	if !s.gone || s.heldLocked() {
		return false
	}
	if s.goneAt <= s.network.now() {
		return true
	}
	s.armLocked()
	return false
}

// dropLocked forgets what nobody will read.
func (s *stream) dropLocked() {
	s.void += s.queued
	s.queue, s.queued = nil, 0
}

// stopLocked ends the stream's timers.
func (s *stream) stopLocked() {
	s.readDeadline.Stop()
	s.writeDeadline.Stop()
	if s.timer != nil {
		s.timer.Stop()
	}
}
