package rdb

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"sync"

	"github.com/emberkv/ember/internal/pack"
)

// writeBufferBytes is the size up to which parts are gathered before they are
// written. What does not fit is written from where it lies.
const writeBufferBytes = 16 << 10

// A Writer writes a snapshot: the header, blocks, and the footer, without which
// no reader accepts it. Its methods may be called concurrently; blocks are
// written in the order in which the calls come.
//
// The first error stays: every later call returns it, and the snapshot cannot
// be completed. A Writer has no goroutine, and one that is abandoned needs no
// Close.
type Writer struct {
	compression Compression
	encoders    pack.Encoders
	mu          struct {
		// The mutex is held while the sink's Write runs. It guards nothing but
		// this Writer, and it is the order of the parts: a queue instead would
		// need a bound, and then block as well.
		sync.Mutex
		out   *bufio.Writer
		order *order
		err   error // the first; ErrClosed after Close
	}
}

// NewWriter writes the header h to w, and returns a Writer for the rest. It
// returns [ErrFormat] or [ErrVersion] for a header that is not valid, and the
// errors of w.
//
// A Writer passes large data to w as they are and gathers small data, so w needs
// no buffer. It writes to w from one goroutine at a time and never closes it.
func NewWriter(w io.Writer, h Header) (*Writer, error) { return NewCompressedWriter(w, h, None) }

// NewCompressedWriter is [NewWriter] for a snapshot whose blocks are compressed
// where that makes them smaller. Compressing is part of WriteBlock, and happens on
// as many cores as call it.
func NewCompressedWriter(w io.Writer, h Header, c Compression) (*Writer, error) {
	if err := h.Validate(); err != nil {
		return nil, err
	}
	if !c.known() {
		return nil, fmt.Errorf("rdb: unknown %v", c)
	}
	b := make([]byte, 0, prologueBytes+partFrameBytes+MaxHeaderBytes)
	b = append(b, magic...)
	b = binary.LittleEndian.AppendUint32(b, version)
	b = appendPart(b, partHeader, AppendHeader(nil, h), nil)
	sw := &Writer{compression: c}
	sw.mu.out = bufio.NewWriterSize(wholeWriter{w}, writeBufferBytes)
	sw.mu.order = newOrder(h)
	// The header goes out at once: the other side can prepare its table, and
	// a sink that is of no use says so before a shard is captured.
	sw.mu.out.Write(b) // an error stays in out, and Flush returns it
	if err := sw.mu.out.Flush(); err != nil {
		return nil, err
	}
	return sw, nil
}

// WriteBlock writes b, and keeps no reference to it. It blocks as long as the
// sink does. It returns [ErrFormat] for a block that does not fit: a shard out of
// range, not First when its shard has not begun, more entries than Keys, At other
// than the header's offset. It does not read the entries: a wrong Count shows
// when the snapshot is read.
//
// The block is compressed, and its checksum computed, before the lock is taken, so
// callers on several cores wait for each other only while the sink writes.
func (w *Writer) WriteBlock(b *Block) error {
	err := b.validate()
	var part, data []byte
	if err == nil {
		enc := w.encoders.Get()
		defer w.encoders.Put(enc) // when what may lie in its Scratch is written
		part, data = w.encode(b, enc)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.mu.err != nil {
		return w.mu.err
	}
	if err == nil {
		err = w.mu.order.block(b)
	}
	if err == nil {
		err = w.emitLocked(part, data)
	}
	w.mu.err = err
	return err
}

// encode returns the part for b in two pieces: its front, and the data or their
// packed form in enc's Scratch.
func (w *Writer) encode(b *Block, enc *pack.Encoder) (part, data []byte) {
	var fields [blockFieldBytes]byte
	head := *b
	head.Data = nil
	AppendBlock(fields[:0], &head)
	data = b.Data
	if a := w.compression.algorithm(); a != pack.None {
		packed, ok := appendPacked(enc.Scratch[:0], enc, a, b.Data)
		if enc.Scratch = packed; ok {
			fields[0] |= byte(a) << packedShift
			data = packed
		}
	}
	return appendPart(make([]byte, 0, partFrameBytes+blockFieldBytes), partBlock, fields[:], data), data
}

// Close writes the footer and all that was gathered to the sink, which it does
// not close. Nothing can be written afterwards. It returns [ErrFormat], and
// writes no footer, when a shard is not complete or f disagrees with the
// header's position or the number of entries; it takes f.Sum on trust; only a
// reader checks it.
func (w *Writer) Close(f Footer) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.mu.err != nil {
		return w.mu.err
	}
	err := w.closeLocked(f)
	w.encoders.Close()
	if w.mu.err = err; err == nil {
		w.mu.err = ErrClosed
	}
	return err
}

func (w *Writer) closeLocked(f Footer) error {
	if err := w.mu.order.footer(f); err != nil {
		return err
	}
	body := AppendFooter(make([]byte, 0, streamFooterBytes), f)
	body = binary.LittleEndian.AppendUint64(body, uint64(w.mu.order.blocks))
	w.mu.out.Write(appendPart(nil, partFooter, body, nil))
	return w.mu.out.Flush()
}

// emitLocked writes a block: its front, and the data that follow. An error of
// the first steps stays in out and is returned by the last.
func (w *Writer) emitLocked(front, data []byte) error {
	w.mu.out.Write(front)
	if len(data) > w.mu.out.Available() {
		// An empty bufio.Writer passes on what it cannot hold; one that is
		// not empty would first fill itself by a copy.
		w.mu.out.Flush()
	}
	_, err := w.mu.out.Write(data)
	return err
}

// A wholeWriter turns a short write without an error, which io.Writer forbids
// but broken sinks do, into an error. bufio.Writer would call a sink that writes
// nothing for ever.
type wholeWriter struct{ w io.Writer }

func (w wholeWriter) Write(b []byte) (int, error) {
	n, err := w.w.Write(b)
	if n != len(b) && err == nil {
		err = io.ErrShortWrite
	}
	return n, err
}
