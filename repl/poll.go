package repl

import (
	"encoding/binary"
	"fmt"
	"time"
)

// Limits of a Poll.
const (
	// MaxNoticeBytes bounds a notice that a sentinel posts on a node's board.
	MaxNoticeBytes = 1 << 10
	// MaxLease is the longest lease that may be granted at once.
	MaxLease = time.Hour
	// MaxNeed bounds Grant.Need.
	MaxNeed = 1000
)

// A Poll asks a node how it is. It may bring the answer to the previous report: a
// renewal of the node's lease.
type Poll struct {
	// Notice is posted on the node's board for whoever else polls it, in place of what this
	// link's own id had there; at most MaxNoticeBytes. Empty leaves that as it is.
	Notice []byte

	// Grant renews the node's lease, for the sender's part. Nil leaves it as it is.
	Grant *Grant
}

// A Grant is a sentinel's word that it grants to nobody else, and gives no vote, for Lease from
// the moment of a report. The node counts by its own monotonic clock, from before it sent the
// report; the sentinel by its own, from when it sends the grant, which is later. The sentinel
// keeps its word for 5/4 of Lease, so that clocks that are wrong by 10 % either way do no harm:
// 1.1/0.9 is less.
type Grant struct {
	// Stamp is that of the report that is answered. Each is good once, on the link on which it
	// came, and only while the node is in the same tenure as a master as when it reported.
	Stamp uint64

	// Lease is how long the grant lasts, at most MaxLease. With 0 nothing is granted.
	Lease time.Duration

	// Need is how many grants, of as many sentinels, make up a lease: more than half of all sentinels
	// that the sender knows, and at least the quorum; 1 to MaxNeed. The largest Need of the grants in
	// force counts.
	Need int
}

// A Notice is something posted on a node's board.
type Notice struct {
	ID   NodeID
	Addr string // where its author may be reached, as the node sees it; empty if that has not said so
	Body []byte // at most MaxNoticeBytes
}

const maxPollBytes = 1 + 8 + 8 + 2 + 2 + MaxNoticeBytes

func (p *Poll) append(b []byte) []byte {
	if g := p.Grant; g != nil {
		b = appendUint64(append(b, 1), g.Stamp)
		b = binary.LittleEndian.AppendUint16(appendDuration(b, g.Lease), uint16(g.Need))
	} else {
		b = append(b, 0)
	}
	return appendBytes(b, p.Notice)
}

// check returns what a caller has got wrong.
func (p *Poll) check() error {
	if len(p.Notice) > MaxNoticeBytes {
		return &OptionError{Field: "len(Notice)", Value: len(p.Notice), Want: fmt.Sprintf("at most %d", MaxNoticeBytes)}
	}
	return p.Grant.check()
}

func (g *Grant) check() error {
	switch {
	case g == nil:
		return nil
	case g.Lease < 0 || g.Lease > MaxLease:
		return &OptionError{Field: "Lease", Value: g.Lease, Want: "0 to 1h"}
	case g.Need < 1 || g.Need > MaxNeed:
		return &OptionError{Field: "Need", Value: g.Need, Want: "1 to 1000"}
	}
	return nil
}

func parsePoll(b []byte) (*Poll, error) {
	c, p := &cursor{b: b}, &Poll{}
	if c.flag() {
		p.Grant = &Grant{Stamp: c.uint64(), Lease: c.duration(), Need: c.uint16()}
		if c.err == nil && p.Grant.check() != nil {
			c.fail("a grant that says too much")
		}
	}
	p.Notice = c.bytes(MaxNoticeBytes)
	if err := c.end("poll"); err != nil {
		return nil, err
	}
	return p, nil
}
