package backlog_test

import (
	"bytes"
	"runtime"
	"testing"
	"testing/synctest"

	"github.com/emberkv/ember/backlog"
)

// record120 is a whole record.
var record120 = append([]byte{119}, bytes.Repeat([]byte("y"), 119)...)

// The memory of chunks is made once, also where a writer that never rests has the only processor.
func TestChunksAreMadeOnce(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	l := backlog.NewLog(nil)
	defer l.Close()
	const records = 1_000_000
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range records {
		if _, err := l.Append(record120); err != nil {
			t.Fatal(err)
		}
	}
	runtime.ReadMemStats(&after)
	logged := uint64(records * len(record120))
	if took := after.TotalAlloc - before.TotalAlloc; took > logged*11/10 {
		t.Errorf("%d bytes of records took %d of memory", logged, took)
	}
}

// What was being made for a log goes with it, and a log that keeps nothing takes it from no other.
func TestNextChunkGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		filled := func() *backlog.Log {
			l := backlog.NewLog(nil)
			for i := range 10_000 { // beyond the middle of a chunk
				if _, err := l.Append(record120); err != nil {
					t.Fatal(err)
				}
				if i%100 == 0 {
					synctest.Wait() // what is made ahead is in time
				}
			}
			return l
		}
		other, none := filled(), backlog.NewLog(&backlog.Options{MaxBytes: -1})
		none.Adopt(other)
		synctest.Wait()
		if n, m := none.HeldBytes(), other.HeldBytes(); n != 0 || m != 0 {
			t.Errorf("a log that keeps nothing holds %d bytes, the one that it has adopted %d", n, m)
		}
		l := filled()
		synctest.Wait()
		open := l.HeldBytes()
		l.Close()
		if closed := l.HeldBytes(); closed != open-256<<10 {
			t.Errorf("a log of %d bytes holds %d when it is closed, want 256 KiB less", open, closed)
		}
		if _, err := l.Append(record120); err != nil {
			t.Errorf("Append to a closed log: %v", err)
		}
		l.Close()
	})
}
