package repl_test

import (
	"context"
	"fmt"
	"maps"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/repl"
)

// master makes a ledger the master at addr of net.
func master(t testing.TB, l *ledger, net repl.Transport, addr string, opts *repl.Options) *repl.Master {
	t.Helper()
	m, err := repl.NewMaster(l, opts)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen(addr)
	if err != nil {
		t.Fatal(err)
	}
	go m.Serve(ln)
	t.Cleanup(func() { m.Close() })
	return m
}

// replica makes a ledger a replica of upstream, and runs it.
func replica(t testing.TB, l *ledger, net repl.Transport, upstream string, opts *repl.Options) *repl.Replica {
	t.Helper()
	var o repl.Options
	if opts != nil {
		o = *opts
	}
	o.Transport = net
	r, err := repl.NewReplica(l, upstream, &o)
	if err != nil {
		t.Fatal(err)
	}
	go r.Run(context.Background())
	t.Cleanup(func() { r.Close() })
	return r
}

// synced waits until every replica has caught up with the master.
func synced(t testing.TB, m *repl.Master, l *ledger, replicas ...*repl.Replica) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for _, r := range replicas {
		if err := r.WaitSynced(ctx); err != nil {
			t.Fatalf("WaitSynced: %v; %+v", err, r.Status().Upstream)
		}
	}
	if n, err := m.Wait(ctx, l.Log().Position(), len(replicas)); err != nil {
		t.Fatalf("Wait: %d of %d: %v", n, len(replicas), err)
	}
}

// same fails unless both ledgers hold the same entries at the same position.
func same(t testing.TB, a, b *ledger) {
	t.Helper()
	if x, y := a.state(), b.state(); !maps.Equal(x, y) {
		t.Fatalf("entries differ: %d and %d", len(x), len(y))
	}
	if x, y := a.Log().Position(), b.Log().Position(); x != y {
		t.Fatalf("positions differ: %s and %s", x, y)
	}
}

func fill(t testing.TB, l *ledger, prefix string, n int) {
	t.Helper()
	for i := range n {
		if _, err := l.put(fmt.Sprintf("%s%d", prefix, i), fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSetOnOneGetOnAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := repl.NewMemory()
		a, b := newLedger(nil), newLedger(nil)
		fill(t, a, "before", 100)
		m := master(t, a, net, "a", nil)
		r := replica(t, b, net, "a", nil)
		synced(t, m, a, r)
		same(t, a, b)
		fill(t, a, "after", 100)
		synced(t, m, a, r)
		same(t, a, b)
		if s := r.Status().Upstream; s.Fulls != 1 || s.Partials != 0 {
			t.Errorf("%d full and %d partial syncs, want 1 and 0", s.Fulls, s.Partials)
		}
	})
}
