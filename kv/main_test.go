package kv_test

import (
	"bytes"
	"flag"
	"io"
	"testing"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/internal/leakcheck"
	"github.com/emberkv/ember/kv"
	"github.com/emberkv/ember/rdb"
)

// TestMain fails the run when a goroutine of this package outlives the tests. Each run goes
// through the same random cases, unless -rapid.seed names others: 0 is for new ones.
func TestMain(m *testing.M) {
	if err := flag.Set("rapid.seed", "1"); err != nil {
		panic(err)
	}
	leakcheck.Main(m)
}

// open returns a store that is closed when the test ends.
func open(tb testing.TB, opts *kv.Options) *kv.Store {
	s := kv.New(opts)
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	})
	return s
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

func set(tb testing.TB, s *kv.Store, key, value string, opts ...kv.SetOption) {
	tb.Helper()
	must(tb, s.Set(key, []byte(value), opts...))
}

// wantValue fails unless the key has the value; "" stands for none.
func wantValue(tb testing.TB, s *kv.Store, key, want string) {
	tb.Helper()
	switch got, err := s.Get(key); {
	case want == "" && err != kv.ErrNotFound:
		tb.Fatalf("Get(%q) = %q, %v, want ErrNotFound", key, got, err)
	case want != "" && (err != nil || string(got) != want):
		tb.Fatalf("Get(%q) = %q, %v, want %q", key, got, err, want)
	}
}

func digest(tb testing.TB, s *kv.Store) kv.Digest {
	tb.Helper()
	d, err := s.Digest()
	must(tb, err)
	return d
}

// wantSame fails unless two stores stand at the same place with the same contents.
func wantSame(tb testing.TB, a, b *kv.Store) {
	tb.Helper()
	if da, db := digest(tb, a), digest(tb, b); da != db {
		tb.Fatalf("digests differ:\n%+v\n%+v", da, db)
	}
	wantTrueDigest(tb, a)
	wantTrueDigest(tb, b)
}

// wantTrueDigest fails unless the digest that the store has kept is the one of its
// contents, computed anew.
func wantTrueDigest(tb testing.TB, s *kv.Store) {
	tb.Helper()
	n, err := s.Snapshot()
	must(tb, err)
	defer n.Close()
	d := recount(tb, n)
	if d != n.Digest() {
		tb.Fatalf("digest of the contents %+v, the store says %+v", d, n.Digest())
	}
}

// recount computes a snapshot's digest from what it writes.
func recount(tb testing.TB, n *kv.Snapshot) (d kv.Digest) {
	tb.Helper()
	var buf bytes.Buffer
	written, err := n.WriteTo(&buf)
	must(tb, err)
	if written != int64(buf.Len()) {
		tb.Fatalf("WriteTo returned %d, wrote %d", written, buf.Len())
	}
	r, err := rdb.NewReader(&buf)
	must(tb, err)
	d.Position = r.Header().Position
	for {
		b, err := r.Next()
		if err == io.EOF {
			return d
		}
		must(tb, err)
		for e, err := range b.Entries() {
			must(tb, err)
			d.Sum += e.Sum()
			d.Keys++
		}
	}
}

// contents returns what a store shows.
func contents(s *kv.Store) map[string]string {
	m := make(map[string]string)
	for k, v := range s.All() {
		m[k] = string(v)
	}
	return m
}

// A follower copies one store's log to another.
type follower struct {
	reader *backlog.Reader
	log    *backlog.Log
	to     *kv.Store
}

// follow returns a follower for a store that stands where from's log can go on.
func follow(tb testing.TB, from, to *kv.Store) *follower {
	tb.Helper()
	r, refusal := from.Log().Continue(to.Log().Lineage(), to.Position().Offset)
	if refusal != backlog.Accepted {
		tb.Fatalf("cannot follow: %v", refusal)
	}
	return &follower{reader: r, log: from.Log(), to: to}
}

// followEmpty makes an empty store a follower of from, which must hold its whole log.
func followEmpty(tb testing.TB, from, to *kv.Store) *follower {
	tb.Helper()
	to.Log().Adopt(backlog.NewLogAt(from.Log().Lineage(), 0, nil))
	return follow(tb, from, to)
}

// catchUp applies all that the log has.
func (f *follower) catchUp(tb testing.TB) {
	tb.Helper()
	for {
		at := f.log.Position()
		at.Offset = f.reader.Offset()
		records, err := f.reader.Next(f.log.End())
		must(tb, err)
		if records == nil {
			return
		}
		must(tb, f.to.Apply(at, records))
	}
}
