package backlog_test

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/backlog"
)

func TestReaderOffsetsOnWrappedWindow(t *testing.T) {
	for _, window := range []int64{1, 64, 1000, 5000, 100_000} {
		t.Run(fmt.Sprint(window), func(t *testing.T) {
			l := backlog.NewLog(&backlog.Options{MaxBytes: window})
			for l.End() < 3*window+5000 {
				mustAppend(t, l, framed(100, 0))
			}
			w := l.Window()
			for _, c := range []struct {
				at   int64
				want error
			}{
				{math.MinInt64, backlog.ErrTrimmed}, {-1, backlog.ErrTrimmed}, {0, backlog.ErrTrimmed},
				{w.First - 100, backlog.ErrTrimmed}, {w.First - 1, backlog.ErrTrimmed},
				{w.First, nil}, {w.First + 1, backlog.ErrBoundary}, {w.First + 99, backlog.ErrBoundary},
				{w.End - 100, nil}, {w.End - 99, backlog.ErrBoundary}, {w.End - 1, backlog.ErrBoundary},
				{w.End, nil}, {w.End + 1, backlog.ErrAhead}, {math.MaxInt64, backlog.ErrAhead},
			} {
				r, err := l.NewReader(c.at)
				if err != c.want || (r == nil) != (err != nil) {
					t.Errorf("reader at %d of %+v: %v, want %v", c.at, w, err, c.want)
				}
				if r != nil && (r.Offset() != c.at || int64(len(drain(t, r))) != w.End-c.at) {
					t.Errorf("reader from %d has come to %d of %d", c.at, r.Offset(), w.End)
				}
			}
		})
	}
}

// Every offset of a log with records of all kinds of frame, one by one.
func TestReaderAtEveryOffset(t *testing.T) {
	l := backlog.NewLog(nil)
	border := map[int64]bool{0: true}
	for _, n := range []int{1, 2, 127, 128, 129, 130, 3000, 1, 4096, 9000} {
		border[mustAppend(t, l, framed(n, 0))] = true
	}
	for at := range l.End() + 1 {
		r, err := l.NewReader(at)
		switch {
		case border[at] && err != nil, !border[at] && err != backlog.ErrBoundary:
			t.Fatalf("reader at %d: %v", at, err)
		case err == nil && int64(len(drain(t, r))) != l.End()-at:
			t.Fatalf("reader from %d has come to %d of %d", at, r.Offset(), l.End())
		}
	}
}

// Records of every class of size come out as they went in, however large the
// window, and the newest is always held.
func TestEverySize(t *testing.T) {
	sizes := []int{
		1, 2, 100, 128, 129, 1000, 4095, 4096, 4097, 16383, 16384, 32 << 10, 64<<10 - 1, 64 << 10, 64<<10 + 1,
		256<<10 - 1, 256 << 10, 256<<10 + 1, 1 << 20,
	}
	for _, window := range []int64{-1, 1, 63, 64, 65, 1000, 1023, 1024, 16 << 10, 300_000, 0} {
		l := backlog.NewLog(&backlog.Options{MaxBytes: window})
		end := int64(0)
		for i := range 2 * len(sizes) {
			record := framed(sizes[i%len(sizes)], byte(i))
			if got := mustAppend(t, l, record); got != end+int64(len(record)) || got != l.End() {
				t.Fatalf("window %d: record of %d ends at %d, log at %d", window, len(record), got, l.End())
			}
			r, err := l.NewReader(end)
			if window < 0 {
				if err != backlog.ErrTrimmed {
					t.Fatalf("window %d: %v", window, err)
				}
			} else if got := drain(t, r); err != nil || !bytes.Equal(got, record) {
				t.Fatalf("window %d: record of %d came back as %d bytes, %v", window, len(record), len(got), err)
			}
			end = l.End()
			w := l.Window()
			if window < 0 && (w.First != end || w.Max != window) {
				t.Fatalf("window %d is %+v", window, w)
			}
			if window > 0 && w.End-w.First > max(window, int64(len(record))) {
				t.Fatalf("window %d holds %d bytes after a record of %d", window, w.End-w.First, len(record))
			}
		}
	}
}

// An append is of whole records, but of how many is up to the caller.
func TestAppendOfSeveralAndOfNone(t *testing.T) {
	l := backlog.NewLog(nil)
	batch := append(framed(300, 1), framed(200_000, 2)...)
	mustAppend(t, l, nil)
	if w := l.Window(); w != (backlog.Window{Max: backlog.DefaultMaxBytes}) {
		t.Errorf("nothing appended, window %+v", w)
	}
	mustAppend(t, l, batch)
	mustAppend(t, l, nil)
	r := mustRead(t, l, 300)
	if got := drain(t, r); !bytes.Equal(got, batch[300:]) {
		t.Errorf("got %d bytes", len(got))
	}
	if b, err := mustRead(t, l, 0).Next(300); !bytes.Equal(b, batch[:300]) || err != nil {
		t.Errorf("got %d bytes up to a limit of 300, %v", len(b), err)
	}
}

// The log keeps no reference to what it is given, and hands out slices that an
// append to them cannot use to write into the log.
func TestAppendCopies(t *testing.T) {
	for _, n := range []int{100, 100_000} {
		l := backlog.NewLog(nil)
		record := framed(n, 1)
		want := bytes.Clone(record)
		mustAppend(t, l, record)
		clear(record)
		got := drain(t, mustRead(t, l, 0))
		if !bytes.Equal(got, want) {
			t.Errorf("a record of %d changed with the caller's slice", n)
		}
		b, err := mustRead(t, l, 0).Next(math.MaxInt64)
		if err != nil || cap(b) != len(b) {
			t.Errorf("capacity %d for %d bytes, %v", cap(b), len(b), err)
		}
	}
}

