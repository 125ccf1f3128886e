package sentinel

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/emberkv/ember/repl"
)

// A memory is what a sentinel saves.
type memory struct {
	group  string
	id     repl.NodeID
	ballot ballot
	hold   time.Duration // for how long its promises may bind, see promise; 0 if it has never promised
	reign  Reign
	nodes  []contact
	peers  []contact
}

// savedMagic begins a saved state; its last byte is the version.
var savedMagic = [8]byte{'E', 'M', 'B', 'R', 'S', 'N', 'T', 1}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func (m *memory) append(b []byte) []byte {
	start := len(b)
	b = append(b, savedMagic[:]...)
	b = appendText(b, m.group)
	b = append(b, m.id[:]...)
	b = binary.LittleEndian.AppendUint64(b, m.ballot.epoch)
	b = binary.LittleEndian.AppendUint64(b, m.ballot.votedIn)
	b = append(b, m.ballot.votedFor[:]...)
	b = binary.LittleEndian.AppendUint32(b, uint32((m.hold+time.Microsecond-1)/time.Microsecond)) // not shorter than it was
	b = appendReign(b, m.reign)
	b = appendContacts(b, m.peers, maxSavedBytes-4)
	b = appendContacts(b, m.nodes, maxSavedBytes-4)
	return appendChecksum(b, start)
}

// appendChecksum appends the checksum of b from start on.
func appendChecksum(b []byte, start int) []byte {
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli))
}

// parseMemory reads what append wrote. Its errors are StateErrors.
func parseMemory(b []byte) (*memory, error) {
	switch {
	case len(b) > maxSavedBytes:
		return nil, &StateError{Reason: fmt.Sprintf("more than %d bytes", maxSavedBytes)}
	case len(b) < len(savedMagic)+4:
		return nil, &StateError{Reason: fmt.Sprintf("torn: %d bytes", len(b))}
	case [7]byte(b) != [7]byte(savedMagic[:]):
		return nil, &StateError{Reason: "not the state of a sentinel"}
	case b[7] != savedMagic[7]:
		return nil, &StateError{Reason: fmt.Sprintf("version %d, not %d", b[7], savedMagic[7])}
	}
	body, sum := b[:len(b)-4], binary.LittleEndian.Uint32(b[len(b)-4:])
	if crc32.Checksum(body, castagnoli) != sum {
		return nil, &StateError{Reason: "damaged: another checksum"}
	}
	c := &cutter{what: "state", rest: body[len(savedMagic):]}
	m := &memory{group: c.text(repl.MaxNameBytes), id: c.id()}
	m.ballot = ballot{epoch: c.counter(), votedIn: c.counter(), votedFor: repl.NodeID(c.cut(len(repl.NodeID{})))}
	c.check(m.ballot.votedIn <= m.ballot.epoch && (m.ballot.votedIn == 0) == (m.ballot.votedFor == repl.NodeID{}), "vote")
	m.hold = time.Duration(c.uint32()) * time.Microsecond
	c.check(m.hold <= MaxDownAfter, "a promise that binds for too long")
	m.reign, m.peers, m.nodes = c.reign(), c.contacts(MaxPeers), c.contacts(MaxNodes)
	if err := c.end(); err != nil {
		return nil, &StateError{Reason: err.Error()}
	}
	return m, nil
}

// recall loads what the sentinel of a group saved, or begins a memory. A zero id stands for
// the one that was saved, or a new one.
func recall(s Store, group string, id repl.NodeID) (*memory, error) {
	b, err := s.Load()
	if err != nil {
		return nil, err
	}
	if b == nil {
		if id == (repl.NodeID{}) {
			id = repl.NewNodeID()
		}
		return &memory{group: group, id: id}, nil
	}
	m, err := parseMemory(b)
	switch {
	case err != nil:
	case m.group != group:
		err = &StateError{Reason: fmt.Sprintf("of group %q, not %q", m.group, group)}
	case id != repl.NodeID{} && m.id != id:
		err = &StateError{Reason: fmt.Sprintf("of sentinel %s, not %s", m.id, id)}
	}
	if err == nil {
		return m, nil
	}
	var unusable *StateError
	if file, ok := s.(interface{ Path() string }); ok && errors.As(err, &unusable) {
		unusable.File = file.Path()
	}
	return nil, err
}
