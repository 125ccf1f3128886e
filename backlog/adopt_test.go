package backlog_test

import (
	"encoding/binary"
	"math"
	"sync"
	"testing"

	"github.com/emberkv/ember/backlog"
)

// numbered returns a lineage whose history can be told by its number.
func numbered(n uint64) backlog.Lineage {
	var h backlog.History
	binary.LittleEndian.PutUint64(h[:], n)
	return backlog.Lineage{Current: h}
}

// number is the reverse.
func number(h backlog.History) uint64 { return binary.LittleEndian.Uint64(h[:]) }

const far = 1 << 32 // between the offsets of one numbered history and the next

// While contents are exchanged under them, neither Position nor Continue may
// put an offset of one history beside the name of another.
func TestAdoptIsNeverHalfSeen(t *testing.T) {
	const rounds = 1000
	next := func(n uint64) *backlog.Log {
		l := backlog.NewLogAt(numbered(n), int64(n*far), nil)
		mustAppend(t, l, backlog.AppendRecord(nil, binary.LittleEndian.AppendUint64(nil, n)))
		return l
	}
	l := next(1)
	var wg sync.WaitGroup
	done := make(chan struct{})
	watch := func(look func()) {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					look()
				}
			}
		})
	}
	watch(func() {
		if p := l.Position(); uint64(p.Offset/far) != number(p.History) {
			t.Errorf("history %d at offset %d", number(p.History), p.Offset)
		}
	})
	watch(func() {
		// Every reader of some history reads its record, or learns that
		// the history has gone.
		lineage := l.Lineage()
		n := number(lineage.Current)
		r, refusal := l.Continue(lineage, int64(n*far))
		if refusal != backlog.Accepted {
			return
		}
		b, err := r.Next(math.MaxInt64)
		if err == backlog.ErrReset {
			return
		}
		payload, _, err2 := backlog.CutRecord(b)
		if err != nil || err2 != nil || binary.LittleEndian.Uint64(payload) != n {
			t.Errorf("history %d: %x, %v", n, b, err)
		}
	})
	for n := range uint64(rounds) {
		l.Adopt(next(n + 2))
		if p := l.Position(); number(p.History) != n+2 {
			t.Errorf("after round %d: history %d", n, number(p.History))
		}
	}
	close(done)
	wg.Wait()
}

func TestAdopt(t *testing.T) {
	l := backlog.NewLog(&backlog.Options{MaxBytes: 1 << 20})
	mustAppend(t, l, framed(100, 1))
	refused := false
	l.SetGate(func() error { refused = true; return nil })
	reader := mustRead(t, l, 0)

	other := backlog.NewLogAt(numbered(7), 5000, nil)
	theirs := mustRead(t, other, 5000)
	mustAppend(t, other, framed(200, 2))
	pos, lineage := other.Position(), other.Lineage()
	l.Adopt(other)

	if l.Position() != pos || l.Lineage().Current != lineage.Current {
		t.Errorf("log is at %s, want %s", l.Position(), pos)
	}
	for _, r := range []*backlog.Reader{reader, theirs} {
		if b, err := r.Next(math.MaxInt64); b != nil || err != backlog.ErrReset {
			t.Errorf("reader got %d bytes, %v; want ErrReset", len(b), err)
		}
		if err := r.Wait(t.Context()); err != nil {
			t.Errorf("waiting for a replaced log: %v", err)
		}
		select {
		case <-r.Ready():
		default:
			t.Error("a replaced log is not ready")
		}
	}
	if got := drain(t, mustRead(t, l, 5000)); string(got) != string(framed(200, 2)) {
		t.Errorf("records were not taken over: %x", got)
	}
	if _, err := l.NewReader(4999); err != backlog.ErrTrimmed {
		t.Errorf("before the adopted log: %v", err)
	}
	if mustAppend(t, l, framed(10, 3)); !refused {
		t.Error("the gate was lost")
	}

	// The other one is left with its place and no records, and of its own.
	if other.Position() != pos {
		t.Errorf("other is at %s, want %s", other.Position(), pos)
	}
	mustAppend(t, other, framed(10, 9))
	if got := drain(t, mustRead(t, l, 5200)); string(got) != string(framed(10, 3)) {
		t.Errorf("an append to the other log shows: %x", got)
	}
}

// The window is that of the log that adopts.
func TestAdoptTrims(t *testing.T) {
	fill := func() *backlog.Log {
		other := backlog.NewLog(nil)
		for range 100 {
			mustAppend(t, other, framed(70_000, 0))
		}
		return other
	}
	small := backlog.NewLog(&backlog.Options{MaxBytes: 300_000})
	small.Adopt(fill())
	if w := small.Window(); w.End != 7_000_000 || w.First != w.End-280_000 || w.Max != 300_000 {
		t.Errorf("window %+v", w)
	}
	none := backlog.NewLog(&backlog.Options{MaxBytes: -1})
	none.Adopt(fill())
	if w := none.Window(); w.End != 7_000_000 || w.First != w.End || w.Age != 0 {
		t.Errorf("window %+v", w)
	}
	// A log takes itself over without harm.
	l := fill()
	before := l.Position()
	l.Adopt(l)
	if l.Position() != before || l.Window().First != 0 {
		t.Errorf("now at %s, window %+v", l.Position(), l.Window())
	}
}