// Append does not read what it is given. Bytes that are no records cannot be
// read from within, but neither do they harm.
func TestBytesThatAreNoRecords(t *testing.T) {
	l := backlog.NewLog(nil)
	mustAppend(t, l, bytes.Repeat([]byte{0xff}, 100))
	if _, err := l.NewReader(50); err != backlog.ErrBoundary {
		t.Errorf("got %v", err)
	}
	if got := len(drain(t, mustRead(t, l, 0))); got != 100 {
		t.Errorf("%d bytes", got)
	}
}

func TestAppendAtRefuses(t *testing.T) {
	l := backlog.NewLogAt(numbered(1), 1000, nil)
	history := numbered(1).Current
	record := framed(100, 0)
	appendAt := func(h backlog.History, at int64) error {
		return l.AppendAt(backlog.Position{History: h, Offset: at}, record)
	}
	if err := appendAt(history, 1000); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		h  backlog.History
		at int64
	}{
		"repeat":         {history, 1000},
		"gap":            {history, 1101},
		"one byte early": {history, 1099},
		"other history":  {numbered(2).Current, 1100},
		"no history":     {backlog.History{}, 1100},
		"negative":       {history, -1},
	} {
		if err := appendAt(c.h, c.at); !errors.Is(err, backlog.ErrPosition) {
			t.Errorf("%s: %v", name, err)
		}
	}
	l.Fork(numbered(2).Current)
	if err := appendAt(history, 1100); !errors.Is(err, backlog.ErrPosition) {
		t.Errorf("a history that was left: %v", err)
	}
	// Large ones are refused alike, though they are copied beforehand.
	at := backlog.Position{History: history, Offset: 1100}
	if err := l.AppendAt(at, framed(100_000, 0)); !errors.Is(err, backlog.ErrPosition) {
		t.Errorf("a large record: %v", err)
	}
	if l.End() != 1100 || len(drain(t, mustRead(t, l, 1000))) != 100 {
		t.Errorf("refused records were added: log ends at %d", l.End())
	}
	if err := appendAt(numbered(2).Current, 1100); err != nil {
		t.Errorf("the new history: %v", err)
	}
}

func TestForkKeepsReaders(t *testing.T) {
	l := backlog.NewLog(nil)
	mustAppend(t, l, framed(100, 1))
	behind, waiting := mustRead(t, l, 0), mustRead(t, l, 100)
	ready := waiting.Ready()
	old := l.Position()
	at := l.Fork(numbered(5).Current)
	if at != l.Position() || at.Offset != old.Offset || number(at.History) != 5 {
		t.Errorf("forked at %s, log is at %s", at, l.Position())
	}
	<-ready // it has nothing for the reader but the news
	if got := drain(t, waiting); got != nil {
		t.Errorf("a fork brought %d bytes", len(got))
	}
	ready = waiting.Ready()
	mustAppend(t, l, framed(50, 2))
	want := append(framed(100, 1), framed(50, 2)...)
	if got := drain(t, behind); !bytes.Equal(got, want) {
		t.Errorf("the reader behind got %d bytes", len(got))
	}
	<-ready
	if got := drain(t, waiting); !bytes.Equal(got, want[100:]) {
		t.Errorf("the waiting reader got %d bytes", len(got))
	}
	if lin := l.Lineage(); len(lin.Earlier) != 1 || lin.Earlier[0] != (backlog.Fork{History: old.History, End: 100}) {
		t.Errorf("lineage %v", lin)
	}
}

// A log of its own for the lineage that it was given.
func TestNewLogAtCopiesLineage(t *testing.T) {
	lineage := numbered(1).Fork(numbered(2).Current, 10)
	l := backlog.NewLogAt(lineage, 20, nil)
	lineage.Earlier[0].End = 99
	if got := l.Lineage().Earlier[0].End; got != 10 {
		t.Errorf("the log's fork moved to %d", got)
	}
	if w := l.Window(); w.First != 20 || w.End != 20 || w.Age != 0 {
		t.Errorf("window %+v", w)
	}
}

func TestWindowAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := backlog.NewLog(nil)
		if age := l.Window().Age; age != 0 {
			t.Errorf("an empty log reaches back %v", age)
		}
		mustAppend(t, l, framed(100, 0))
		time.Sleep(3 * time.Second)
		if age := l.Window().Age; age != 3*time.Second {
			t.Errorf("reaches back %v, want 3s", age)
		}
	})
}

// A bound by age holds for a log that was filled elsewhere, where nobody noted
// the time of each record.
func TestAgeOfAdoptedRecords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		other := backlog.NewLog(nil)
		mustAppend(t, other, framed(100_000, 0))
		time.Sleep(50 * time.Second)
		mustAppend(t, other, framed(100_000, 0))
		mustAppend(t, other, framed(100, 0))
		l := backlog.NewLog(&backlog.Options{MaxAge: time.Minute})
		l.Adopt(other)
		time.Sleep(30 * time.Second)
		if mustAppend(t, l, framed(100, 0)); l.Window().First != 0 {
			// The first record's time is known no better than by the next.
			t.Errorf("first is %d after 30s", l.Window().First)
		}
		time.Sleep(40 * time.Second)
		if mustAppend(t, l, framed(100, 0)); l.Window().First != 200_000 {
			t.Errorf("first is %d after 70s, want 200000", l.Window().First)
		}
	})
}
