package backlog

import (
	"sync/atomic"
	"time"

	"github.com/emberkv/ember/internal/hugepage"
)

const (
	minChunkBytes = 4 << 10
	maxChunkBytes = 256 << 10

	// bigRecordBytes is the size from which records are copied into a chunk
	// of their own before the lock is taken.
	bigRecordBytes = 64 << 10

	// chunksPerWindow bounds a chunk to a share of the window, in bytes and in
	// time, because the window gives up whole chunks.
	chunksPerWindow = 16

	// ownChunkShare is the share of a chunk's size beyond which records that
	// do not fit the newest chunk get one of just their size. What remains of
	// the newest is used afterwards, so that large records between small ones
	// do not leave a log full of half-empty chunks.
	ownChunkShare = 4
)

// A chunk is a run of records that is written once, front to back. Readers see
// buf[:n]; the writer fills buf[n:] under the log's lock and then stores n. A
// chunk that was left before it was full may share its array with a later one,
// which begins behind n.
type chunk struct {
	base   int64     // offset of buf[0]
	buf    []byte    // len is the capacity for records
	begun  time.Time // when the first record went in
	newest time.Time // when the last one did; zero in a log not bounded by age
	sum    Sum       // up to base, if summed; guarded by the mutex of the contents' sums
	summed bool

	n    atomic.Int64          // committed bytes
	next atomic.Pointer[chunk] // set once, when this chunk takes no more

	// dropped is set before next is cleared, when the window moves on, so that
	// a reader which holds this chunk does not hold all that followed it.
	dropped atomic.Bool
}

func (c *chunk) end() int64 { return c.base + c.n.Load() }

// rest is the part of buf that has not been written.
func (c *chunk) rest() []byte { return c.buf[c.n.Load():] }

// commit copies records, for which there must be room, and publishes them.
func (c *chunk) commit(records []byte) {
	n := c.n.Load()
	copy(c.buf[n:], records)
	c.n.Store(n + int64(len(records)))
}

// newBuffer returns memory for a chunk of n bytes, on large pages if that is much. What has
// left the window becomes other memory of the process in time: one part on small pages would
// soon be all of it.
func newBuffer(n int) []byte {
	buf := make([]byte, n)
	if n >= bigRecordBytes {
		hugepage.Advise(buf)
	}
	return buf
}

// drop cuts c off the chain and returns the chunk that followed.
func (c *chunk) drop() *chunk {
	next := c.next.Load()
	c.dropped.Store(true)
	c.next.Store(nil)
	return next
}

// chunkSize returns the size of the chunk that follows one of size last, 0 for
// none, in a log whose window is max bytes. It is 0 in a window so small that
// each record has to be given up alone.
func chunkSize(last int, max int64) int {
	size := min(int64(2*last), maxChunkBytes)
	if last == 0 {
		size = minChunkBytes
	}
	return int(min(size, max/chunksPerWindow)) &^ 63
}
