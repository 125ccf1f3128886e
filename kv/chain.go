package kv

import (
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/rdb"
)

// A link is a segment of the journal, in the order in which they were begun.
type link struct {
	storedFile
	header rdb.SegmentHeader
	ok     bool // the header could be read
}

// A bad place is where a segment has no frame, and should.
type badPlace struct {
	at  int64 // in the file
	err error
}

// headers reads the headers of all segments.
func (r *recovery) headers(files []storedFile) (chain []link, err error) {
	for _, f := range files {
		l := link{storedFile: f}
		sr, file, err := r.folder.openSegment(f)
		if err == nil {
			l.header, l.ok = sr.Header(), true
			file.Close()
		} else if !isDamage(err) {
			return nil, err
		}
		chain = append(chain, l)
	}
	return chain, nil
}

// isDamage reports whether an error is about the bytes that were read, and not about
// reading, nor about bytes that a newer version has written.
func isDamage(err error) bool {
	return (errors.Is(err, rdb.ErrFormat) || errors.Is(err, rdb.ErrChecksum)) && !errors.Is(err, rdb.ErrVersion)
}

// replay applies the journal behind the snapshot, and fills the log's window with what it
// has before.
func (r *recovery) replay(files []storedFile) error {
	chain, err := r.headers(files)
	if err != nil {
		return err
	}
	needed := -1 // the last that begins at or before the snapshot
	for i, l := range chain {
		if l.ok && l.header.Base <= r.from.Offset {
			needed = i
		}
	}
	r.windowed = r.window(chain, needed)
	first, useless := min(r.windowed, needed), len(r.useless)
	err = r.walk(chain, first)
	var c *CorruptError
	if errors.As(err, &c) && first < needed && r.log.End() < r.from.Offset {
		// The damage is in what only the window would be filled from, and says nothing of what
		// lies behind it.
		r.useless, r.report.Torn = r.useless[:useless], 0
		err = r.walk(chain, needed)
		errors.As(err, &c)
	}
	if err == nil || c == nil || !r.repair {
		return err
	}
	r.report.Repaired = c
	if r.log.End() < r.from.Offset {
		r.log = backlog.NewLogAt(r.origin.Lineage, r.from.Offset, &r.store.opts)
		r.origin.Own = true
	}
	return nil
}

// window returns from which segment on the log's window is filled; the last of those that are
// needed anyway, if not earlier. Segments that were given up, and could not be removed, are
// passed by.
func (r *recovery) window(chain []link, needed int) int {
	bytes := r.store.opts.MaxBytes
	if bytes == 0 {
		bytes = backlog.DefaultMaxBytes
	}
	first, base := needed, int64(math.MaxInt64)
	for i := len(chain) - 1; i >= 0 && bytes > 0 && chain[i].ok; i-- {
		bytes -= chain[i].size
		if chain[i].header.Base < base { // else a later one has begun before it
			base, first = chain[i].header.Base, i
		}
	}
	return first
}

// walk follows the journal from the segment first on to its end, which is a torn tail or a
// CorruptError.
func (r *recovery) walk(chain []link, first int) error {
	if first < 0 {
		r.log = backlog.NewLogAt(r.origin.Lineage, r.from.Offset, &r.store.opts)
		return r.end(chain, -1, nil)
	}
	h := chain[first].header
	// What lies before the window only leads there: it would be copied into the log, and
	// trimmed.
	r.log, r.origin = backlog.NewLogAt(h.Origin.Lineage, h.Base, &backlog.Options{MaxBytes: -1}), h.Origin
	p := newReplayer(r.table)
	defer p.stop()
	for i, within := first, false; ; {
		if i >= r.windowed && !within {
			within = true
			if err := r.beginWindow(chain[i].header); err != nil {
				return err
			}
		}
		bad, err := r.follow(chain[i], p)
		if err != nil {
			return err
		}
		next := r.successor(chain, i)
		if next < 0 {
			if err := p.stop(); err != nil {
				return err
			}
			r.report.Records = p.records
			r.chain = chain[:i+1]
			if !within {
				r.log = backlog.NewLogAt(r.origin.Lineage, r.log.End(), &r.store.opts)
			}
			return r.end(chain, i, bad)
		}
		if r.log.End() > chain[next].header.Base {
			if err := r.syncFile(chain[i]); err != nil {
				return err
			}
		}
		i = next
	}
}

// beginWindow lets the log hold what comes from now on, which begins with a segment.
func (r *recovery) beginWindow(h rdb.SegmentHeader) error {
	r.log = backlog.NewLogAt(r.log.Lineage(), r.log.End(), &r.store.opts)
	if h.Base != r.log.End() {
		return nil // its sum is not that of the log up to here
	}
	return r.log.SetSum(h.Base, h.Sum)
}

// successor returns the next segment that goes on from where the log ends, or before; -1 if
// there is none.
func (r *recovery) successor(chain []link, i int) int {
	for k := i + 1; k < len(chain); k++ {
		if chain[k].ok && chain[k].header.Base <= r.log.End() {
			return k
		}
	}
	return -1
}

