package sentinel

import (
	"encoding/binary"
	"fmt"
	"unicode/utf8"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/repl"
)

func bit(b bool) byte {
	if b {
		return 1
	}
	return 0
}

// appendText appends a text of at most 255 bytes, behind its length.
func appendText(b []byte, s string) []byte { return append(append(b, byte(len(s))), s...) }

// appendReign appends a reign; of the zero one only the epoch.
func appendReign(b []byte, r Reign) []byte {
	b, _ = r.Epoch.AppendBinary(b)
	if r.IsZero() {
		return b
	}
	b = append(append(b, r.History[:]...), r.ID[:]...)
	return appendText(appendText(b, r.Name), r.Addr)
}

// appendContacts appends the number of contacts and as many of them as fit into limit bytes
// of b.
func appendContacts(b []byte, list []contact, limit int) []byte {
	at := len(b)
	b = append(b, 0, 0)
	n := 0
	for ; n < len(list) && len(b)+len(repl.NodeID{})+1+len(list[n].Addr) <= limit; n++ {
		b = appendText(append(b, list[n].ID[:]...), list[n].Addr)
	}
	binary.LittleEndian.PutUint16(b[at:], uint16(n))
	return b
}

// A cutter takes a message apart. Its first error stays, and from there on all it returns
// is zero.
type cutter struct {
	what string // for the error
	rest []byte
	err  error
}

// newCutter returns a cutter of body, which begins with kind.
func newCutter(what string, body []byte, kind byte) *cutter {
	c := &cutter{what: what, rest: body}
	c.check(c.byte() == kind, "another kind")
	return c
}

// check sets the error unless ok.
func (c *cutter) check(ok bool, problem string) {
	if !ok && c.err == nil {
		c.err = fmt.Errorf("%w: %s: %s", repl.ErrProtocol, c.what, problem)
	}
}

// end returns the error; it is one, too, if anything is left.
func (c *cutter) end() error {
	c.check(len(c.rest) == 0, "bytes behind it")
	return c.err
}

// cut returns the next n bytes, or n zeros.
func (c *cutter) cut(n int) []byte {
	c.check(len(c.rest) >= n, "too short")
	if c.err != nil {
		return make([]byte, n)
	}
	b := c.rest[:n]
	c.rest = c.rest[n:]
	return b
}

func (c *cutter) byte() byte     { return c.cut(1)[0] }
func (c *cutter) uint16() uint16 { return binary.LittleEndian.Uint16(c.cut(2)) }
func (c *cutter) uint32() uint32 { return binary.LittleEndian.Uint32(c.cut(4)) }

func (c *cutter) flag() bool {
	b := c.byte()
	c.check(b <= 1, "flag")
	return b == 1
}

// counter returns the counter of an epoch, or 0 for none.
func (c *cutter) counter() uint64 {
	n := binary.LittleEndian.Uint64(c.cut(8))
	c.check(n <= backlog.MaxCounter, "epoch too high")
	return n
}

// sentinels returns a number of sentinels, of which there is at least one.
func (c *cutter) sentinels() int {
	n := int(c.uint16())
	c.check(n >= 1 && n <= MaxPeers+1, "number of sentinels")
	return n
}

func (c *cutter) epoch() backlog.Epoch {
	e, _, err := backlog.CutEpoch(c.cut(backlog.EpochBytes))
	c.check(err == nil, "epoch")
	return e
}

func (c *cutter) id() repl.NodeID {
	id := repl.NodeID(c.cut(len(repl.NodeID{})))
	c.check(id != repl.NodeID{}, "id of zeros")
	return id
}

// text returns a text of at most limit bytes.
func (c *cutter) text(limit int) string {
	n := int(c.byte())
	c.check(n <= limit, "text too long")
	s := string(c.cut(n))
	c.check(utf8.ValidString(s), "text that is no UTF-8")
	if c.err != nil {
		return ""
	}
	return s
}

func (c *cutter) reign() Reign {
	r := Reign{Epoch: c.epoch()}
	if r.IsZero() {
		return r
	}
	r.History = backlog.History(c.cut(len(backlog.History{})))
	r.ID = c.id()
	r.Name, r.Addr = c.text(repl.MaxNameBytes), c.text(MaxAddrBytes)
	return r
}

// contacts returns at most limit contacts. The list grows as they are found, not as they
// are announced.
func (c *cutter) contacts(limit int) []contact {
	n := int(c.uint16())
	c.check(n <= limit, "too many contacts")
	var list []contact
	for ; n > 0 && c.err == nil; n-- {
		list = append(list, contact{ID: c.id(), Addr: c.text(MaxAddrBytes)})
	}
	return list
}
