package repl

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/rdb"
)

// The protocol versions that this code speaks.
const (
	minProtocol = 1
	maxProtocol = 1
)

// A kind is the first byte of a frame.
type kind byte

const (
	kindHello kind = 1 + iota
	kindWelcome
	kindRefuse
	kindContinue
	kindFullSync
	kindSyncStart
	kindSyncBegin
	kindBlock
	kindSyncEnd
	kindLog
	kindHeartbeat
	kindAck
	kindHistory
	kindChallenge
	kindProof
	kindPrepare
	kindReady
	kindCommit
	kindPromoted
	kindParted kind = 20
	kindTail   kind = 21
	kindPlace  kind = 22
)

// kinds holds each kind's name and the largest body of its message.
var kinds = [...]struct {
	name  string
	limit int
}{
	kindHello:     {"Hello", maxHandshakeBody},
	kindWelcome:   {"Welcome", maxHandshakeBody},
	kindRefuse:    {"Refuse", maxHandshakeBody},
	kindContinue:  {"Continue", 8},
	kindFullSync:  {"FullSync", maxHandshakeBody},
	kindSyncStart: {"SyncStart", maxHandshakeBody},
	kindSyncBegin: {"SyncBegin", 25},
	kindBlock:     {"Block", rdb.MaxBlockBytes},
	kindSyncEnd:   {"SyncEnd", maxHandshakeBody},
	kindLog:       {"Log", logHeadBytes + backlog.MaxRecordBytes + backlog.MaxFrameOverhead},
	kindHeartbeat: {"Heartbeat", heartbeatBytes + maxPath*len(NodeID{})},
	kindAck:       {"Ack", ackBytes},
	kindHistory:   {"History", maxHandshakeBody},
	kindChallenge: {"Challenge", 128},
	kindProof:     {"Proof", MaxSecrets * proofBytes},
	kindPrepare:   {"Prepare", prepareBytes},
	kindReady:     {"Ready", readyBytes},
	kindCommit:    {"Commit", 8},
	kindPromoted:  {"Promoted", answerBytes},
	kindParted:    {"Parted", partedBytes},
	kindTail:      {"Tail", maxTailBytes},
	kindPlace:     {"Place", placeBytes},
}

func (k kind) known() bool { return int(k) < len(kinds) && kinds[k].name != "" }

// A kindSet is a set of kinds.
type kindSet uint32

// All kinds fit.
var _ [32 - len(kinds)]struct{}

func kindsOf(kinds ...kind) (s kindSet) {
	for _, k := range kinds {
		s |= 1 << k
	}
	return s
}

func (s kindSet) has(k kind) bool { return s>>k&1 == 1 }

// What may come at all, by who sends it. Without it a follower that sends blocks
// could make its upstream gather one of 256 MiB before anybody looks.
var (
	anyKind      = ^kindSet(0)
	fromStranger = kindsOf(kindHello, kindChallenge)
	fromDialed   = kindsOf(kindWelcome, kindRefuse)
	fromFollower = kindsOf(kindSyncStart, kindAck, kindRefuse, kindReady, kindPromoted)
	fromUpstream = kindsOf(kindRefuse, kindContinue, kindFullSync, kindSyncBegin, kindBlock, kindSyncEnd, kindLog, kindHeartbeat, kindHistory, kindParted, kindPlace, kindPrepare, kindCommit)
)

func (k kind) limit() int {
	if !k.known() {
		return 0
	}
	return kinds[k].limit
}

func (k kind) String() string {
	if !k.known() {
		return fmt.Sprintf("kind %d", byte(k))
	}
	return kinds[k].name
}

// A hello is the body of Hello and of Welcome.
type hello struct {
	versionMin, versionMax uint8
	recordVersion          uint16
	heartbeat              time.Duration // sent in milliseconds
	maxRecord              uint32
	id                     NodeID
	end                    int64
	priority               uint16
	packing                packing
	heard                  standing
	sum                    backlog.Sum // of the log up to end; in Welcome it says nothing
	name, group, announce  string
	lineage                backlog.Lineage // of the earlier histories the newest maxHelloForks
}

const (
	helloFixedBytes = 1 + 1 + 2 + 4 + 4 + 16 + 8 + 2 + 1 + standingBytes + backlog.SumBytes

	// maxHelloForks is how many earlier histories go into a Hello, which has to be
	// small: a log keeps some more.
	maxHelloForks = 28
)

