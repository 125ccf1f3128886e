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

// A Reader reads a snapshot and verifies it. It trusts nothing that the stream
// says: because of a length it allocates at most 256 KiB, and then as bytes
// arrive. It is for one goroutine, has none of its own, and needs no Close.
//
// Verification is serial. As measured, reading, checksum and sum cost 56 to 73 ns
// an entry of 116 bytes, and its insertion into a table some 600; workers in the
// Reader would wait for those that insert, unless these had eight cores.
type Reader struct {
	src    source
	header Header
	footer Footer
	order  *order
	sum    uint64 // of EntrySum so far
	unread bool   // it lacks those of some blocks
	worked int    // bytes verified since the processor was last offered
	err    error  // what Next returns from now on
	spare  []byte // for the data of a block; see Reuse
	packed []byte // of the last packed block; reused
	dec    pack.Decoder
	frame  [partFrameBytes]byte
	fixed  [streamFooterBytes]byte // holds the fields of a block too
}

// NewReader reads the header of a snapshot from r, and returns a Reader for the
// rest. It reads ahead: nobody else may use r until the end, and r must end with
// the snapshot. It blocks as r does. Every error is a [*ReadError].
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

// Footer returns the snapshot's footer after Next has returned io.EOF, and an
// empty one before.
func (r *Reader) Footer() Footer { return r.footer }

// Next returns the next block. Its entries have been read, and are well formed;
// its Data are the caller's, who may keep and modify them. It blocks as the
// source does.
//
// It returns io.EOF when the snapshot has ended and is whole: every shard is
// complete, the source has ended, and the numbers of blocks and entries and the
// sum over all entries, computed here, are those of the footer. Until then nothing
// that it has returned is certain: collect it apart from the state in use. Every
// other error is a [*ReadError] and stays: [ErrFormat], [ErrVersion] or
// [ErrChecksum] for a snapshot that is not whole, else what the source returned.
func (r *Reader) Next() (*Block, error) { return r.nextBlock(true) }

// NextUnread is Next for a caller that reads the entries anyway, perhaps on several cores,
// and itself verifies what Next would: that they are well formed and as many as Count
// says, as [Block.Sum] does, and at the end that their sum is the Footer's. NextUnread
// verifies the checksum and the fields of the block.
func (r *Reader) NextUnread() (*Block, error) { return r.nextBlock(false) }

// Reuse gives r memory for the data of a later block that fits in it: usually the data of
// an earlier block that nobody needs any more. Fresh memory for each costs more than
// reading into it.
func (r *Reader) Reuse(data []byte) { r.spare = data }

func (r *Reader) nextBlock(read bool) (*Block, error) {
	if r.err != nil {
		return nil, r.err
	}
	b, err := r.next(read)
	if err != nil {
		r.err = err
		r.dec.Close()
		return nil, err
	}
	return b, nil
}

func (r *Reader) next(read bool) (*Block, error) {
	start := r.src.at
	f, err := r.src.readFrame(&r.frame)
	if err != nil {
		return nil, err
	}
	switch f.kind {
	case partBlock:
		return r.readBlock(start, f, read)
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

func (r *Reader) readBlock(start int64, f partFrame, read bool) (*Block, error) {
	if f.length < blockFieldBytes || f.length > MaxBlockBytes {
		return nil, &ReadError{start, fmt.Errorf("%w: block of %d bytes, limit %d", ErrFormat, f.length, MaxBlockBytes)}
	}
	fields := r.fixed[:blockFieldBytes]
	if err := r.src.read(fields); err != nil {
		return nil, err
	}
	// The flags are not believed yet: they say only where the bytes may lie
	// until they are. Data are the caller's, packed data are not.
	room, packed := r.spare, fields[0]&packedMask != 0
	if packed {
		room = r.packed
	} else {
		r.spare = nil
	}
	data, err := r.src.readData(int(f.length)-blockFieldBytes, room)
	if err != nil {
		return nil, err
	}
	if packed && cap(data) <= keptPackedBytes {
		r.packed = data
	}
	b, err := r.verifyBlock(f, fields, data)
	if err == nil && read {
		err = r.readEntries(b)
	}
	if err != nil {
		return nil, &ReadError{start, err}
	}
	r.unread = r.unread || !read
	if r.worked += len(b.Data); r.worked >= giveWayBytes {
		r.worked = 0
		runtime.Gosched()
	}
	return b, nil
}

// verifyBlock trusts in this order: the checksum, the fields, the place in the
// stream. The entries come after it.
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
		room := r.spare[:0]
		r.spare = nil
		if b.Data, err = unpack(room, &r.dec, algorithm, data); err != nil {
			return nil, err
		}
	}
	if err := b.validate(); err != nil {
		return nil, err
	}
	if err := r.order.block(b); err != nil {
		return nil, err
	}
	return b, nil
}

func (r *Reader) readEntries(b *Block) error {
	sum, err := b.Sum()
	if err != nil && !errors.Is(err, ErrFormat) {
		err = fmt.Errorf("%w: %w", ErrFormat, err)
	}
	r.sum += sum
	return err
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
	if footer.Sum != r.sum && !r.unread {
		return Footer{}, fmt.Errorf("%w: sum of the entries is %016x, footer says %016x", ErrChecksum, r.sum, footer.Sum)
	}
	return footer, nil
}
