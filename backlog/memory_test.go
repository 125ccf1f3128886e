package backlog_test

import (
	"fmt"
	"math"
	"runtime"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/internal/heap"
)

// A chunks follows a log and remembers its chunks without holding them.
type chunks struct {
	r    *backlog.Reader
	seen []weak.Pointer[byte]
}

func (c *chunks) follow(t testing.TB) {
	t.Helper()
	for {
		b, err := c.r.Next(math.MaxInt64)
		if err != nil {
			t.Fatal(err)
		}
		if b == nil {
			return
		}
		c.seen = append(c.seen, weak.Make(&b[0]))
	}
}

func (c *chunks) alive() (n int) {
	runtime.GC()
	for _, w := range c.seen {
		if w.Value() != nil {
			n++
		}
	}
	return n
}

// fill appends until n bytes have gone in, and follows at each step.
func (c *chunks) fill(t testing.TB, l *backlog.Log, n int) {
	record := framed(1000, 0)
	for range n / len(record) {
		mustAppend(t, l, record)
	}
	c.follow(t)
}

func TestOutrunReaderHoldsOneChunk(t *testing.T) {
	l := backlog.NewLog(&backlog.Options{MaxBytes: 1 << 20})
	c := &chunks{r: mustRead(t, l, 0)}
	slow := mustRead(t, l, 0)
	c.fill(t, l, 512<<10)
	if b, err := slow.Next(1000); len(b) != 1000 || err != nil {
		t.Fatalf("got %d bytes, %v", len(b), err)
	}
	before := len(c.seen)
	for range 8 {
		c.fill(t, l, 512<<10)
	}
	old := chunks{seen: c.seen[:before]}
	if n := old.alive(); n > 1 {
		t.Errorf("an outrun reader holds %d chunks", n)
	}
	if _, err := slow.Next(math.MaxInt64); err != backlog.ErrTrimmed {
		t.Errorf("got %v, want ErrTrimmed", err)
	}
	if n := old.alive(); n > 0 {
		t.Errorf("a reader that knows it was outrun holds %d chunks", n)
	}
	runtime.KeepAlive(slow)
}

func TestReplacedReaderHoldsOneChunk(t *testing.T) {
	l := backlog.NewLog(&backlog.Options{MaxBytes: 1 << 20})
	c := &chunks{r: mustRead(t, l, 0)}
	slow := mustRead(t, l, 0)
	c.fill(t, l, 900<<10)
	if _, err := slow.Next(1000); err != nil {
		t.Fatal(err)
	}
	l.Adopt(backlog.NewLog(nil))
	if _, err := c.r.Next(math.MaxInt64); err != backlog.ErrReset {
		t.Fatalf("got %v, want ErrReset", err)
	}
	if n := c.alive(); n > 2 { // the slow one's and the fast one's
		t.Errorf("two readers of a replaced log hold %d of %d chunks", n, len(c.seen))
	}
	runtime.KeepAlive(slow)
	runtime.KeepAlive(l)
}

// A log does not hold readers that it has woken, or that were closed.
func TestLogLetsGoOfReaders(t *testing.T) {
	l := backlog.NewLog(nil)
	var readers []weak.Pointer[backlog.Reader]
	for i := range 10 {
		r, err := l.NewReader(l.End())
		if err != nil {
			t.Fatal(err)
		}
		r.Ready()
		if i%2 == 0 {
			r.Close()
		}
		readers = append(readers, weak.Make(r))
	}
	mustAppend(t, l, framed(10, 0))
	runtime.GC()
	for i, w := range readers {
		if w.Value() != nil {
			t.Errorf("reader %d is held", i)
		}
	}
	runtime.KeepAlive(l)
}

// Whatever the mixture of sizes, a log's memory stays near its window.
func TestMemoryStaysNearWindow(t *testing.T) {
	const window = 2 << 20
	for _, sizes := range [][]int{
		{100}, {1500}, {4095, 4097}, {30_000}, {60_000}, {65_530}, {70_000},
		{100, 65_600}, {100, 40_000}, {100, 100, 3000}, {120, 1 << 20}, {60_000, 65_600, 10},
		{65, 63_000, 17_000},
	} {
		t.Run(fmt.Sprint(sizes), func(t *testing.T) {
			heap.Try(t, func() error {
				before := heap.Live()
				l := backlog.NewLog(&backlog.Options{MaxBytes: window})
				records := make([][]byte, len(sizes))
				largest := 0
				for i, n := range sizes {
					records[i] = framed(n, byte(i))
					largest = max(largest, n)
				}
				for i := 0; l.End() < 3*window; i++ {
					mustAppend(t, l, records[i%len(records)])
				}
				// A quarter may be wasted, a chunk is just being filled.
				bound := int64(window + window/4 + window/16 + largest + 64<<10)
				grown := heap.Live() - before
				if w := l.Window(); w.End-w.First > window || w.End-w.First < window-window/16-2*int64(largest) {
					t.Errorf("holds %d bytes of %d", w.End-w.First, window)
				}
				if grown > bound {
					return fmt.Errorf("window of %d takes %d bytes of heap, want at most %d", window, grown, bound)
				}
				return nil
			})
		})
	}
}

func TestIdleLogCostsLittle(t *testing.T) {
	const logs = 100
	heap.Try(t, func() error {
		before := heap.Live()
		held := make([]*backlog.Log, logs)
		for i := range held {
			held[i] = backlog.NewLog(nil)
			mustAppend(t, held[i], framed(100, 0))
		}
		n := (heap.Live() - before) / logs
		runtime.KeepAlive(held)
		if n > 5<<10 {
			return fmt.Errorf("a log with one record costs %d bytes", n)
		}
		return nil
	})
}

// Records are given up a sixteenth of the age after they should, not when a
// chunk, which in a quiet log lasts for hours, happens to be full.
func TestQuietLogForgetsByAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const age = time.Minute
		l := backlog.NewLog(&backlog.Options{MaxAge: age})
		for range 3600 {
			mustAppend(t, l, framed(100, 0))
			time.Sleep(time.Second)
		}
		w := l.Window()
		if held := time.Duration((w.End-w.First)/100) * time.Second; held < age || held > age+age/16+2*time.Second {
			t.Errorf("records of %v are held, want %v", held, age)
		}
		if w.Age < age || w.Age > age+age/16+2*time.Second {
			t.Errorf("window says %v", w.Age)
		}
		// Idle, it keeps what it has; then one record is enough.
		time.Sleep(time.Hour)
		if l.Window().First != w.First {
			t.Error("an idle log has forgotten records")
		}
		end := l.End()
		mustAppend(t, l, framed(100, 0))
		if got := l.Window().First; got != end {
			t.Errorf("first is %d after an hour, want %d", got, end)
		}
	})
}
