package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// A resp is a connection to a server that speaks RESP2. It is for one goroutine, but that one
// may send while another receives.
type resp struct {
	conn net.Conn
	r    *bufio.Reader
	out  []byte // what flush sends
}

// respTimeout bounds an exchange, a full copy by a SAVE included.
const respTimeout = 5 * time.Minute

// maxReply bounds what is believed of a reply's announced size.
const maxReply = 64 << 20

func dialRESP(addr string) (*resp, error) {
	conn, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return nil, err
	}
	conn.SetDeadline(time.Now().Add(respTimeout))
	return &resp{conn: conn, r: bufio.NewReaderSize(conn, 64<<10)}, nil
}

func (c *resp) close() { c.conn.Close() }

// command queues a command.
func (c *resp) command(args ...string) {
	c.out = fmt.Appendf(c.out, "*%d\r\n", len(args))
	for _, a := range args {
		c.out = fmt.Appendf(c.out, "$%d\r\n%s\r\n", len(a), a)
	}
}

// set queues a SET, without an allocation.
func (c *resp) set(key string, value []byte) {
	c.out = append(c.out, "*3\r\n$3\r\nSET\r\n$"...)
	c.out = strconv.AppendInt(c.out, int64(len(key)), 10)
	c.out = append(append(c.out, "\r\n"...), key...)
	c.out = append(c.out, "\r\n$"...)
	c.out = strconv.AppendInt(c.out, int64(len(value)), 10)
	c.out = append(append(c.out, "\r\n"...), value...)
	c.out = append(c.out, "\r\n"...)
}

// flush sends what is queued.
func (c *resp) flush() error {
	c.conn.SetDeadline(time.Now().Add(respTimeout))
	_, err := c.conn.Write(c.out)
	c.out = c.out[:0]
	return err
}

// A replyError is an error that the server has replied with: the connection goes on.
type replyError string

func (e replyError) Error() string { return string(e) }

// receive returns the next reply: a string, an int64, a []any of these, or nil.
func (c *resp) receive() (any, error) { return c.reply(true) }

func (c *resp) reply(mayBeArray bool) (any, error) {
	line, err := c.r.ReadSlice('\n')
	if err != nil {
		return nil, err
	}
	if len(line) < 3 || line[len(line)-2] != '\r' {
		return nil, fmt.Errorf("reply %q", line)
	}
	kind, text := line[0], string(line[1:len(line)-2])
	switch kind {
	case '+':
		return text, nil
	case '-':
		return nil, replyError(text)
	}
	n, err := strconv.ParseInt(text, 10, 64)
	switch {
	case err != nil || n > maxReply:
		return nil, fmt.Errorf("reply %q", line)
	case kind == ':':
		return n, nil
	case n < 0:
		return nil, nil
	case kind == '$':
		b, err := io.ReadAll(io.LimitReader(c.r, n+2)) // grows as it comes
		if err == nil && int64(len(b)) < n+2 {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return nil, err
		}
		return string(b[:n]), nil
	case kind == '*' && mayBeArray:
		return c.receiveArray(n)
	}
	return nil, fmt.Errorf("reply %q", line)
}

// skipOK skips the commonest reply for less than receive takes: the client shares the machine
// with what it measures.
func (c *resp) skipOK() bool {
	const ok = "+OK\r\n"
	if first, err := c.r.Peek(1); err != nil || first[0] != ok[0] {
		return false
	}
	reply, err := c.r.Peek(len(ok)) // nothing shorter begins so
	if err != nil || string(reply) != ok {
		return false
	}
	c.r.Discard(len(ok))
	return true
}

func (c *resp) receiveArray(n int64) (any, error) {
	var values []any
	for range n {
		v, err := c.reply(false) // no command that is used here nests them
		if err != nil {
			return nil, err
		}
		values = append(values, v)
	}
	return values, nil
}

// receiveAll receives n replies, none of which is to be an error.
func (c *resp) receiveAll(n int) error {
	for range n {
		if c.skipOK() {
			continue
		}
		if _, err := c.receive(); err != nil {
			return err
		}
	}
	return nil
}

// do sends a command and returns the reply.
func (c *resp) do(args ...string) (any, error) {
	c.command(args...)
	if err := c.flush(); err != nil {
		return nil, err
	}
	v, err := c.receive()
	if err != nil {
		err = fmt.Errorf("%s: %w", strings.Join(args[:min(len(args), 2)], " "), err)
	}
	return v, err
}

// info returns the fields of INFO.
func (c *resp) info(section string) (map[string]string, error) {
	v, err := c.do("INFO", section)
	if err != nil {
		return nil, err
	}
	text, ok := v.(string)
	if !ok {
		return nil, errors.New("INFO replied no text")
	}
	fields := make(map[string]string)
	for l := range strings.Lines(text) {
		if k, v, ok := strings.Cut(strings.TrimSpace(l), ":"); ok {
			fields[k] = v
		}
	}
	return fields, nil
}
