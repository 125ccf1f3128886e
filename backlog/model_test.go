package backlog_test

import (
	"bytes"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/emberkv/ember/backlog"
)

// A model is all that ever went into a log, and where records begin.
type model struct {
	bytes   []byte
	borders []int64
	log     *backlog.Log
	readers []*backlog.Reader
}

func (m *model) end() int64 { return int64(len(m.bytes)) }

func (m *model) append(t *testing.T, rng *rand.Rand) {
	n := 1 + rng.IntN(200)
	switch rng.IntN(20) {
	case 0:
		n = rng.IntN(8000)
	case 1:
		n = rng.IntN(90_000)
	}
	payload := make([]byte, n)
	for i := range payload {
		payload[i] = byte(rng.Uint32())
	}
	record := backlog.AppendRecord(nil, payload)
	if rng.IntN(2) == 0 {
		mustAppend(t, m.log, record)
	} else if err := m.log.AppendAt(m.log.Position(), record); err != nil {
		t.Fatal(err)
	}
	m.bytes = append(m.bytes, record...)
	m.borders = append(m.borders, m.end())
}

// begin begins a reader somewhere, mostly at a border that may be held.
func (m *model) begin(t *testing.T, rng *rand.Rand) {
	w := m.log.Window()
	at := w.First - 300 + rng.Int64N(w.End-w.First+600)
	if rng.IntN(4) > 0 {
		at = m.borders[max(len(m.borders)-1-rng.IntN(60), 0)]
	}
	_, border := slices.BinarySearch(m.borders, at)
	want := error(nil)
	switch {
	case at > w.End:
		want = backlog.ErrAhead
	case at < w.First:
		want = backlog.ErrTrimmed
	case !border:
		want = backlog.ErrBoundary
	}
	r, err := m.log.NewReader(at)
	if err != want {
		t.Fatalf("reader at %d of %+v: %v, want %v", at, w, err, want)
	}
	if r != nil {
		m.readers = append(m.readers, r)
	}
}

// read lets a reader go on, up to a border or without a limit.
func (m *model) read(t *testing.T, rng *rand.Rand) {
	i := rng.IntN(len(m.readers))
	r, limit, first := m.readers[i], int64(math.MaxInt64), m.log.Window().First
	if rng.IntN(3) == 0 {
		limit = m.borders[rng.IntN(len(m.borders))]
	}
	at := r.Offset()
	b, err := r.Next(limit)
	switch {
	case at >= min(limit, m.end()):
		if b != nil || err != nil {
			t.Fatalf("at %d, limit %d: %d bytes, %v", at, limit, len(b), err)
		}
	case at < first:
		if b != nil || err != backlog.ErrTrimmed {
			t.Fatalf("at %d, first is %d: %d bytes, %v", at, first, len(b), err)
		}
		m.readers = slices.Delete(m.readers, i, i+1)
	default:
		to := at + int64(len(b))
		if _, border := slices.BinarySearch(m.borders, to); err != nil || len(b) == 0 || to > limit || !border || r.Offset() != to {
			t.Fatalf("at %d, limit %d: %d bytes, %v", at, limit, len(b), err)
		}
		if !bytes.Equal(b, m.bytes[at:to]) {
			t.Fatalf("wrong bytes at %d", at)
		}
	}
}

func (m *model) check(t *testing.T, window int64) {
	w := m.log.Window()
	last := m.borders[max(len(m.borders)-2, 0)]
	switch _, border := slices.BinarySearch(m.borders, w.First); {
	case w.End != m.end() || m.log.End() != w.End || m.log.Position().Offset != w.End:
		t.Fatalf("log ends at %d, want %d", w.End, m.end())
	case !border:
		t.Fatalf("first is %d, inside a record", w.First)
	case w.End-w.First > window && w.First > last:
		t.Fatalf("%+v does not hold the last record, from %d", w, last)
	case w.End-w.First > window && w.First < last:
		t.Fatalf("%+v holds more than the last record, from %d", w, last)
	}
}

func TestLogAgainstModel(t *testing.T) {
	for seed := range uint64(28) {
		rng := rand.New(rand.NewPCG(seed, 3))
		window := []int64{1, 500, 3000, 20_000, 100_000, 1 << 20, 1 << 30}[seed%7]
		m := &model{log: backlog.NewLog(&backlog.Options{MaxBytes: window}), borders: []int64{0}}
		for range 500 {
			switch op := rng.IntN(10); {
			case op < 4:
				m.append(t, rng)
			case op < 6:
				m.begin(t, rng)
			case op < 9 && len(m.readers) > 0:
				m.read(t, rng)
			case op == 9:
				m.log.Fork(backlog.NewHistory())
			}
			m.check(t, window)
		}
	}
}
