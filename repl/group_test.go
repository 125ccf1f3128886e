package repl_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/repl"
)

// master makes a ledger the master at addr of net.
func master(t testing.TB, l *ledger, net repl.Transport, addr string, opts *repl.Options) *repl.Master {
	t.Helper()
	m, err := repl.NewMaster(l, seeded(t, opts))
	if err != nil {
		t.Fatal(err)
	}
	serve(t, m, net, addr)
	t.Cleanup(func() { m.Close() })
	return m
}

// serve lets a node accept followers at addr.
func serve(t testing.TB, n interface{ Serve(net.Listener) error }, tr repl.Transport, addr string) {
	t.Helper()
	ln, err := tr.Listen(addr)
	if err != nil {
		t.Fatal(err)
	}
	go n.Serve(ln)
}

// replica makes a ledger a replica of upstream, and runs it.
func replica(t testing.TB, l *ledger, net repl.Transport, upstream string, opts *repl.Options) *repl.Replica {
	t.Helper()
	var o repl.Options
	if opts != nil {
		o = *opts
	}
	o.Transport = net
	r, err := repl.NewReplica(l, upstream, seeded(t, &o))
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

// caughtUp waits until r holds what l holds, however deep in a chain it is.
func caughtUp(t testing.TB, r *repl.Replica, theirs, l *ledger) {
	t.Helper()
	eventually(t, func() bool { return theirs.Log().Position() == l.Log().Position() }, func() string {
		return fmt.Sprintf("at %s, want %s; %+v", theirs.Log().Position(), l.Log().Position(), r.Status().Upstream)
	})
}

// eventually waits in virtual time until ok, for at most two minutes.
func eventually(t testing.TB, ok func() bool, state func() string) {
	t.Helper()
	for range 24_000 {
		if ok() {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatal("not within two minutes: " + state())
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

// A diary records the events of a node.
type diary struct {
	mu     sync.Mutex
	lines  []string // kind and peer's name
	ends   []error  // reasons of Disconnected
	fulls  []repl.FullSync
	parts  []repl.PartialSync
	synced []repl.Synced
}

// keep sets the events of o's links to be recorded, and returns where.
func keep(o *repl.Options) *diary {
	d := &diary{}
	note := func(kind string, p repl.Peer, also func()) {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.lines = append(d.lines, kind+" "+p.Name)
		if also != nil {
			also()
		}
	}
	o.Events = repl.Events{
		Gate:        o.Events.Gate,
		Connected:   func(p repl.Peer) { note("connected", p, nil) },
		PartialSync: func(s repl.PartialSync) { note("partial", s.Peer, func() { d.parts = append(d.parts, s) }) },
		FullSync:    func(s repl.FullSync) { note("full", s.Peer, func() { d.fulls = append(d.fulls, s) }) },
		Progress:    func(s repl.Progress) { note("progress", s.Peer, nil) },
		Synced:      func(s repl.Synced) { note("synced", s.Peer, func() { d.synced = append(d.synced, s) }) },
		Disconnected: func(p repl.Peer, err error) {
			note("disconnected", p, func() { d.ends = append(d.ends, err) })
		},
	}
	return d
}

// last returns the reason of the last Disconnected, or nil.
func (d *diary) last() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.ends) == 0 {
		return nil
	}
	return d.ends[len(d.ends)-1]
}

// saw reports whether a link has ended with err.
func (d *diary) saw(err error) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.ContainsFunc(d.ends, func(e error) bool { return errors.Is(e, err) })
}

// kinds returns the events so far, those of progress left out.
func (d *diary) kinds() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var kinds []string
	for _, l := range d.lines {
		if k, _, _ := strings.Cut(l, " "); k != "progress" {
			kinds = append(kinds, k)
		}
	}
	return strings.Join(kinds, " ")
}

// count returns how many full and partial syncs there were.
func (d *diary) count() (fulls, partials int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.fulls), len(d.parts)
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

// anyOf reports whether err is one of those.
func anyOf(err error, those ...error) bool {
	return slices.ContainsFunc(those, func(e error) bool { return errors.Is(err, e) })
}

// errEOF is how a link ends whose other end has closed it.
var errEOF = io.ErrUnexpectedEOF

// TestOverTCP is the same over sockets and real time.
func TestOverTCP(t *testing.T) {
	a, b := newLedger(nil), newLedger(nil)
	fill(t, a, "before", 1000)
	m, err := repl.NewMaster(a, seeded(t, nil))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	ln, err := repl.TCP{}.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go m.Serve(ln)
	r := replica(t, b, repl.TCP{}, ln.Addr().String(), nil)
	synced(t, m, a, r)
	a.put("big", strings.Repeat("x", 1<<20))
	fill(t, a, "after", 1000)
	synced(t, m, a, r)
	same(t, a, b)
}
