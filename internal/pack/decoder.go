package pack

import (
	"errors"
	"fmt"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
)

// ErrPacked is returned for bytes that do not unpack to what they should. What
// came before it in the room is of no use.
var ErrPacked = errors.New("pack: malformed compressed data")

// A Decoder unpacks pieces. The zero value is ready. It is for one goroutine at
// a time, and has none of its own.
type Decoder struct {
	zstd *zstd.Decoder
}

// Unpack fills dst with what src stands for, packed with a. It returns
// [ErrPacked], and has written no more than len(dst) bytes, when that is not
// exactly len(dst) bytes, at most [MaxBytes], or src is not smaller, or not
// well formed.
func (d *Decoder) Unpack(dst []byte, a Algorithm, src []byte) error {
	if len(dst) > MaxBytes || len(src) >= len(dst) {
		return fmt.Errorf("%w: %d bytes for %d", ErrPacked, len(src), len(dst))
	}
	var got []byte
	var err error
	switch a {
	case S2:
		// The length is compared first: s2.Decode allocates what src says if dst
		// has no room for it.
		if n, lerr := s2.DecodedLen(src); lerr != nil || n != len(dst) {
			return fmt.Errorf("%w: %d bytes of s2, want %d", ErrPacked, n, len(dst))
		}
		got, err = s2.Decode(dst[:0:len(dst)], src)
	case Zstd:
		got, err = d.zstdDecoder().DecodeAll(src, dst[:0:len(dst)])
	default:
		return fmt.Errorf("%w: algorithm %d", ErrPacked, a)
	}
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", ErrPacked, err)
	case len(got) != len(dst):
		return fmt.Errorf("%w: %d bytes, want %d", ErrPacked, len(got), len(dst))
	case &got[0] != &dst[0]:
		// A decoder that takes other memory than it is given breaks what this
		// package promises, and dst would not hold the result.
		return fmt.Errorf("%w: %d bytes beside the room for them", ErrPacked, len(got))
	}
	return nil
}

// zstdDecoder returns the decoder, which is made when it is first needed. The
// room that it is given bounds its output; its memory is for the case that this
// bound does not hold.
func (d *Decoder) zstdDecoder() *zstd.Decoder {
	if d.zstd == nil {
		var err error
		d.zstd, err = zstd.NewReader(nil,
			zstd.WithDecoderConcurrency(1),
			zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxMemory(1<<20),
			zstd.WithDecoderMaxWindow(1<<20),
			zstd.WithDecodeAllCapLimit(true))
		if err != nil {
			panic(err) // the options are constants
		}
	}
	return d.zstd
}

// Close lets go of the coders. The Decoder can be used again, and then makes
// new ones.
func (d *Decoder) Close() {
	if d.zstd != nil {
		d.zstd.Close()
		d.zstd = nil
	}
}
