package backlog_test

import (
	"context"
	"fmt"
	"math"
	"sync"
	"testing"

	"github.com/emberkv/ember/backlog"
)

// recordBytes is a key of 16 bytes and a value of 100 with their frame.
const recordBytes = 120

func BenchmarkAppend(b *testing.B) {
	record := framed(recordBytes, 0)
	b.Run("serial", func(b *testing.B) {
		l := backlog.NewLog(nil)
		b.SetBytes(recordBytes)
		b.ReportAllocs()
		for b.Loop() {
			l.Append(record)
		}
	})
	b.Run("parallel", func(b *testing.B) {
		l := backlog.NewLog(nil)
		b.SetBytes(recordBytes)
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				l.Append(record)
			}
		})
	})
	for _, size := range []int{1 << 10, 16 << 10, 64 << 10, 1 << 20} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			l := backlog.NewLog(nil)
			large := framed(size, 0)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				l.Append(large)
			}
		})
	}
}

// BenchmarkAppendFollowed appends under readers that sleep when they are caught
// up and are lapped when they are too slow, as replicas' feeds are.
func BenchmarkAppendFollowed(b *testing.B) {
	record := framed(recordBytes, 0)
	for _, readers := range []int{0, 1, 4} {
		b.Run(fmt.Sprint(readers), func(b *testing.B) {
			l := backlog.NewLog(nil)
			ctx, cancel := context.WithCancel(b.Context())
			var wg sync.WaitGroup
			for range readers {
				r := mustRead(b, l, 0)
				wg.Go(func() { follow(ctx, l, r) })
			}
			b.SetBytes(recordBytes)
			b.ReportAllocs()
			for b.Loop() {
				l.Append(record)
			}
			cancel()
			wg.Wait()
		})
	}
}

func follow(ctx context.Context, l *backlog.Log, r *backlog.Reader) {
	for r.Wait(ctx) == nil {
		if _, err := r.Next(math.MaxInt64); err != nil {
			if r, err = l.NewReader(l.End()); err != nil {
				continue
			}
		}
	}
	r.Close()
}

// BenchmarkNext reads a full window, a chunk at a time.
func BenchmarkNext(b *testing.B) {
	l := backlog.NewLog(&backlog.Options{MaxBytes: 16 << 20})
	record := framed(recordBytes, 0)
	for l.End() < 32<<20 {
		l.Append(record)
	}
	w := l.Window()
	b.Run("chunks", func(b *testing.B) {
		b.SetBytes(w.End - w.First)
		b.ReportAllocs()
		for b.Loop() {
			r, _ := l.NewReader(w.First)
			for {
				if part, _ := r.Next(math.MaxInt64); part == nil {
					break
				}
			}
		}
	})
	b.Run("records", func(b *testing.B) {
		b.SetBytes(w.End - w.First)
		b.ReportAllocs()
		for b.Loop() {
			r, _ := l.NewReader(w.First)
			for {
				part, _ := r.Next(math.MaxInt64)
				if part == nil {
					break
				}
				for len(part) > 0 {
					_, part, _ = backlog.CutRecord(part)
				}
			}
		}
	})
	b.Run("caught up", func(b *testing.B) {
		r, _ := l.NewReader(w.End)
		b.ReportAllocs()
		for b.Loop() {
			r.Next(math.MaxInt64)
		}
	})
}

func BenchmarkNewReader(b *testing.B) {
	l := backlog.NewLog(nil)
	record := framed(recordBytes, 0)
	for l.End() < 65<<20 {
		l.Append(record)
	}
	w := l.Window()
	for name, at := range map[string]int64{"first": w.First, "middle": (w.First + w.End) / 2 / recordBytes * recordBytes, "end": w.End} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := l.NewReader(at); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkPosition(b *testing.B) {
	l := backlog.NewLog(nil)
	l.Append(framed(recordBytes, 0))
	b.ReportAllocs()
	for b.Loop() {
		_ = l.Position()
	}
}

func BenchmarkPositionText(b *testing.B) {
	s := position(b, digits+"-123456789").String()
	b.ReportAllocs()
	for b.Loop() {
		p, _ := backlog.ParsePosition(s)
		_ = p.String()
	}
}

// BenchmarkSleepAndWake is an append with a reader to wake, and what the reader
// does until it sleeps again, without the scheduler's part.
func BenchmarkSleepAndWake(b *testing.B) {
	l := backlog.NewLog(nil)
	r := mustRead(b, l, 0)
	record := framed(recordBytes, 0)
	b.ReportAllocs()
	for b.Loop() {
		ready := r.Ready()
		l.Append(record)
		<-ready
		r.Next(math.MaxInt64)
	}
}

func BenchmarkCommon(b *testing.B) {
	l, end := forked(40)
	stranger := backlog.Lineage{Current: backlog.NewHistory(), Earlier: l.Earlier}
	for name, other := range map[string]backlog.Lineage{"same": l, "fork": stranger} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				l.Common(end, other, end)
			}
		})
	}
}
