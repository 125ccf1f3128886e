package rdb

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"runtime"

	"github.com/emberkv/ember/internal/pack"
)

// giveWayBytes is how much is verified, about 100 microseconds' worth,
// before the processor is offered to others: a snapshot that is loaded on few
// cores must not make the readers of the store wait for the scheduler.
const giveWayBytes = 256 << 10

// keptPackedBytes is the largest room for packed data that is kept from one block to
// the next.
const keptPackedBytes = trustBytes

// A Reader reads a snapshot and verifies it. It believes nothing that the stream
// says: it allocates at most 256 KiB on the word of a length, and then as
// bytes arrive. It is for one goroutine, has none of its own, and needs no Close.
//
// Verification is serial. Measured, reading, checksum and sum cost 56 to 73 ns an
// entry of 116 bytes, and its insertion into a table some 600; workers behind
// the Reader would wait for those that insert, unless these had eight cores.
type Reader struct {
	src    source
	header Header
	footer Footer
	order  *order
	sum    uint64 // of EntrySum so far
	worked int    // bytes verified since the processor was last offered
	err    error  // what Next returns from now on
	packed []byte // of the last packed block; reused
	dec    pack.Decoder
	frame  [partFrameBytes]byte
	fixed  [streamFooterBytes]byte // holds the fields of a block too
}

// NewReader reads the header of a snapshot from r, and returns a Reader for the
// rest. It reads ahead: r is to be used by nobody else until the end, and must
// end with the snapshot. It blocks as r does. All of its errors are a [*ReadError].
func NewReader(r io.Reader) (*Reader, error) {
	sr := &Reader{src: source{buf: bufio.NewReaderSize(r, readBufferBytes)}}
	if err := sr.readHeader(); err != nil {
		return nil, err
	}
	sr.order = newOrder(sr.header)
	return sr, nil
}

// Header returns the snapshot's header.
func (r *Reader) Header() Header { return r.header }

// Footer returns the snapshot's footer once Next has returned io.EOF, and an
// empty one before.
func (r *Reader) Footer() Footer { return r.footer }

// Next returns the next block. Its entries have been read, and are well formed;
// its Data are the caller's, who may keep and modify them. It blocks as the
// source does.
//
// It returns io.EOF when the snapshot has ended and is whole: every shard is
// complete, the source has ended, and the numbers of blocks and entries and the
// sum over all entries, computed here, are those of the footer. Until then, nothing
// that it returned should be taken for good: collect it apart from the state in
// use. Every other error is a [*ReadError] and stays: [ErrFormat], [ErrVersion] or
// [ErrChecksum] for a snapshot that is not whole, else what the source returned.
func (r *Reader) Next() (*Block, error) {
	if r.err != nil {
		return nil, r.err
	}
	b, err := r.next()
	if err != nil {
		r.err = err
		r.dec.Close()
		return nil, err
	}
	return b, nil
}

func (r *Reader) next() (*Block, error) {
	start := r.src.at
	f, err := r.src.readFrame(&r.frame)
	if err != nil {
		return nil, err
	}
	switch f.kind {
	case partBlock:
		return r.readBlock(start, f)
	case partFooter:
		if err := r.readFooter(start, f); err != nil {
			return nil, err
		}
		return nil, io.EOF
	}
	return nil, &ReadError{start, fmt.Errorf("%w: part of type %d where a block or the footer is due", ErrFormat, f.kind)}
}

func (r *Reader) readHeader() error {
	prologue := make([]byte, prologueBytes)
	if err := r.src.read(prologue); err != nil {
		return err
	}
	if got := string(prologue[:len(magic)]); got != magic {
		return &ReadError{0, fmt.Errorf("%w: begins with %q", ErrFormat, got)}
	}
	if v := binary.LittleEndian.Uint32(prologue[len(magic):]); v != version {
		return &ReadError{0, fmt.Errorf("%w: snapshot of version %d, this is %d", ErrVersion, v, version)}
	}
	start := r.src.at
	f, err := r.src.readFrame(&r.frame)
	if err != nil {
		return err
	}
	if f.kind != partHeader || f.length > MaxHeaderBytes {
		return &ReadError{start, fmt.Errorf("%w: part of type %d, length %d where the header is due",
			ErrFormat, f.kind, f.length)}
	}
	body := make([]byte, f.length)
	if err := r.src.read(body); err != nil {
		return err
	}
	if err := f.verify(body, nil); err != nil {
		return &ReadError{start, err}
	}
	if r.header, err = ParseHeader(body); err != nil {
		return &ReadError{start, err}
	}
	return nil
}

