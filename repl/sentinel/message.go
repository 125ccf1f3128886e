package sentinel

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/repl"
)

// What a body says that goes over a control link to a sentinel, or back, by its first byte.
const (
	tellState byte = 1 // a state, both ways
	askVote   byte = 2 // an ask, and the reply
	askWho    byte = 3 // a who, and a Reign
)

// maxStateBytes bounds the body of a state: nodes that do not fit are not told.
const maxStateBytes = 60 << 10

// A state is what sentinels tell each other: what they know of the group.
type state struct {
	Epoch   uint64 // the highest counter that the sender has heard of
	Reign   Reign  // the newest master that it knows
	Down    bool   // that master is down, as far as it sees by itself
	Leading uint64 // the epoch of the failover that it leads, until all nodes follow the new master, or 0
	Known   int    // sentinels that it knows, itself included
	Addr    string // where it can be reached, if it knows that
	Nodes   []contact
	Peers   []contact
}

// A contact is where a node or a sentinel was last reached.
type contact struct {
	ID   repl.NodeID
	Addr string
}

func (s *state) append(b []byte) []byte {
	b = append(b, tellState)
	b = binary.LittleEndian.AppendUint64(b, s.Epoch)
	b = appendReign(b, s.Reign)
	b = append(b, bit(s.Down))
	b = binary.LittleEndian.AppendUint64(b, s.Leading)
	b = binary.LittleEndian.AppendUint16(b, uint16(s.Known))
	b = appendText(b, s.Addr)
	b = appendContacts(b, s.Peers, maxStateBytes)
	return appendContacts(b, s.Nodes, maxStateBytes)
}

func parseState(body []byte) (*state, error) {
	c := newCutter("state", body, tellState)
	s := &state{Epoch: c.counter(), Reign: c.reign(), Down: c.flag(), Leading: c.counter()}
	s.Known = c.sentinels()
	s.Addr = c.text(MaxAddrBytes)
	s.Peers = c.contacts(MaxPeers)
	s.Nodes = c.contacts(MaxNodes)
	return s, c.end()
}

// An ask asks for a vote: the sender wants to replace the master of Reign, in Epoch.
type ask struct {
	Epoch  uint64
	Reign  backlog.Epoch
	Anyway bool // a promise to that master is no reason to wait, see aim
}

func (a ask) append(b []byte) []byte {
	b = binary.LittleEndian.AppendUint64(append(b, askVote), a.Epoch)
	b, _ = a.Reign.AppendBinary(b)
	return append(b, bit(a.Anyway))
}

func parseAsk(body []byte) (ask, error) {
	c := newCutter("ask", body, askVote)
	a := ask{Epoch: c.counter(), Reign: c.epoch(), Anyway: c.flag()}
	c.check(a.Epoch > 0, "epoch 0")
	return a, c.end()
}

// A verdict is a voter's answer to an ask.
type verdict uint8

const (
	unanswered verdict = iota // never sent
	granted                   // you have my vote in that epoch
	taken                     // another has it; the voter itself, which stands, if Wait is not 0
	lowerEpoch                // I have heard of a higher epoch
	oldReign                  // there is a master above the one that you want to replace
	notYet                    // ask again in Wait; the epoch is not used up
)

func (v verdict) String() string {
	return [...]string{"unanswered", "granted", "taken", "lower epoch", "old reign", "not yet"}[v]
}

// A reply answers an ask.
type reply struct {
	To      uint64 // the epoch that was asked for
	Epoch   uint64 // the highest counter that the voter has heard of
	Verdict verdict
	Known   int           // sentinels that the voter knows, itself included
	Wait    time.Duration // for notYet and taken; sent in microseconds, at most about an hour
}

func (r reply) append(b []byte) []byte {
	b = binary.LittleEndian.AppendUint64(append(b, askVote), r.To)
	b = binary.LittleEndian.AppendUint64(b, r.Epoch)
	b = append(b, byte(r.Verdict))
	b = binary.LittleEndian.AppendUint16(b, uint16(r.Known))
	wait := (max(r.Wait, 0) + time.Microsecond - 1) / time.Microsecond // not sooner than it was meant
	return binary.LittleEndian.AppendUint32(b, uint32(min(wait, math.MaxUint32)))
}

func parseReply(body []byte) (reply, error) {
	c := newCutter("reply", body, askVote)
	r := reply{To: c.counter(), Epoch: c.counter(), Verdict: verdict(c.byte())}
	c.check(r.Verdict > unanswered && r.Verdict <= notYet, "unknown verdict")
	r.Known = c.sentinels()
	r.Wait = time.Duration(c.uint32()) * time.Microsecond
	return r, c.end()
}

// A who asks who the master is. It is answered at once if that is a later one than that of epoch
// Known, or the same elsewhere than At, and otherwise when that becomes so, or after Wait.
type who struct {
	Known backlog.Epoch // zero: whoever it is
	At    string        // where that was said to be; empty: wherever it is
	Wait  time.Duration // sent in milliseconds; at most maxWhoWait
}

// maxWhoWait is how long a who may wait: a link on which nothing has happened for longer
// might as well be dead.
const maxWhoWait = time.Minute

func (w who) append(b []byte) []byte {
	b, _ = w.Known.AppendBinary(append(b, askWho))
	b = binary.LittleEndian.AppendUint32(b, uint32(max(w.Wait, 0).Milliseconds()))
	return appendText(b, w.At)
}

func parseWho(body []byte) (who, error) {
	c := newCutter("who", body, askWho)
	w := who{Known: c.epoch(), Wait: time.Duration(c.uint32()) * time.Millisecond}
	w.At = c.text(MaxAddrBytes)
	c.check(w.Wait <= maxWhoWait, "waits for too long")
	return w, c.end()
}

// appendMaster appends the answer to a who.
func appendMaster(b []byte, r Reign) []byte { return appendReign(append(b, askWho), r) }

// parseMaster returns the zero Reign where no master is known.
func parseMaster(body []byte) (Reign, error) {
	c := newCutter("master", body, askWho)
	r := c.reign()
	return r, c.end()
}

// A notice is what a sentinel posts on the board of every node, by which sentinels find
// each other.
type notice struct {
	Epoch uint64 // the highest counter that the sender has heard of
	Reign Reign
	Name  string
	Addr  string // where it can be reached, if it knows that
}

func (n *notice) append(b []byte) []byte {
	b = binary.LittleEndian.AppendUint64(b, n.Epoch)
	return appendText(appendText(appendReign(b, n.Reign), n.Name), n.Addr)
}

func parseNotice(body []byte) (*notice, error) {
	c := &cutter{what: "notice", rest: body}
	n := &notice{Epoch: c.counter(), Reign: c.reign(), Name: c.text(repl.MaxNameBytes), Addr: c.text(MaxAddrBytes)}
	return n, c.end()
}

// kindOf returns the first byte of a body, which says what it is; 0 for an empty one.
func kindOf(body []byte) byte {
	if len(body) == 0 {
		return 0
	}
	return body[0]
}

// errUnknown is the answer to a body of a kind that is not known.
func errUnknown(body []byte) error {
	return fmt.Errorf("%w: message of kind %d and %d bytes", repl.ErrProtocol, kindOf(body), len(body))
}
