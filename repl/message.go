package repl

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/rdb"
)

// logHeadBytes is the length of what precedes the records in a Log.
const logHeadBytes = 16

func appendLogHead(b []byte, at, clock int64) []byte {
	b = binary.LittleEndian.AppendUint64(b, uint64(at))
	return binary.LittleEndian.AppendUint64(b, uint64(clock))
}

func parseLog(b []byte) (at, clock int64, records []byte, err error) {
	if len(b) <= logHeadBytes {
		return 0, 0, nil, fmt.Errorf("%w: log of %d bytes", ErrProtocol, len(b))
	}
	at, err1 := offset(b)
	clock, err2 := offset(b[8:])
	return at, clock, b[logHeadBytes:], errors.Join(err1, err2)
}

type heartbeat struct {
	seq        uint64
	end, clock int64
	age        int64 // of the sender's data, in milliseconds; unknownAge for those that nobody has vouched for
	linked     bool  // the sender is the master, or streams from a node that is linked
	few        bool  // so few follow the sender that they need not come back to it one by one
	heard      standing
	path       []NodeID // whom the sender follows, whom that follows, and so on
}

// unknownAge is the age of data of which the master has never been heard to have no more.
const unknownAge = math.MaxInt64

// The flags of a heartbeat. Those of later nodes are read as if they were not set.
const (
	beatLinked = 1 << iota
	beatFew
	beatFlags // the first bit that says nothing
)

const (
	heartbeatBytes = 33 + standingBytes
	// maxPath bounds how deep a chain may be.
	maxPath = 64
)

func (h heartbeat) append(b []byte) []byte {
	b = binary.LittleEndian.AppendUint64(b, h.seq)
	b = binary.LittleEndian.AppendUint64(b, uint64(h.end))
	b = binary.LittleEndian.AppendUint64(b, uint64(h.clock))
	b = binary.LittleEndian.AppendUint64(b, uint64(h.age))
	b = append(b, flag(h.linked)*beatLinked|flag(h.few)*beatFew)
	b = h.heard.append(b)
	for _, id := range h.path {
		b = append(b, id[:]...)
	}
	return b
}

func parseHeartbeat(b []byte) (h heartbeat, err error) {
	if n := len(b) - heartbeatBytes; n < 0 || n%len(NodeID{}) != 0 {
		return h, fmt.Errorf("%w: heartbeat of %d bytes", ErrProtocol, len(b))
	}
	h.seq = binary.LittleEndian.Uint64(b)
	var err1, err2, err3, err4 error
	h.end, err1 = offset(b[8:])
	h.clock, err2 = offset(b[16:])
	h.age, err3 = offset(b[24:])
	h.linked, h.few = b[32]&beatLinked != 0, b[32]&beatFew != 0
	h.heard, err4 = parseStanding(b[33:])
	for b = b[heartbeatBytes:]; len(b) > 0; b = b[len(NodeID{}):] {
		h.path = append(h.path, NodeID(b))
	}
	return h, errors.Join(err1, err2, err3, err4)
}

type ack struct {
	echo                       uint64
	received, applied, durable int64 // durable is how much of applied is on disk; 0 for nothing
	loading                    bool
	heard                      standing
}

const ackBytes = 33 + standingBytes

func (a ack) append(b []byte) []byte {
	b = binary.LittleEndian.AppendUint64(b, a.echo)
	b = binary.LittleEndian.AppendUint64(b, uint64(a.received))
	b = binary.LittleEndian.AppendUint64(b, uint64(a.applied))
	b = binary.LittleEndian.AppendUint64(b, uint64(a.durable))
	return a.heard.append(append(b, flag(a.loading)))
}

func parseAck(b []byte) (a ack, err error) {
	if len(b) != ackBytes || b[32] > 1 {
		return a, fmt.Errorf("%w: ack of %d bytes", ErrProtocol, len(b))
	}
	a.echo = binary.LittleEndian.Uint64(b)
	var err1, err2, err3, err4 error
	a.received, err1 = offset(b[8:])
	a.applied, err2 = offset(b[16:])
	a.durable, err3 = offset(b[24:])
	a.loading = b[32] == 1
	a.heard, err4 = parseStanding(b[33:])
	return a, errors.Join(err1, err2, err3, err4)
}

