package repl

import (
	"encoding/binary"
	"fmt"

	"github.com/emberkv/ember/backlog"
)

// A standing is the highest epoch that a node has heard of in its group.
type standing struct {
	epoch backlog.Epoch
	over  bool // the node that began it follows another now: nobody writes in it any more
}

// above reports whether s says more than t: a higher epoch, or that the same is over.
func (s standing) above(t standing) bool {
	c := s.epoch.Compare(t.epoch)
	return c > 0 || c == 0 && s.over && !t.over
}

// standing returns the highest epoch that the node has heard of.
func (n *Node) standing() standing { return standing{epoch: n.log.Lineage().Epoch} }

// overBit is beside the counter of a standing on the wire, which has no use for it.
const overBit = 1 << 63

const standingBytes = backlog.EpochBytes

func (s standing) append(b []byte) []byte {
	e := s.epoch
	if s.over {
		e.Counter |= overBit
	}
	b, _ = e.AppendBinary(b)
	return b
}

// parseStanding reads what append wrote, at the beginning of b, which has as many bytes.
func parseStanding(b []byte) (s standing, err error) {
	var raw [standingBytes]byte
	copy(raw[:], b)
	if s.over = raw[7]&0x80 != 0; s.over {
		binary.LittleEndian.PutUint64(raw[:], binary.LittleEndian.Uint64(raw[:])&^overBit)
	}
	if s.epoch, _, err = backlog.CutEpoch(raw[:]); err != nil || s.over && s.epoch.IsZero() {
		return standing{}, fmt.Errorf("%w: epoch % x", ErrProtocol, b[:standingBytes])
	}
	return s, nil
}
