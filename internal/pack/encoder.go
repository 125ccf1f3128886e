package pack

import (
	"fmt"
	"slices"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
)

// An Encoder packs pieces. The zero value is ready. It is for one goroutine at
// a time, and has none of its own.
type Encoder struct {
	// Scratch is the user's to append to, and stays with the encoder.
	Scratch []byte

	zstd *zstd.Encoder
}

// Append appends src, packed with a, to dst. It returns false, and dst as it was,
// when src is smaller than [MinBytes], or does not become smaller, or a is None.
// It panics when src has more than [MaxBytes].
func (e *Encoder) Append(dst []byte, a Algorithm, src []byte) ([]byte, bool) {
	if len(src) > MaxBytes {
		panic(fmt.Sprintf("pack: piece of %d bytes, limit %d", len(src), MaxBytes))
	}
	if len(src) < MinBytes {
		return dst, false
	}
	var packed []byte
	switch a {
	case S2:
		// s2.Encode writes to the front of what it is given and would take
		// memory of its own if that could be too small.
		dst = slices.Grow(dst, s2.MaxEncodedLen(len(src)))
		packed = s2.Encode(dst[len(dst):cap(dst)], src)
		packed = dst[:len(dst)+len(packed)]
	case Zstd:
		packed = e.zstdEncoder().EncodeAll(src, slices.Grow(dst, len(src)/2))
	default:
		return dst, false
	}
	if len(packed)-len(dst) >= len(src) {
		return packed[:len(dst)], false // keeps the room
	}
	return packed, true
}

// zstdEncoder returns the encoder, which is made when it is first needed: it
// holds some hundred KiB of tables.
func (e *Encoder) zstdEncoder() *zstd.Encoder {
	if e.zstd == nil {
		var err error
		e.zstd, err = zstd.NewWriter(nil,
			zstd.WithEncoderLevel(zstd.SpeedFastest),
			zstd.WithEncoderConcurrency(1),
			zstd.WithWindowSize(MaxWindowBytes),
			zstd.WithLowerEncoderMem(true),
			zstd.WithEncoderCRC(false)) // every carrier has its own checksum
		if err != nil {
			panic(err) // the options are constants
		}
	}
	return e.zstd
}

// Close lets go of the coders. The Encoder can be used again, and then makes
// new ones.
func (e *Encoder) Close() {
	if e.zstd != nil {
		e.zstd.Close() // without a writer there is nothing to flush, nor to fail
		e.zstd = nil
	}
}
