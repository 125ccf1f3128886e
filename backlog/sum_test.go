package backlog_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/emberkv/ember/backlog"
)

// wantSum fails t unless l says of offset what s, the sum of all bytes up to there, is.
func wantSum(t *testing.T, l *backlog.Log, offset int64, s backlog.Sum) {
	t.Helper()
	if got, err := l.Sum(offset); err != nil || got != s {
		t.Fatalf("sum up to %d is %+v, %v; want %+v", offset, got, err, s)
	}
}

// TestSumIsThatOfTheBytes: whatever the sizes of the records, the chunks and the runs in
// which they came, who has summed when, and whether the beginning is still held.
func TestSumIsThatOfTheBytes(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 1))
		ahead := backlog.NewLog(&backlog.Options{MaxBytes: 4 << 20})
		behind := backlog.NewLogAt(ahead.Lineage(), 0, &backlog.Options{MaxBytes: 2 << 20})
		r := mustRead(t, ahead, 0)
		var all []byte
		for range 200 {
			var run []byte
			for range 1 + rng.IntN(5) {
				size := rng.IntN(1000)
				if rng.IntN(10) == 0 {
					size = rng.IntN(100 << 10)
				}
				run = append(run, framed(size+1, byte(rng.Uint32()))...)
			}
			all = append(all, run...)
			at := ahead.Position()
			mustAppend(t, ahead, run)
			if err := behind.AppendAt(at, run); err != nil {
				t.Fatal(err)
			}
			if rng.IntN(3) == 0 {
				drain(t, r)
			}
			for _, l := range []*backlog.Log{ahead, behind} {
				w := l.Window()
				at := w.First + rng.Int64N(w.End-w.First+1)
				if rng.IntN(4) == 0 {
					at = w.End
				}
				if l == behind || rng.IntN(10) == 0 {
					wantSum(t, l, at, backlog.Sum{}.Add(all[:at]))
				}
			}
		}
	}
}

// TestSumBeginsAnew behind what was trimmed before anybody has summed it, and says so.
func TestSumBeginsAnew(t *testing.T) {
	l := backlog.NewLog(&backlog.Options{MaxBytes: 64 << 10})
	var all []byte
	for len(all) < 1<<20 {
		run := framed(1000, byte(len(all)))
		all = append(all, run...)
		mustAppend(t, l, run)
	}
	w := l.Window()
	s, err := l.Sum(w.End)
	if want := (backlog.Sum{From: w.First}).Add(all[w.First:]); err != nil || s != want {
		t.Fatalf("%+v, %v; want %+v", s, err, want)
	}
	if got := l.Confirm(w.End, backlog.Sum{}.Add(all)); got != backlog.Unknown {
		t.Errorf("a sum from another offset is %d", got)
	}
	if _, err := l.Sum(w.First - 1); !errors.Is(err, backlog.ErrTrimmed) {
		t.Errorf("what is trimmed: %v", err)
	}
	if _, err := l.Sum(w.End + 1); !errors.Is(err, backlog.ErrAhead) {
		t.Errorf("what is ahead: %v", err)
	}
	none := backlog.NewLog(&backlog.Options{MaxBytes: -1})
	mustAppend(t, none, framed(100, 0))
	wantSum(t, none, 100, backlog.Sum{From: 100})
	if got := none.Confirm(100, backlog.Sum{From: 100}); got != backlog.Unknown {
		t.Errorf("the sum of nothing confirms: %d", got)
	}
}

// TestSetSum: a log that begins in the middle goes on with the sum that it is told.
func TestSetSum(t *testing.T) {
	whole := backlog.NewLog(nil)
	var all []byte
	add := func(n int, to ...*backlog.Log) {
		for range n {
			run := framed(700, byte(len(all)))
			for _, l := range to {
				mustAppend(t, l, run)
			}
			all = append(all, run...)
		}
	}
	add(1000, whole)
	late := backlog.NewLogAt(whole.Lineage(), whole.End(), nil)
	begin := whole.End()
	add(10, whole, late)
	told := whole.End()
	s, err := whole.Sum(told)
	if err != nil {
		t.Fatal(err)
	}
	for at, err := range map[int64]error{begin - 1: backlog.ErrTrimmed, told + 1: backlog.ErrAhead, -1: backlog.ErrText} {
		if got := late.SetSum(at, s); !errors.Is(got, err) {
			t.Errorf("set at %d: %v", at, got)
		}
	}
	if err := late.SetSum(told, s); err != nil {
		t.Fatal(err)
	}
	add(1000, whole, late)
	for _, at := range []int64{told, told + 1, told + 700, late.End() - 1, late.End()} {
		wantSum(t, late, at, backlog.Sum{}.Add(all[:at]))
		if got := late.Confirm(at, backlog.Sum{}.Add(all[:at])); got != backlog.Confirmed {
			t.Errorf("at %d: %d", at, got)
		}
		other := bytes.Clone(all[:at])
		other[0] ^= 1
		if got := late.Confirm(at, backlog.Sum{}.Add(other)); got != backlog.Differs {
			t.Errorf("another first byte at %d: %d", at, got)
		}
	}
	if _, err := late.Sum(told - 1); !errors.Is(err, backlog.ErrTrimmed) {
		t.Errorf("before it was told: %v", err)
	}
	// Adopted with the contents, and the same in the next history.
	other := backlog.NewLog(nil)
	other.Adopt(late)
	other.Fork(backlog.NewHistory())
	wantSum(t, other, other.End(), backlog.Sum{}.Add(all))
}