// follow takes what a segment has behind the log's end. It returns where that ends, if not
// with the file.
func (r *recovery) follow(l link, p *replayer) (*badPlace, error) {
	sr, file, err := r.folder.openSegment(l.storedFile)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if l.header.Base == r.log.End() {
		if err := r.extend(l.header.Origin); err != nil {
			return nil, &CorruptError{File: r.folder.join(l.name), Err: err}
		}
	}
	for {
		at := sr.At()
		if memory := p.memory(); memory != nil {
			sr.Reuse(memory)
		}
		f, err := sr.Next()
		if err == io.EOF {
			return nil, nil
		}
		if err == nil {
			err = r.take(f, p)
		}
		if err != nil && !isDamage(err) {
			return nil, fmt.Errorf("%s: %w", r.folder.join(l.name), err)
		}
		if err != nil {
			return &badPlace{at, err}, nil
		}
	}
}

// errNotLoaded ends the reading of a journal that has no snapshot to be applied to: what is
// wrong with that one is the error to be reported.
var errNotLoaded = errors.New("the snapshot was not loaded")

// take takes what a frame has behind the log's end.
func (r *recovery) take(f rdb.Frame, p *replayer) error {
	end := r.log.End()
	switch {
	case f.Kind == rdb.FrameLineage && f.Offset == end:
		o, err := rdb.ParseOrigin(f.Body, f.Offset)
		if err != nil {
			return err
		}
		return r.extend(o)
	case f.Kind != rdb.FrameRecords || f.Offset+int64(len(f.Body)) <= end:
		return nil
	}
	body := f.Body[max(end-f.Offset, 0):]
	if err := r.log.AppendAt(r.log.Position(), body); err != nil {
		return err
	}
	behind := max(r.from.Offset-end, 0)
	if behind >= int64(len(body)) {
		p.free = f.Body
		return nil
	}
	if err := r.loading.wait(); err != nil {
		return errNotLoaded
	}
	r.report.Journal += int64(len(body)) - behind
	return p.add(end+behind, body[behind:], f.Body)
}

// extend goes over to another history.
func (r *recovery) extend(o rdb.Origin) error {
	if err := r.log.Extend(o.Lineage); err != nil {
		return fmt.Errorf("%w: %w", rdb.ErrFormat, err)
	}
	r.origin = o
	return nil
}

// end decides what it means that the journal ends here, in segment i.
func (r *recovery) end(chain []link, i int, bad *badPlace) error {
	end := r.log.End()
	c := &CorruptError{File: r.folder.path, Err: errors.New("a part of the journal is missing")}
	mark := int64(-1)
	if end < r.from.Offset {
		mark = r.from.Offset // no snapshot is put in its place before the journal is synced up to it
	}
	if i >= 0 {
		c.File, c.Offset = r.folder.join(chain[i].name), chain[i].size
	}
	if bad != nil {
		c.Offset, c.Err = bad.at, bad.err
		m, err := r.marks(chain[i], bad.at, end, end)
		if err != nil {
			return err
		}
		mark = max(mark, m)
		r.report.Torn += chain[i].size - bad.at
	}
	for _, l := range chain[i+1:] {
		m, err := l.header.Synced, error(nil)
		if !l.ok {
			m, err = r.marks(l, 0, end, backlog.MaxOffset/2)
		}
		if err != nil {
			return err
		}
		mark = max(mark, m)
		r.report.Torn += l.size
		r.useless = append(r.useless, l.name)
	}
	if mark > end {
		c.Err = fmt.Errorf("the journal ends at offset %d, and was synced up to %d, which Durability.Repair gives up: %w", end, mark, c.Err)
		return c
	}
	if i >= 0 && !r.stopped {
		return r.syncFile(chain[i])
	}
	return nil
}

// marks returns the highest offset up to which frames behind the place at say that the
// journal was synced.
func (r *recovery) marks(l link, at, low, high int64) (int64, error) {
	file, err := r.folder.fs.Open(r.folder.join(l.name))
	if err != nil {
		return 0, err
	}
	defer file.Close()
	b, err := io.ReadAll(io.NewSectionReader(file, at, max(l.size-at, 0)))
	if err != nil {
		return 0, err
	}
	return l.HighestMark(b, at, low, high), nil
}

// shelve tells a of the segments that the log has come by, those too that were not read because
// they lie before its window.
func (r *recovery) shelve(a *archive) {
	if r.log == nil {
		return // there was nothing
	}
	lineage, end, base := r.log.Lineage(), r.log.End(), int64(math.MaxInt64)
	var shelves []shelf
	for i := len(r.chain) - 1; i >= 0 && r.chain[i].ok; i-- {
		h := r.chain[i].header
		if common, ok := lineage.Common(end, h.Origin.Lineage, h.Base); !ok || common < h.Base {
			break
		}
		if h.Base < base { // else it was given up
			base = h.Base
			shelves = append(shelves, shelf{r.chain[i].Segment, base})
		}
	}
	for _, s := range slices.Backward(shelves) {
		a.add(s.Segment, s.base)
	}
}

// syncFile makes what was read durable: the process that wrote it may have ended before it
// could, and what follows will say that it is. A sync that fails is told once only, so none is
// made for a snapshot that turns out to be damaged.
func (r *recovery) syncFile(l link) error {
	if r.loading.wait() != nil {
		return errNotLoaded
	}
	file, err := r.folder.fs.Open(r.folder.join(l.name))
	if err != nil {
		return err
	}
	defer file.Close()
	return file.Sync()
}