// placeBytes is the length of a Place.
const placeBytes = 4

func appendPlace(b []byte, place int) []byte {
	return binary.LittleEndian.AppendUint32(b, uint32(place))
}

// parsePlace returns a place in a line, from 1.
func parsePlace(b []byte) (int, error) {
	if len(b) != placeBytes {
		return 0, fmt.Errorf("%w: place of %d bytes", ErrProtocol, len(b))
	}
	place := binary.LittleEndian.Uint32(b)
	if place == 0 || place > math.MaxInt32 {
		return 0, fmt.Errorf("%w: place %d in a line", ErrProtocol, place)
	}
	return int(place), nil
}

// A syncStart asks for a full copy, from nothing or from where one broke.
type syncStart struct {
	resume bool
	from   backlog.Position
	shards int
	done   rdb.ShardSet
}

func (s *syncStart) append(b []byte) []byte {
	b = append(b, flag(s.resume))
	b = appendPosition(b, s.from)
	b = binary.LittleEndian.AppendUint16(b, uint16(s.shards))
	for i := 0; i < (s.shards+63)/64; i++ {
		b = binary.LittleEndian.AppendUint64(b, s.done[i])
	}
	return b
}

func parseSyncStart(b []byte) (*syncStart, error) {
	const head = 1 + positionBytes + 2
	if len(b) < head || b[0] > 1 {
		return nil, fmt.Errorf("%w: sync start of %d bytes", ErrProtocol, len(b))
	}
	s := &syncStart{resume: b[0] == 1, shards: int(binary.LittleEndian.Uint16(b[1+positionBytes:]))}
	var err error
	if s.from, err = parsePosition(b[1:]); err != nil {
		return nil, err
	}
	b = b[head:]
	if s.shards > rdb.MaxShards || len(b) != (s.shards+63)/64*8 {
		return nil, fmt.Errorf("%w: sync start with %d shards in %d bytes", ErrProtocol, s.shards, len(b))
	}
	for i := range len(b) / 8 {
		s.done[i] = binary.LittleEndian.Uint64(b[8*i:])
	}
	return s, nil
}

// parseHistory reads what an upstream says that has begun a new history.
func parseHistory(b []byte) (backlog.Lineage, error) {
	if len(b) < 8 {
		return backlog.Lineage{}, fmt.Errorf("%w: history of %d bytes", ErrProtocol, len(b))
	}
	end, err := offset(b)
	if err != nil {
		return backlog.Lineage{}, err
	}
	lineage, rest, err := backlog.CutLineage(b[8:], end)
	switch {
	case err != nil:
		return lineage, fmt.Errorf("%w: %w", ErrProtocol, err)
	case len(rest) != 0:
		return lineage, fmt.Errorf("%w: history with %d bytes too many", ErrProtocol, len(rest))
	}
	return lineage, nil
}

const positionBytes = 24

func appendPosition(b []byte, p backlog.Position) []byte {
	return binary.LittleEndian.AppendUint64(append(b, p.History[:]...), uint64(p.Offset))
}

func parsePosition(b []byte) (p backlog.Position, err error) {
	if len(b) < positionBytes {
		return p, fmt.Errorf("%w: position in %d bytes", ErrProtocol, len(b))
	}
	copy(p.History[:], b)
	p.Offset, err = offset(b[16:])
	return p, err
}

// offset reads an i64, which is never negative.
func offset(b []byte) (int64, error) {
	n := int64(binary.LittleEndian.Uint64(b))
	if n < 0 {
		return 0, fmt.Errorf("%w: offset, clock or age %d", ErrProtocol, n)
	}
	return n, nil
}

func flag(on bool) byte {
	if on {
		return 1
	}
	return 0
}
