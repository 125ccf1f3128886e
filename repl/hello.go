package repl

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/emberkv/ember/backlog"
)

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

	// maxHelloForks is how many earlier histories go into a Hello, with the longest names no
	// more than maxHandshakeBody: a log keeps some more.
	maxHelloForks = 21
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
	for _, s := range [...]struct {
		to   *string
		most int
	}{{&h.name, MaxNameBytes}, {&h.group, MaxNameBytes}, {&h.announce, MaxAnnounceBytes}} {
		if *s.to, b, err = cutName(b, s.most); err != nil {
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
// length, which is at most most, and as many bytes.
func cutName(b []byte, most int) (string, []byte, error) {
	if len(b) == 0 || int(b[0]) > most || len(b) <= int(b[0]) {
		return "", nil, fmt.Errorf("%w: name in %d bytes", ErrProtocol, len(b))
	}
	n := 1 + int(b[0])
	return string(b[1:n]), b[n:], nil
}