// TestBranch: a log continues in two ways, each with its own bytes, sums and readers.
func TestBranch(t *testing.T) {
	for seed := range uint64(30) {
		rng := rand.New(rand.NewPCG(seed, 2))
		l := backlog.NewLog(&backlog.Options{MaxBytes: 1 << 20})
		var all []byte
		borders := []int64{0}
		for range 1 + rng.IntN(3000) {
			run := framed(1+rng.IntN(800), byte(rng.Uint32()))
			all = append(all, run...)
			borders = append(borders, mustAppend(t, l, run))
			if rng.IntN(1000) == 0 {
				l.Fork(backlog.NewHistory())
			}
			if rng.IntN(100) == 0 {
				if _, err := l.Sum(l.End()); err != nil {
					t.Fatal(err)
				}
			}
		}
		w := l.Window()
		at := borders[rng.IntN(len(borders))]
		if at < w.First {
			if _, err := l.Branch(at); !errors.Is(err, backlog.ErrTrimmed) {
				t.Fatalf("%v", err)
			}
			at = w.First
		}
		known, err := l.Sum(at)
		if err != nil {
			t.Fatal(err)
		}
		b, err := l.Branch(at)
		if err != nil {
			t.Fatal(err)
		}
		if p := b.Position(); p.Offset != at || p.History != l.Lineage().At(at).Current {
			t.Fatalf("branch at %s, want %d of %+v", p, at, l.Lineage())
		}
		wantSum(t, b, at, known)
		other := framed(1+rng.IntN(2000), 77)
		mustAppend(t, b, other)
		mustAppend(t, l, framed(10, 1))
		wantSum(t, b, b.End(), known.Add(other))
		first := b.Window().First
		want := append(bytes.Clone(all[first:at]), other...)
		if got := drain(t, mustRead(t, b, first)); !bytes.Equal(got, want) {
			t.Fatalf("seed %d: branch at %d has %d bytes, want %d", seed, at, len(got), len(want))
		}
		if got := drain(t, mustRead(t, l, w.First)); !bytes.Equal(got[:len(all)-int(w.First)], all[w.First:]) {
			t.Fatalf("seed %d: the log was changed", seed)
		}
		r := mustRead(t, l, l.End())
		l.Adopt(b)
		if _, err := r.Next(1 << 40); !errors.Is(err, backlog.ErrReset) {
			t.Fatalf("a reader of what was left: %v", err)
		}
		if got := drain(t, mustRead(t, l, first)); !bytes.Equal(got, want) {
			t.Fatal("adopted something else")
		}
		wantSum(t, l, l.End(), known.Add(other))
	}
	l := backlog.NewLog(nil)
	mustAppend(t, l, framed(100, 0))
	for at, want := range map[int64]error{50: backlog.ErrBoundary, 101: backlog.ErrAhead} {
		if _, err := l.Branch(at); !errors.Is(err, want) {
			t.Errorf("branch at %d: %v", at, err)
		}
	}
}

// TestSumsOfManyReaders: those who sum do not get in each other's way.
func TestSumsOfManyReaders(t *testing.T) {
	l := backlog.NewLog(&backlog.Options{MaxBytes: 4 << 20})
	record := framed(4<<10, 3)
	done := make(chan error)
	for range 3 {
		go func() {
			r, err := l.NewReader(0)
			for err == nil && r.Offset() < 8<<20 {
				if _, err = r.Next(1 << 40); err == nil && r.Offset() > 4<<20 {
					_, err = l.Sum(r.Offset())
				}
			}
			if errors.Is(err, backlog.ErrTrimmed) {
				err = nil
			}
			done <- err
		}()
	}
	for range 2 << 10 {
		mustAppend(t, l, record)
	}
	for range 3 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func FuzzCutSum(f *testing.F) {
	for _, s := range []backlog.Sum{{}, {From: 7}, {From: 8}, {From: 3, Value: 1 << 63}, {From: -1}} {
		b, _ := s.AppendBinary(nil)
		f.Add(b, int64(7))
		f.Add(b[:15], int64(7))
	}
	f.Fuzz(func(t *testing.T, b []byte, end int64) {
		s, rest, err := backlog.CutSum(b, end)
		if err != nil {
			if !errors.Is(err, backlog.ErrText) || s != (backlog.Sum{}) {
				t.Fatalf("%x: %+v, %v", b, s, err)
			}
			return
		}
		again, _ := s.AppendBinary(nil)
		if !bytes.Equal(append(again, rest...), b) || s.From < 0 || s.From > end {
			t.Fatalf("%x up to %d is %+v", b, end, s)
		}
	})
}

// Two nodes find out that they hold different bytes, though they stand at the same
// position.
func ExampleLog_Confirm() {
	a := backlog.NewLog(nil)
	b := backlog.NewLogAt(a.Lineage(), 0, nil)
	both := backlog.AppendRecord(nil, []byte("a=1"))
	a.Append(both)
	b.Append(both)

	theirs, _ := b.Sum(b.End())
	fmt.Println(a.Confirm(b.End(), theirs) == backlog.Confirmed)

	a.Append(backlog.AppendRecord(nil, []byte("a=2")))
	b.Append(backlog.AppendRecord(nil, []byte("a=3")))
	theirs, _ = b.Sum(b.End())
	fmt.Println(a.Position() == b.Position(), a.Confirm(b.End(), theirs) == backlog.Differs)
	// Output:
	// true
	// true true
}

// BenchmarkSum is what a reader pays for a byte.
func BenchmarkSum(b *testing.B) {
	block := make([]byte, 256<<10)
	var s backlog.Sum
	b.SetBytes(int64(len(block)))
	b.ReportAllocs()
	for b.Loop() {
		s = s.Add(block)
	}
}
