package backlog_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/emberkv/ember/backlog"
)

// Writers that do not know of each other, readers that sleep when they are
// caught up: everyone gets the same bytes, and each writer's records in order.
func TestReadersAgree(t *testing.T) {
	const writers, readers, each = 4, 4, 3000
	l := backlog.NewLog(&backlog.Options{MaxBytes: 1 << 30})
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(w), 1))
			for n := range each {
				size := 8 + rng.IntN(300)
				if rng.IntN(200) == 0 {
					size = 8 + rng.IntN(100_000)
				}
				payload := make([]byte, size)
				binary.LittleEndian.PutUint32(payload, uint32(w))
				binary.LittleEndian.PutUint32(payload[4:], uint32(n))
				if _, err := l.Append(backlog.AppendRecord(nil, payload)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	sums := make([]uint32, readers)
	ends := make([]int64, readers)
	for i := range readers {
		wg.Go(func() {
			r := mustRead(t, l, 0)
			var seen [writers]int
			for left := writers * each; left > 0; {
				if err := r.Wait(t.Context()); err != nil {
					t.Error(err)
					return
				}
				b, err := r.Next(math.MaxInt64)
				if err != nil || r.Offset() > l.End() {
					t.Errorf("at %d of %d: %v", r.Offset(), l.End(), err)
					return
				}
				sums[i] = crc32.Update(sums[i], crc32.IEEETable, b)
				for len(b) > 0 {
					payload, rest, err := backlog.CutRecord(b)
					if err != nil {
						t.Errorf("at %d: %v", r.Offset(), err)
						return
					}
					w, n := binary.LittleEndian.Uint32(payload), int(binary.LittleEndian.Uint32(payload[4:]))
					if seen[w] != n {
						t.Errorf("record %d of writer %d, want %d", n, w, seen[w])
						return
					}
					seen[w]++
					left--
					b = rest
				}
			}
			ends[i] = r.Offset()
		})
	}
	wg.Wait()
	for i := range readers {
		if sums[i] != sums[0] || ends[i] != l.End() {
			t.Errorf("reader %d: sum %08x up to %d, want %08x up to %d", i, sums[i], ends[i], sums[0], l.End())
		}
	}
}

// In a small window readers are outrun all the time. Whatever they get is what
// stands at that offset, which each record says of itself.
func TestOutrunReadersReadNothingWrong(t *testing.T) {
	l := backlog.NewLog(&backlog.Options{MaxBytes: 20_000})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		defer cancel()
		rng := rand.New(rand.NewPCG(2, 2))
		for i := range 20_000 {
			payload := make([]byte, 8+rng.IntN(500))
			if i%1000 == 0 {
				payload = make([]byte, 70_000)
				l.Fork(backlog.NewHistory()) // which readers do not notice
			}
			binary.LittleEndian.PutUint64(payload, uint64(l.End()))
			mustAppend(t, l, backlog.AppendRecord(nil, payload))
		}
	})
	var outrun, read atomic.Int64
	for range 3 {
		wg.Go(func() {
			r, err := l.NewReader(0)
			for {
				switch err {
				case nil:
					n, e := verify(t, r)
					read.Add(n)
					if err = e; err != nil {
						continue
					}
					if r.Wait(ctx) != nil {
						r.Close()
						return
					}
				case backlog.ErrTrimmed:
					outrun.Add(1)
					r, err = l.NewReader(l.Window().First)
				default:
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if outrun.Load() == 0 || read.Load() == 0 {
		t.Errorf("outrun %d times, %d bytes read: nothing was tested", outrun.Load(), read.Load())
	}
}

// verify reads on as far as it can, and checks that each record is the one that
// was appended there.
func verify(t *testing.T, r *backlog.Reader) (read int64, err error) {
	for {
		at := r.Offset()
		b, err := r.Next(math.MaxInt64)
		if b == nil || err != nil {
			return read, err
		}
		read += int64(len(b))
		for len(b) > 0 {
			payload, rest, err := backlog.CutRecord(b)
			if err != nil {
				return read, err
			}
			if says := binary.LittleEndian.Uint64(payload); says != uint64(at) {
				return read, fmt.Errorf("record of offset %d at %d", says, at)
			}
			at += int64(len(b) - len(rest))
			b = rest
		}
	}
}

// Readers that begin where the window is just being trimmed find a record or
// learn that it has gone, those that begin at a moving end begin there, and none
// begins inside a record.
func TestReadersBeginWhileWindowMoves(t *testing.T) {
	l := backlog.NewLog(&backlog.Options{MaxBytes: 1000})
	mustAppend(t, l, framed(90, 0))
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(done)
		record := framed(90, 0)
		for range 50_000 {
			mustAppend(t, l, record)
		}
	})
	for _, from := range []func() int64{
		func() int64 { return l.Window().First },
		func() int64 { return max(l.End()-450, 0) + 1 },
		l.End,
	} {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				at := from()
				r, err := l.NewReader(at)
				if at%90 != 0 {
					if err != backlog.ErrBoundary && err != backlog.ErrTrimmed {
						t.Errorf("inside a record: %v", err)
						return
					}
					continue
				}
				if err == nil {
					_, err = r.Next(math.MaxInt64)
				}
				if err != nil && err != backlog.ErrTrimmed {
					t.Errorf("got %v", err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// While a log forks and grows, Position names the history that its offset
// belongs to.
func TestPositionWhileForking(t *testing.T) {
	const each = 100
	l := backlog.NewLogAt(numbered(0), 0, nil)
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(done)
		record := framed(each, 0)
		for n := range uint64(20_000) {
			mustAppend(t, l, record)
			l.Fork(numbered(n + 1).Current)
		}
	})
	for range 3 {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				p := l.Position()
				if n := int64(number(p.History)); p.Offset < n*each || p.Offset > (n+1)*each {
					t.Errorf("history %d, which begins at %d, at %d", n, n*each, p.Offset)
					return
				}
			}
		})
	}
	wg.Wait()
}