func (r *Reader) readBlock(start int64, f partFrame) (*Block, error) {
	if f.length < blockFieldBytes || f.length > MaxBlockBytes {
		return nil, &ReadError{start, fmt.Errorf("%w: block of %d bytes, limit %d", ErrFormat, f.length, MaxBlockBytes)}
	}
	fields := r.fixed[:blockFieldBytes]
	if err := r.src.read(fields); err != nil {
		return nil, err
	}
	// The flags are not believed yet: they say only where the bytes may lie
	// until they are. Data are the caller's, packed data are not.
	var room []byte
	packed := fields[0]&packedMask != 0
	if packed {
		room = r.packed
	}
	data, err := r.src.readData(int(f.length)-blockFieldBytes, room)
	if err != nil {
		return nil, err
	}
	if packed && cap(data) <= keptPackedBytes {
		r.packed = data
	}
	b, err := r.verifyBlock(f, fields, data)
	if err != nil {
		return nil, &ReadError{start, err}
	}
	return b, nil
}

// verifyBlock trusts in this order: the checksum, the fields, the place in the
// stream, the entries.
func (r *Reader) verifyBlock(f partFrame, fields, data []byte) (*Block, error) {
	if err := f.verify(fields, data); err != nil {
		return nil, err
	}
	algorithm := pack.Algorithm((fields[0] & packedMask) >> packedShift)
	if fields[0] &^= packedMask; !algorithm.Known() {
		return nil, fmt.Errorf("%w: block packed by algorithm %d", ErrVersion, algorithm)
	}
	b, err := parseBlockFields(fields)
	if err != nil {
		return nil, err
	}
	if b.Data = data; algorithm != pack.None {
		if b.Data, err = unpack(&r.dec, algorithm, data); err != nil {
			return nil, err
		}
	}
	if err := b.validate(); err != nil {
		return nil, err
	}
	if err := r.order.block(b); err != nil {
		return nil, err
	}
	sum, err := b.Sum()
	if err != nil {
		if !errors.Is(err, ErrFormat) {
			err = fmt.Errorf("%w: %w", ErrFormat, err)
		}
		return nil, err
	}
	r.sum += sum
	if r.worked += len(b.Data); r.worked >= giveWayBytes {
		r.worked = 0
		runtime.Gosched()
	}
	return b, nil
}

func (r *Reader) readFooter(start int64, f partFrame) error {
	if f.length != streamFooterBytes {
		return &ReadError{start, fmt.Errorf("%w: footer of %d bytes, want %d", ErrFormat, f.length, streamFooterBytes)}
	}
	body := r.fixed[:streamFooterBytes]
	if err := r.src.read(body); err != nil {
		return err
	}
	footer, err := r.verifyFooter(f, body)
	if err != nil {
		return &ReadError{start, err}
	}
	if err := r.src.end(); err != nil {
		return err
	}
	r.footer = footer
	return nil
}

func (r *Reader) verifyFooter(f partFrame, body []byte) (Footer, error) {
	if err := f.verify(body, nil); err != nil {
		return Footer{}, err
	}
	footer, err := ParseFooter(body[:FooterBytes])
	if err != nil {
		return Footer{}, err
	}
	if err := r.order.footer(footer); err != nil {
		return Footer{}, err
	}
	if n := binary.LittleEndian.Uint64(body[FooterBytes:]); n != uint64(r.order.blocks) {
		return Footer{}, fmt.Errorf("%w: %d blocks, footer says %d", ErrFormat, r.order.blocks, n)
	}
	if footer.Sum != r.sum {
		return Footer{}, fmt.Errorf("%w: sum of the entries is %016x, footer says %016x", ErrChecksum, r.sum, footer.Sum)
	}
	return footer, nil
}
