package pipe

import (
	"io"
	"net"
	"time"
)

// DefaultBufferBytes bounds each direction of a connection unless it is set.
// It is taken in powers of two as it is needed.
const DefaultBufferBytes = 256 << 10

// A Conn is one end of a connection within the process, made by [New].
//
// It behaves as a TCP connection does: a write returns when its bytes are in
// the buffer and blocks only while that is full; the bytes of one Write stay
// together when several goroutines write; a peer that closes has its buffered
// bytes read before [io.EOF], and writes to it fail with [syscall.EPIPE].
// Unlike TCP, closing with unread input does not reset the connection.
//
// All methods may be called concurrently. Errors but io.EOF are *net.OpError
// and unwrap to net.ErrClosed, os.ErrDeadlineExceeded or syscall.EPIPE.
type Conn struct {
	in, out       *ring
	local, remote net.Addr
}

// New returns the two ends of a connection: what is written to one is read from
// the other. Each direction buffers up to size bytes, rounded up to a power of
// two of at least 4096; 0 or less means [DefaultBufferBytes].
func New(size int, addrA, addrB net.Addr) (a, b *Conn) {
	if size <= 0 {
		size = DefaultBufferBytes
	}
	ab, ba := newRing(size), newRing(size)
	a = &Conn{in: ba, out: ab, local: addrA, remote: addrB}
	b = &Conn{in: ab, out: ba, local: addrB, remote: addrA}
	return a, b
}

// Read blocks until bytes are there, the peer ends its stream, the connection
// is closed, or the read deadline passes. It returns what is there, up to
// len(p).
func (c *Conn) Read(p []byte) (int, error) {
	n, err := c.in.read(p)
	if err != nil && err != io.EOF {
		err = c.fail("read", err)
	}
	return n, err
}

// Write blocks until all of p is in the buffer, either end closes, or the write
// deadline passes; then it returns how much went in. It keeps no reference to p.
func (c *Conn) Write(p []byte) (int, error) {
	n, err := c.out.write(p)
	if err != nil {
		err = c.fail("write", err)
	}
	return n, err
}

// Close ends both directions. What was written stays readable for the peer;
// what was not read is dropped. Calls that block return [net.ErrClosed], as
// does a second Close.
func (c *Conn) Close() error {
	c.out.closeWrite()
	if !c.in.closeRead() {
		return c.fail("close", net.ErrClosed)
	}
	return nil
}

// CloseWrite ends the stream to the peer, which reads [io.EOF] behind what is
// in it. Reading goes on. It returns [net.ErrClosed] when it was ended before.
func (c *Conn) CloseWrite() error {
	if !c.out.closeWrite() {
		return c.fail("close", net.ErrClosed)
	}
	return nil
}

// LocalAddr returns the address of this end.
func (c *Conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr returns the address of the other end.
func (c *Conn) RemoteAddr() net.Addr { return c.remote }

// SetDeadline sets both deadlines; see [net.Conn].
func (c *Conn) SetDeadline(t time.Time) error {
	if err := c.SetReadDeadline(t); err != nil {
		return err
	}
	// The write side alone may have been ended, which is no error here.
	c.out.setWriteDeadline(t)
	return nil
}

// SetReadDeadline ends blocked and later reads at t; zero means never. It
// returns [net.ErrClosed] after Close.
func (c *Conn) SetReadDeadline(t time.Time) error {
	if !c.in.setReadDeadline(t) {
		return c.fail("set", net.ErrClosed)
	}
	return nil
}

// SetWriteDeadline ends blocked and later writes at t; zero means never. It
// returns [net.ErrClosed] after Close or CloseWrite.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	if !c.out.setWriteDeadline(t) {
		return c.fail("set", net.ErrClosed)
	}
	return nil
}

func (c *Conn) fail(op string, err error) error { return OpError(op, c.local, c.remote, err) }
