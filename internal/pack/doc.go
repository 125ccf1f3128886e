// Package pack compresses pieces of bytes of a bounded size, each by itself: the
// blocks of a snapshot and the frames of a link. It knows neither.
//
// A piece has at most [MaxBytes]. Whoever unpacks one has read its length
// elsewhere, has compared it with a limit and has made room for it, before
// [Decoder.Unpack] looks at the first byte: nothing here allocates on the word
// of what it reads, so a small input that stands for a large output costs no
// more than that room.
//
// # Ownership
//
// An [Encoder] and a [Decoder] belong to one goroutine at a time, and to the writer,
// reader or link that made them: their zstd coders hold channels, which in a
// testing/synctest bubble may be used in that bubble only. So there are none
// at the level of the package. What is not used is not made: the zero value of
// each is ready, and costs nothing before its first use.
//
// The files in reading order: algorithm.go, encoder.go, encoders.go, decoder.go.
package pack
