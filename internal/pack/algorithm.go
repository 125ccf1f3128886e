package pack

// An Algorithm is a way to compress. Its values stand in files and on links.
type Algorithm uint8

const (
	None Algorithm = iota // as it is
	S2                    // a block of S2, https://github.com/klauspost/compress/tree/master/s2
	Zstd                  // frames of Zstandard, RFC 8878, with windows of at most MaxWindowBytes
)

// Algorithms is how many there are, None included.
const Algorithms = 3

const (
	// MaxBytes bounds a piece before it is packed, and so after it is unpacked:
	// a frame of a link.
	MaxBytes = 256<<10 + 64

	// MinBytes is the size below which a piece is not worth packing: what a few
	// dozen bytes save does not pay for a coder's fixed costs.
	MinBytes = 256

	// MaxWindowBytes bounds how far back a packed piece may refer. An encoder's
	// memory grows with its window, and pieces are hardly larger than this one.
	MaxWindowBytes = 256 << 10
)

// Known reports whether a is one of the algorithms above.
func (a Algorithm) Known() bool { return a < Algorithms }
