package rdb

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// The prologue of a stream.
const (
	magic         = "EMBERRDB"
	version       = 1
	prologueBytes = len(magic) + 4
)

// The types of part. 0 is none, so that a run of zeros, which is what a file
// system makes of a block that it lost, is no part.
const (
	partHeader = 1
	partBlock  = 2
	partFooter = 3
)

// A part is framed by its type, the length of its body and its checksum.
const partFrameBytes = 1 + 4 + 4

// streamFooterBytes is the body of the footer part: the footer, and the number
// of blocks that precede it. The number belongs to the stream and not to the
// Footer: a full sync may resend a shard and has no such number.
const streamFooterBytes = FooterBytes + 8

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// A partFrame is what stands before a part's body.
type partFrame struct {
	kind   byte
	length uint32
	crc    uint32
}

// checksum returns the CRC32C over the type, the length and the body, which may
// come in two pieces. Type and length are included because a frame that is read
// wrongly must not find a body that fits it.
func (f partFrame) checksum(body, more []byte) uint32 {
	var b [5]byte
	b[0] = f.kind
	binary.LittleEndian.PutUint32(b[1:], f.length)
	sum := crc32.Update(0, castagnoli, b[:])
	sum = crc32.Update(sum, castagnoli, body)
	return crc32.Update(sum, castagnoli, more)
}

// verify returns ErrChecksum unless the body, in two pieces, is the one that f
// was written for.
func (f partFrame) verify(body, more []byte) error {
	if got := f.checksum(body, more); got != f.crc {
		return fmt.Errorf("%w: part of type %d, %d bytes: %08x, written as %08x",
			ErrChecksum, f.kind, f.length, got, f.crc)
	}
	return nil
}

func parsePartFrame(b []byte) partFrame {
	return partFrame{
		kind:   b[0],
		length: binary.LittleEndian.Uint32(b[1:]),
		crc:    binary.LittleEndian.Uint32(b[5:]),
	}
}

// appendPart appends the frame of a part and the front of its body to dst. The
// rest of the body, more, is framed but left to the caller to write, so that the
// data of a block are not copied.
func appendPart(dst []byte, kind byte, body, more []byte) []byte {
	f := partFrame{kind: kind, length: uint32(len(body) + len(more))}
	dst = append(dst, kind)
	dst = binary.LittleEndian.AppendUint32(dst, f.length)
	dst = binary.LittleEndian.AppendUint32(dst, f.checksum(body, more))
	return append(dst, body...)
}