func (h *hello) append(b []byte) []byte {
	b = append(b, h.versionMin, h.versionMax)
	b = binary.LittleEndian.AppendUint16(b, h.recordVersion)
	b = binary.LittleEndian.AppendUint32(b, uint32(max(h.heartbeat.Milliseconds(), 1)))
	b = binary.LittleEndian.AppendUint32(b, h.maxRecord)
	b = append(b, h.id[:]...)
	b = binary.LittleEndian.AppendUint64(b, uint64(h.end))
	b = binary.LittleEndian.AppendUint16(b, h.priority)
	b = append(b, byte(h.packing))
	b = h.heard.append(b)
	b, _ = h.sum.AppendBinary(b)
	for _, s := range [...]string{h.name, h.group, h.announce} {
		b = append(append(b, byte(len(s))), s...)
	}
	lineage := h.lineage
	lineage.Earlier = lineage.Earlier[:min(len(lineage.Earlier), maxHelloForks)]
	b, _ = lineage.AppendBinary(b)
	return b
}

func parseHello(b []byte) (*hello, error) {
	if len(b) < 2 {
		return nil, fmt.Errorf("%w: hello of %d bytes", ErrProtocol, len(b))
	}
	h := &hello{versionMin: b[0], versionMax: b[1]}
	if h.versionMin > h.versionMax {
		return nil, fmt.Errorf("%w: hello with versions %d to %d", ErrProtocol, h.versionMin, h.versionMax)
	}
	// Checked before what follows, which is ours to read only if we speak a
	// version in common.
	if h.versionMin > maxProtocol || h.versionMax < minProtocol {
		return nil, &VersionError{whatProtocol, int(h.versionMin), int(h.versionMax), minProtocol, maxProtocol}
	}
	if len(b) < helloFixedBytes {
		return nil, fmt.Errorf("%w: hello of %d bytes", ErrProtocol, len(b))
	}
	h.recordVersion = binary.LittleEndian.Uint16(b[2:])
	h.heartbeat = time.Duration(binary.LittleEndian.Uint32(b[4:])) * time.Millisecond
	h.maxRecord = binary.LittleEndian.Uint32(b[8:])
	copy(h.id[:], b[12:])
	h.end = int64(binary.LittleEndian.Uint64(b[28:]))
	h.priority = binary.LittleEndian.Uint16(b[36:])
	h.packing = packing(b[38])
	var err error
	if h.heard, err = parseStanding(b[39:]); err != nil {
		return nil, err
	}
	if h.sum, b, err = backlog.CutSum(b[39+standingBytes:], h.end); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	for _, s := range [...]*string{&h.name, &h.group, &h.announce} {
		if *s, b, err = cutName(b); err != nil {
			return nil, err
		}
	}
	h.lineage, b, err = backlog.CutLineage(b, h.end)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrProtocol, err)
	case len(b) != 0:
		return nil, fmt.Errorf("%w: %d bytes behind a hello", ErrProtocol, len(b))
	case len(h.lineage.Earlier) > maxHelloForks || h.heard.epoch.Compare(h.lineage.Epoch) < 0:
		return nil, fmt.Errorf("%w: hello with %d earlier histories, of %s, that has heard of %s",
			ErrProtocol, len(h.lineage.Earlier), h.lineage.Epoch, h.heard.epoch)
	case h.heartbeat < minHeartbeat || h.heartbeat > maxHeartbeat || h.id == NodeID{}:
		return nil, fmt.Errorf("%w: hello of node %s with heartbeat %v", ErrProtocol, h.id, h.heartbeat)
	}
	return h, nil
}

// cutName reads a name, a group or an announced address: one byte with its
// length, at most 64, and as many bytes.
func cutName(b []byte) (string, []byte, error) {
	if len(b) == 0 || int(b[0]) > MaxNameBytes || len(b) <= int(b[0]) {
		return "", nil, fmt.Errorf("%w: name in %d bytes", ErrProtocol, len(b))
	}
	n := 1 + int(b[0])
	return string(b[1:n]), b[n:], nil
}

// refusals are the codes of Refuse. A code that is not known here is read as
// a protocol error with the peer's text.
var refusals = [...]error{
	1:  ErrVersion,
	2:  ErrGroup,
	3:  ErrCycle,
	4:  ErrNotReady,
	5:  ErrBusy,
	6:  ErrProtocol,
	7:  ErrForeign,
	8:  ErrPeerClosed,
	9:  ErrReplaced,
	10: ErrLimit,
	11: backlog.ErrTrimmed,
	12: backlog.ErrReset,
	13: ErrForked,
	14: ErrBehind,
	16: ErrLowerEpoch,
}

