package backlog_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/emberkv/ember/backlog"
)

// A shelf keeps a log's first bytes, and hands them out in runs of ten.
type shelf struct {
	bytes  []byte
	first  int64
	size   int64 // of a record
	err    error
	opened int
	closed int
}

func (s *shelf) First() (int64, bool) { return s.first, int(s.first) < len(s.bytes) }

func (s *shelf) Open(offset int64) (backlog.Past, error) {
	switch {
	case s.err != nil:
		return nil, s.err
	case offset < s.first:
		return nil, backlog.ErrTrimmed
	case offset%s.size != 0:
		return nil, backlog.ErrBoundary
	}
	s.opened++
	return &pile{s, offset, backlog.Sum{}.Add(s.bytes[:offset])}, nil
}

type pile struct {
	shelf *shelf
	at    int64
	sum   backlog.Sum
}

func (p *pile) Sum() backlog.Sum { return p.sum }

func (p *pile) Next() ([]byte, error) {
	if p.shelf.err != nil {
		return nil, p.shelf.err
	}
	if p.at == int64(len(p.shelf.bytes)) {
		return nil, backlog.ErrAhead
	}
	b := p.shelf.bytes[p.at:min(p.at+10*p.shelf.size, int64(len(p.shelf.bytes)))]
	p.at += int64(len(b))
	return bytes.Clone(b), nil
}

func (p *pile) Close() error {
	p.shelf.closed++
	return nil
}

// shelved returns a log that has given up most of its n records of 100 bytes, and the archive
// that has all of them.
func shelved(t *testing.T, n int) (*backlog.Log, *shelf) {
	t.Helper()
	l := backlog.NewLog(&backlog.Options{MaxBytes: 64 << 10})
	s := &shelf{size: 100}
	l.EndReader().SetArchive(s)
	for i := range n {
		record := backlog.AppendRecord(nil, bytes.Repeat([]byte{byte(i)}, 99))
		if _, err := l.Append(record); err != nil {
			t.Fatal(err)
		}
		s.bytes = append(s.bytes, record...)
	}
	if l.Window().First == 0 {
		t.Fatal("nothing was given up")
	}
	return l, s
}

// TestReaderFromTheArchive: a reader that is behind the window reads the archive, goes over to
// the window without a gap, and back when it is outrun.
func TestReaderFromTheArchive(t *testing.T) {
	l, s := shelved(t, 5000)
	if w := l.Window(); w.Archived != 0 {
		t.Errorf("window %+v", w)
	}
	r, refusal := l.Continue(l.Lineage(), 1000)
	if refusal != backlog.Accepted {
		t.Fatal(refusal)
	}
	if got := r.Confirm(backlog.Sum{}.Add(s.bytes[:1000])); got != backlog.Confirmed {
		t.Errorf("the archive's sum: %v", got)
	}
	if got := r.Confirm(backlog.Sum{}.Add(s.bytes[:999])); got != backlog.Differs {
		t.Errorf("another sum: %v", got)
	}
	r.Bind()
	got := bytes.Clone(s.bytes[:1000])
	for round := 0; r.Offset() < l.End(); round++ {
		b, err := r.Next(min(r.Offset()+700, l.End()))
		if err != nil || len(b) == 0 {
			t.Fatalf("at %d: %d bytes, %v", r.Offset(), len(b), err)
		}
		if round%3 == 0 && len(b) > 100 {
			r.Back(100)
			b = b[:len(b)-100]
		}
		got = append(got, b...)
		if s.opened == 1 && s.closed == 1 { // in the window: outrun it
			for range 5000 {
				record := backlog.AppendRecord(nil, make([]byte, 99))
				l.Append(record)
				s.bytes = append(s.bytes, record...)
			}
		}
	}
	if !bytes.Equal(got, s.bytes) || s.opened != 2 {
		t.Errorf("%d bytes of %d, the archive was opened %d times", len(got), len(s.bytes), s.opened)
	}
	r.Close()
	if s.closed != s.opened {
		t.Errorf("opened %d times, closed %d times", s.opened, s.closed)
	}
}

// TestArchiveHasItNot: what an archive cannot give back is trimmed.
func TestArchiveHasItNot(t *testing.T) {
	l, s := shelved(t, 5000)
	s.first = 2000
	if _, refusal := l.Continue(l.Lineage(), 1000); refusal != backlog.Trimmed {
		t.Errorf("before the archive: %v", refusal)
	}
	if _, refusal := l.Continue(l.Lineage(), 2050); refusal != backlog.InsideRecord {
		t.Errorf("inside a record: %v", refusal)
	}
	r, refusal := l.Continue(l.Lineage(), 2000)
	if refusal != backlog.Accepted {
		t.Fatal(refusal)
	}
	defer r.Close()
	lost := errors.New("lost")
	s.err = lost
	if _, err := r.Next(l.End()); !errors.Is(err, backlog.ErrTrimmed) || !errors.Is(err, lost) {
		t.Errorf("an archive that fails: %v", err)
	}
	if s.closed != s.opened {
		t.Errorf("opened %d times, closed %d times", s.opened, s.closed)
	}
	if _, refusal := l.Continue(l.Lineage(), 2000); refusal != backlog.Trimmed {
		t.Errorf("one that cannot be opened: %v", refusal)
	}
	l.Adopt(backlog.NewLogAt(l.Lineage(), l.End(), nil))
	if w := l.Window(); w.Archived != w.First {
		t.Error("the archive is that of other contents")
	}
}
