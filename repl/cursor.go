package repl

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"

	"github.com/emberkv/ember/backlog"
)

// A cursor reads the fields of a body one after the other. When one is not there, or not
// valid, it and all behind it are zero, and end says so.
type cursor struct {
	b   []byte
	err error
}

func (c *cursor) fail(what string) {
	if c.err == nil {
		c.err = fmt.Errorf("%w: %s in %d bytes", ErrProtocol, what, len(c.b))
	}
	c.b = nil
}

// take returns the next n bytes, or n zeros: each of the fields is small.
func (c *cursor) take(n int) []byte {
	if len(c.b) < n {
		c.fail("a field is cut off")
		return make([]byte, n)
	}
	field := c.b[:n]
	c.b = c.b[n:]
	return field
}

func (c *cursor) byte() byte     { return c.take(1)[0] }
func (c *cursor) uint16() int    { return int(binary.LittleEndian.Uint16(c.take(2))) }
func (c *cursor) uint32() uint32 { return binary.LittleEndian.Uint32(c.take(4)) }
func (c *cursor) uint64() uint64 { return binary.LittleEndian.Uint64(c.take(8)) }
func (c *cursor) id() NodeID     { return NodeID(c.take(len(NodeID{}))) }

// below returns the next byte, which must be less than limit.
func (c *cursor) below(limit byte) byte {
	v := c.byte()
	if v >= limit {
		c.fail(fmt.Sprintf("%d where less than %d was due", v, limit))
		return 0
	}
	return v
}

func (c *cursor) flag() bool { return c.below(2) == 1 }

// offset returns an i64, which is never negative.
func (c *cursor) offset() int64 {
	v := c.uint64()
	if v > math.MaxInt64 {
		c.fail("a negative number")
		return 0
	}
	return int64(v)
}

// duration returns a duration of whole nanoseconds, which is never negative.
func (c *cursor) duration() time.Duration { return time.Duration(c.offset()) }

// address returns a text with one byte before it that says its length, without what could
// not be printed.
func (c *cursor) address() string { return string(c.take(int(c.byte()))) }

// name is address for one of at most MaxNameBytes.
func (c *cursor) name() string {
	n := c.byte()
	if n > MaxNameBytes {
		c.fail("a long name")
		return ""
	}
	return string(c.take(int(n)))
}

// bytes returns a copy of as many bytes as the two before them say, at most limit.
func (c *cursor) bytes(limit int) []byte {
	n := c.uint16()
	if n > limit || n > len(c.b) {
		c.fail(fmt.Sprintf("%d bytes, of which at most %d may be", n, limit))
		return nil
	}
	if n == 0 {
		return nil
	}
	return append([]byte(nil), c.take(n)...)
}

func (c *cursor) epoch() backlog.Epoch {
	if c.err != nil {
		return backlog.Epoch{}
	}
	e, rest, err := backlog.CutEpoch(c.b)
	if err != nil {
		c.err, c.b = fmt.Errorf("%w: %w", ErrProtocol, err), nil
		return backlog.Epoch{}
	}
	c.b = rest
	return e
}

func (c *cursor) lineage(end int64) backlog.Lineage {
	if c.err != nil {
		return backlog.Lineage{}
	}
	l, rest, err := backlog.CutLineage(c.b, end)
	if err != nil {
		c.err, c.b = fmt.Errorf("%w: %w", ErrProtocol, err), nil
		return backlog.Lineage{}
	}
	c.b = rest
	return l
}

// end returns what was wrong, including bytes that are left.
func (c *cursor) end(what string) error {
	if c.err == nil && len(c.b) > 0 {
		c.fail("too much")
	}
	if c.err != nil {
		return fmt.Errorf("%w; it was to be a %s", c.err, what)
	}
	return nil
}

// appendAddress writes what cursor.address reads. A text that is too long is left out: half
// an address is none.
func appendAddress(b []byte, s string) []byte {
	if len(s) > math.MaxUint8 {
		s = ""
	}
	return append(append(b, byte(len(s))), s...)
}

// appendBytes writes what cursor.bytes reads.
func appendBytes(b, s []byte) []byte {
	return append(binary.LittleEndian.AppendUint16(b, uint16(len(s))), s...)
}

func appendUint64(b []byte, v uint64) []byte { return binary.LittleEndian.AppendUint64(b, v) }

func appendDuration(b []byte, d time.Duration) []byte { return appendUint64(b, uint64(max(d, 0))) }