// appendRefuse encodes the reason for which a link is closed. An error that has
// no code is the protocol's.
func appendRefuse(b []byte, err error) []byte {
	code := 6
	for i, reason := range refusals {
		if reason != nil && errors.Is(err, reason) {
			code = i
		}
	}
	closing := errors.Is(err, ErrClosed)
	if closing {
		code = 8 // which is another error where it arrives
	}
	b = append(b, byte(code))
	if code == refuseVersion {
		v := new(VersionError)
		errors.As(err, &v)
		b = append(b, flag(v.What == whatRecord))
		b = binary.LittleEndian.AppendUint16(b, uint16(v.Ours))
		b = binary.LittleEndian.AppendUint16(b, uint16(v.OursMax))
	}
	// The code says the reason; the text, what there is to say beside it.
	text := err.Error()
	if reason := refusals[code].Error(); text == reason || closing {
		text = ""
	} else {
		text = strings.TrimPrefix(text, reason+": ")
	}
	return append(b, text[:min(len(text), 512)]...)
}

// refuseVersion is the code whose text is preceded by what the refusing side
// speaks, so that both ends know both ranges.
const refuseVersion = 1

func parseVersionRefusal(b []byte) (*VersionError, error) {
	if len(b) < 5 || b[0] > 1 {
		return nil, fmt.Errorf("%w: refusal without versions", ErrProtocol)
	}
	v := &VersionError{What: whatProtocol, Ours: minProtocol, OursMax: maxProtocol}
	if b[0] == 1 {
		v = &VersionError{What: whatRecord, Ours: 1, OursMax: rdb.RecordVersion}
	}
	v.Theirs, v.TheirsMax = int(binary.LittleEndian.Uint16(b[1:])), int(binary.LittleEndian.Uint16(b[3:]))
	return v, nil
}

func parseRefuse(b []byte) error {
	if len(b) == 0 {
		return fmt.Errorf("%w: empty refusal", ErrProtocol)
	}
	if b[0] == refuseVersion {
		v, err := parseVersionRefusal(b[1:])
		if err != nil {
			return err
		}
		return &RefusedError{Err: v, Text: printable(string(b[6:]), "")}
	}
	reason := error(ErrProtocol)
	if int(b[0]) < len(refusals) && refusals[b[0]] != nil {
		reason = refusals[b[0]]
	}
	return &RefusedError{Err: reason, Text: printable(string(b[1:]), "")}
}

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
	heard      standing
	path       []NodeID // whom the sender follows, whom that follows, and so on
}

// unknownAge is the age of data of which the master has never been heard to have no more.
const unknownAge = math.MaxInt64

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
	b = append(b, flag(h.linked))
	b = h.heard.append(b)
	for _, id := range h.path {
		b = append(b, id[:]...)
	}
	return b
}

func parseHeartbeat(b []byte) (h heartbeat, err error) {
	if n := len(b) - heartbeatBytes; n < 0 || n%len(NodeID{}) != 0 || b[32] > 1 {
		return h, fmt.Errorf("%w: heartbeat of %d bytes", ErrProtocol, len(b))
	}
	h.seq = binary.LittleEndian.Uint64(b)
	var err1, err2, err3, err4 error
	h.end, err1 = offset(b[8:])
	h.clock, err2 = offset(b[16:])
	h.age, err3 = offset(b[24:])
	h.linked = b[32] == 1
	h.heard, err4 = parseStanding(b[33:])
	for b = b[heartbeatBytes:]; len(b) > 0; b = b[len(NodeID{}):] {
		h.path = append(h.path, NodeID(b))
	}
	return h, errors.Join(err1, err2, err3, err4)
}

type ack struct {
	echo              uint64
	received, applied int64
	loading           bool
	heard             standing
}

const ackBytes = 25 + standingBytes

func (a ack) append(b []byte) []byte {
	b = binary.LittleEndian.AppendUint64(b, a.echo)
	b = binary.LittleEndian.AppendUint64(b, uint64(a.received))
	b = binary.LittleEndian.AppendUint64(b, uint64(a.applied))
	return a.heard.append(append(b, flag(a.loading)))
}

func parseAck(b []byte) (a ack, err error) {
	if len(b) != ackBytes || b[24] > 1 {
		return a, fmt.Errorf("%w: ack of %d bytes", ErrProtocol, len(b))
	}
	a.echo = binary.LittleEndian.Uint64(b)
	var err1, err2, err3 error
	a.received, err1 = offset(b[8:])
	a.applied, err2 = offset(b[16:])
	a.loading = b[24] == 1
	a.heard, err3 = parseStanding(b[25:])
	return a, errors.Join(err1, err2, err3)
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
