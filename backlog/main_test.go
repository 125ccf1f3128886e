package backlog_test

import (
	"math"
	"testing"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/internal/leakcheck"
)

// TestMain fails the run when a goroutine of this package outlives the tests.
func TestMain(m *testing.M) { leakcheck.Main(m) }

// framed returns a record that is size bytes long with its frame, filled with a
// pattern that depends on seed.
func framed(size int, seed byte) []byte {
	frame := 1
	for n := size - 1; n >= 0x80; n >>= 7 {
		frame++
	}
	// A length on the edge of a longer frame cannot be hit exactly.
	payload := make([]byte, max(size-frame, 0))
	for i := range payload {
		payload[i] = seed + byte(i)
	}
	return backlog.AppendRecord(nil, payload)
}

func mustAppend(t testing.TB, l *backlog.Log, records []byte) int64 {
	t.Helper()
	end, err := l.Append(records)
	if err != nil {
		t.Fatal(err)
	}
	return end
}

func mustRead(t testing.TB, l *backlog.Log, from int64) *backlog.Reader {
	t.Helper()
	r, err := l.NewReader(from)
	if err != nil {
		t.Fatalf("reader at %d: %v", from, err)
	}
	t.Cleanup(r.Close)
	return r
}

// drain returns what a reader hands out until it is caught up.
func drain(t testing.TB, r *backlog.Reader) []byte {
	t.Helper()
	var all []byte
	for {
		b, err := r.Next(math.MaxInt64)
		if err != nil {
			t.Fatalf("at %d: %v", r.Offset(), err)
		}
		if b == nil {
			return all
		}
		all = append(all, b...)
	}
}
