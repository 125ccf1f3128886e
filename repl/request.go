package repl

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/emberkv/ember/backlog"
)

// An introduction is the body of Control, with which both ends of a control link say who
// they are.
type introduction struct {
	versionMin, versionMax uint8
	seat                   seat
	id                     NodeID
	patience               time.Duration // for how long the other end may be silent; in milliseconds
	name, group, announce  string
}

// A seat says what answers on a control link.
type seat uint8

const (
	seatNode  seat = iota // it has a machine, and answers polls
	seatOther             // a sentinel, or whoever asks one
)

func (i *introduction) append(b []byte) []byte {
	b = append(b, i.versionMin, i.versionMax, byte(i.seat))
	b = append(b, i.id[:]...)
	b = binary.LittleEndian.AppendUint32(b, uint32(i.patience.Milliseconds()))
	return appendAddress(appendAddress(appendAddress(b, i.name), i.group), i.announce)
}

func parseIntroduction(b []byte) (*introduction, error) {
	c, i := &cursor{b: b}, &introduction{}
	i.versionMin, i.versionMax = c.byte(), c.byte()
	switch {
	case c.err == nil && i.versionMin > i.versionMax:
		c.fail("versions the wrong way round")
	case c.err == nil && (i.versionMin > maxProtocol || i.versionMax < minProtocol): // the rest is not ours to read
		return nil, &VersionError{whatProtocol, int(i.versionMin), int(i.versionMax), minProtocol, maxProtocol}
	}
	i.seat, i.id = seat(c.below(byte(seatOther)+1)), c.id()
	i.patience = time.Duration(c.uint32()) * time.Millisecond
	i.name, i.group, i.announce = c.name(), c.name(), c.address()
	if c.err == nil && (i.id == NodeID{} || i.patience < minHeartbeat || i.patience > maxHeartbeat) {
		c.fail("nobody, or one without patience")
	}
	if err := c.end("introduction"); err != nil {
		return nil, err
	}
	return i, nil
}

// A request is the body of Request: what somebody asks on a control link.
type request struct {
	number uint64 // of the sender's choice, for the reply; 0 for a ping
	what   what
	body   []byte
}

// A what says what a request is.
type what uint8

const (
	askPing  what = iota // whether the other end lives
	askPoll              // a node: its Report
	askOrder             // a node: to obey
	askCall              // one that is no node: whatever the program makes of it
	whats
)

const requestHeadBytes = 8 + 1

// MaxCallBytes bounds what [Control.Call] sends and gets.
const MaxCallBytes = 64 << 10

func (r *request) head(b []byte) []byte { return append(appendUint64(b, r.number), byte(r.what)) }

func parseRequest(b []byte) (r request, err error) {
	if len(b) < requestHeadBytes || b[8] >= byte(whats) {
		return r, fmt.Errorf("%w: request of %d bytes", ErrProtocol, len(b))
	}
	r = request{binary.LittleEndian.Uint64(b), what(b[8]), b[requestHeadBytes:]}
	if limit := r.what.limit(); len(r.body) > limit || (r.number == 0) != (r.what == askPing) {
		return r, fmt.Errorf("%w: request %d of kind %d with %d bytes, limit %d", ErrProtocol, r.number, r.what, len(r.body), limit)
	}
	return r, nil
}

// limit bounds what comes with a request.
func (w what) limit() int {
	switch w {
	case askPoll:
		return maxPollBytes
	case askOrder:
		return maxOrderBytes
	case askCall:
		return MaxCallBytes
	}
	return 0
}

// A reply is the body of Reply.
type reply struct {
	number uint64
	err    error  // nil if it was done
	body   []byte // only then
}

// The codes of a reply that are not one of failures.
const (
	codeDone   = 0
	codeFailed = 255 // for a reason that has no code
)

// failures are the codes of a Reply that says no.
var failures = [...]error{
	1:  ErrLowerEpoch,
	2:  ErrBusy,
	3:  ErrNotSupervised,
	4:  ErrRoleChanged,
	5:  ErrNoFollower,
	6:  ErrDeclined,
	7:  ErrLinkLost,
	8:  ErrInDoubt,
	9:  ErrPeerClosed,
	10: ErrOption,
	11: ErrNotAsked,
	12: context.DeadlineExceeded,
	13: ErrFenced,
	14: ErrNoDeadline,
	15: ErrLimit,
	16: backlog.ErrReset,
	17: ErrNoLease,
}

// maxFailureText bounds the text of a failure.
const maxFailureText = 512

func (r *reply) head(b []byte) []byte {
	b = appendUint64(b, r.number)
	if r.err == nil {
		return append(b, codeDone)
	}
	code, text := failureCode(r.err), r.err.Error()
	if code != codeFailed && text == failures[code].Error() {
		text = "" // the code says it
	}
	return append(append(b, code), cutText(text, maxFailureText)...)
}

func failureCode(err error) byte {
	if errors.Is(err, ErrClosed) {
		return 9 // which is another error where it arrives
	}
	if errors.Is(err, ErrInDoubt) { // whatever else it is
		return 8
	}
	for code, reason := range failures {
		if reason != nil && errors.Is(err, reason) {
			return byte(code)
		}
	}
	return codeFailed
}

// cutText returns at most limit bytes of s, whole letters.
func cutText(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit]
}

func parseReply(b []byte) (r reply, err error) {
	if len(b) < requestHeadBytes {
		return r, fmt.Errorf("%w: reply of %d bytes", ErrProtocol, len(b))
	}
	r.number = binary.LittleEndian.Uint64(b)
	code, rest := b[8], b[requestHeadBytes:]
	if code == codeDone {
		r.body = rest
		return r, nil
	}
	if len(rest) > maxFailureText {
		return r, fmt.Errorf("%w: reply that says no in %d bytes", ErrProtocol, len(rest))
	}
	reason := ErrFailed
	if int(code) < len(failures) && failures[code] != nil {
		reason = failures[code]
	}
	r.err = &RefusedError{Err: reason, Text: printable(string(rest), "")}
	return r, nil
}
