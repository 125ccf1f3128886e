package backlog

import (
	"sync/atomic"
	"time"
)

const (
	minChunkBytes = 4 << 10
	maxChunkBytes = 256 << 10

	// bigRecordBytes is the size from which records are copied into a chunk
	// of their own before the lock is taken.
	bigRecordBytes = 64 << 10

	// chunksPerWindow bounds a chunk to a share of the window, because the
	// window gives up whole chunks.
	chunksPerWindow = 16
)

// A chunk is a run of records that is written once, front to back. Readers see
// buf[:n]; the writer fills buf[n:] under the log's lock and then stores n.
type chunk struct {
	base  int64     // offset of buf[0]
	buf   []byte    // len is the capacity for records
	begun time.Time // when the first record went in; the next chunk's bounds the age of this one's

	n    atomic.Int64          // committed bytes
	next atomic.Pointer[chunk] // set once, when this chunk takes no more

	// dropped is set before next is cleared, when the window moves on, so that
	// a reader which holds this chunk does not hold all that followed it.
	dropped atomic.Bool
}

func newChunk(base int64, size int) *chunk {
	return &chunk{base: base, buf: make([]byte, size), begun: time.Now()}
}

func (c *chunk) end() int64 { return c.base + c.n.Load() }

func (c *chunk) room() int { return len(c.buf) - int(c.n.Load()) }

// commit copies records, for which there must be room, and publishes them.
func (c *chunk) commit(records []byte) {
	n := c.n.Load()
	copy(c.buf[n:], records)
	c.n.Store(n + int64(len(records)))
}

// chunkSize returns the size of the chunk that follows one of size last in a
// log whose window is max bytes.
func chunkSize(last int, max int64) int {
	size := min(2*last, maxChunkBytes)
	size = int(min(int64(size), max/chunksPerWindow))
	return size &^ 63
}
