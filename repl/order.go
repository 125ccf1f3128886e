package repl

import (
	"encoding/binary"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/emberkv/ember/backlog"
)

// An order is what a master says to the replica that is to take over.
type order struct {
	id       uint64
	end      backlog.Position // the replica must have applied the log up to here, exactly
	valid    time.Duration    // from the replica's Ready on, in whole milliseconds
	patience time.Duration    // of the master, for that Ready
	armed    bool             // the master writes by a lease: so must the one that takes over
}

// A part of an order is one message of it, on its way to the goroutine that writes.
type part struct {
	*order
	kind  kind
	state atomic.Int32 // partWaiting, then one of the others for ever
}

const (
	partWaiting = iota
	partSent    // perhaps: it is being written
	partWithdrawn
)

func (o *order) part(k kind) *part { return &part{order: o, kind: k} }

// withdraw reports whether the part was not sent, and never will be.
func (p *part) withdraw() bool {
	return p.state.CompareAndSwap(partWaiting, partWithdrawn) || p.state.Load() == partWithdrawn
}

const (
	prepareBytes = 8 + positionBytes + 4 + 1
	answerBytes  = 8 + 1
	readyBytes   = answerBytes + 1 + MaxAnnounceBytes
)

// body returns the body of a Prepare or a Commit.
func (p *part) body() []byte {
	b := binary.LittleEndian.AppendUint64(nil, p.id)
	if p.kind == kindPrepare {
		b = appendPosition(b, p.end)
		b = binary.LittleEndian.AppendUint32(b, uint32(min(p.valid.Milliseconds(), maxOrder.Milliseconds())))
		b = append(b, flag(p.armed))
	}
	return b
}

// maxOrder bounds for how long an order is valid.
const maxOrder = time.Hour

func parsePrepare(b []byte) (*order, error) {
	if len(b) != prepareBytes {
		return nil, fmt.Errorf("%w: prepare of %d bytes", ErrProtocol, len(b))
	}
	o := &order{id: binary.LittleEndian.Uint64(b)}
	var err error
	if o.end, err = parsePosition(b[8:]); err != nil {
		return nil, err
	}
	o.valid = time.Duration(binary.LittleEndian.Uint32(b[8+positionBytes:])) * time.Millisecond
	armed := b[prepareBytes-1]
	if o.id == 0 || o.valid <= 0 || o.valid > maxOrder || armed > 1 {
		return nil, fmt.Errorf("%w: order %d, valid for %v, armed %d", ErrProtocol, o.id, o.valid, armed)
	}
	o.armed = armed == 1
	return o, nil
}

func parseCommit(b []byte) (id uint64, err error) {
	if len(b) != 8 {
		return 0, fmt.Errorf("%w: commit of %d bytes", ErrProtocol, len(b))
	}
	return binary.LittleEndian.Uint64(b), nil
}

// An answer is a Ready or a Promoted.
type answer struct {
	kind  kind
	order uint64
	yes   bool
	at    string // of a Ready: where the replica listens now, as it says itself
}

func (a answer) append(b []byte) []byte {
	b = append(binary.LittleEndian.AppendUint64(b, a.order), flag(a.yes))
	if a.kind == kindReady {
		b = append(append(b, byte(len(a.at))), a.at...)
	}
	return b
}

func parseAnswer(k kind, b []byte) (a answer, err error) {
	bad := fmt.Errorf("%w: %v of %d bytes", ErrProtocol, k, len(b))
	if len(b) < answerBytes || b[8] > 1 {
		return a, bad
	}
	a = answer{kind: k, order: binary.LittleEndian.Uint64(b), yes: b[8] == 1}
	if b = b[answerBytes:]; k == kindReady {
		if a.at, b, err = cutName(b, MaxAnnounceBytes); err != nil {
			return answer{}, err
		}
	}
	if len(b) != 0 {
		return answer{}, bad
	}
	return a, nil
}

// carryOut sends what is to be said of an order, if the follower was sent the log up to
// where that begins.
func (f *feed) carryOut() (done bool, err error) {
	p := f.part
	if p == nil || f.copy != nil || f.reader.Offset() != p.end.Offset {
		return false, nil
	}
	f.part = nil
	f.asked.Store(p.id)
	if !p.state.CompareAndSwap(partWaiting, partSent) {
		return false, nil
	}
	return true, f.link.w.write(p.kind, p.body(), nil)
}

// answered hands an answer to whoever has given the order.
func (f *feed) answered(k kind, body []byte) error {
	a, err := parseAnswer(k, body)
	if err == nil && (a.order == 0 || a.order > f.asked.Load()) {
		err = fmt.Errorf("%w: %v to order %d", ErrProtocol, k, a.order)
	}
	a.at = reachable(printable(a.at, ""), f.link.conn)
	if err != nil {
		return err
	}
	select {
	case f.answers <- a:
	default: // of orders that nobody waits for any more
	}
	return nil
}
