package rdb

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

const (
	// readBufferBytes is what is read ahead for the small pieces of a stream.
	// The data of a block beyond it are read to where they will stay.
	readBufferBytes = 16 << 10

	// trustBytes is the most that is allocated on the word of a length alone.
	// It covers a block of the usual size, so that those are read into place
	// at once. Beyond it, memory at most doubles with what has arrived.
	trustBytes = 2 * DefaultBlockBytes

	// The allocator rounds what is larger than largeBytes up to a multiple of pageBytes. To
	// have the rest, too, costs nothing, and fits what is a little larger the next time.
	largeBytes = 32 << 10
	pageBytes  = 8 << 10
)

// A source is the bytes of a stream, counted. Its errors are a *ReadError.
type source struct {
	buf *bufio.Reader
	at  int64 // bytes taken from buf
}

// readFrame reads the frame of the next part, by way of b.
func (s *source) readFrame(b *[partFrameBytes]byte) (partFrame, error) {
	if err := s.read(b[:]); err != nil {
		return partFrame{}, err
	}
	return parsePartFrame(b[:]), nil
}

// read fills b from the source. A source that ends before is a stream that was
// cut: inside a part, or before its footer.
func (s *source) read(b []byte) error {
	n, err := io.ReadFull(s.buf, b)
	s.at += int64(n)
	switch {
	case err == nil:
		return nil
	case err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF):
		return &ReadError{s.at, fmt.Errorf("%w: %w", ErrFormat, io.ErrUnexpectedEOF)}
	}
	return &ReadError{s.at, err}
}

// readData reads n bytes into room, if it has the capacity, or else into fresh
// memory. A length is not believed before the bytes are there: what is allocated beyond
// trustBytes is at most twice what has arrived. Growing by doubling copies each byte once on average; growing by
// constant steps would copy a block of 256 MiB four thousand times.
func (s *source) readData(n int, room []byte) ([]byte, error) {
	b := room[:min(n, cap(room))]
	if len(b) < n {
		first := min(n, trustBytes)
		b = make([]byte, first, roundUp(first))
	}
	if err := s.read(b); err != nil {
		return nil, err
	}
	for len(b) < n {
		have := len(b)
		grown := make([]byte, min(n, 2*have))
		copy(grown, b)
		b = grown
		if err := s.read(b[have:]); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// roundUp returns how many bytes there are to be had for n.
func roundUp(n int) int {
	if n <= largeBytes {
		return n
	}
	return (n + pageBytes - 1) &^ (pageBytes - 1)
}

// end returns an error unless the source has nothing more.
func (s *source) end() error {
	switch _, err := s.buf.ReadByte(); err {
	case io.EOF:
		return nil
	case nil:
		// Two snapshots in one file, or a short one written over a longer:
		// whichever it is, somebody meant something else.
		return &ReadError{s.at, fmt.Errorf("%w: more bytes after the footer", ErrFormat)}
	default:
		return &ReadError{s.at, err}
	}
}
