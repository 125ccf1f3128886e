package repl_test

import (
	"net"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/emberkv/ember/repl"
)

// TestAnnounce: each end of a link knows where the other listens, and what it
// may become.
func TestAnnounce(t *testing.T) {
	long := strings.Repeat("l", repl.MaxAnnounceBytes+1)
	longest := long[1:]
	for _, c := range []struct {
		name         string
		announce     string
		listen       []string // addresses that the replica serves
		priority     int
		want         string
		wantPriority int
	}{
		{"nothing", "", nil, 0, "", 100},
		{"the first listener", "", []string{"b", "c"}, 7, "b", 7},
		{"what the program says", "10.0.0.1:7000", []string{"b"}, -1, "10.0.0.1:7000", 0},
		{"a listener with the longest address", "", []string{longest}, 1, longest, 1},
		{"a listener with too long an address", "", []string{long, "b"}, repl.MaxPriority, "", repl.MaxPriority},
		{"no port to go with another host", "0.0.0.0:7000", nil, 0, "0.0.0.0:7000", 100},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				mem, a, b := repl.NewMemory(), newLedger(nil), newLedger(nil)
				m := master(t, a, mem, "a", &repl.Options{Name: "top", Priority: 5})
				r, err := repl.NewReplica(b, "a", seeded(t, &repl.Options{Transport: mem, Announce: c.announce, Priority: c.priority}))
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { r.Close() })
				for _, addr := range c.listen {
					serve(t, r, mem, addr)
					synctest.Wait()
				}
				go r.Run(t.Context())
				synced(t, m, a, r)
				if p := m.Status().Followers[0].Peer; p.Listen != c.want || p.Priority != c.wantPriority {
					t.Errorf("the master sees %q with priority %d, want %q and %d", p.Listen, p.Priority, c.want, c.wantPriority)
				}
				if s := r.Status(); s.Announce != c.want || s.Priority != c.wantPriority || s.Upstream.Peer.Listen != "a" || s.Upstream.Peer.Priority != 5 {
					t.Errorf("the replica says %q, %d of itself and %+v of its master", s.Announce, s.Priority, s.Upstream.Peer)
				}
			})
		})
	}
}

// TestAnnounceOfEveryInterface: a node that listens on all of them is known by
// the one that it came from; and a listener that is gone is not announced.
func TestAnnounceOfEveryInterface(t *testing.T) {
	a, b := newLedger(nil), newLedger(nil)
	m, err := repl.NewMaster(a, seeded(t, nil))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	ln, err := repl.TCP{}.Listen(anyPort)
	if err != nil {
		t.Fatal(err)
	}
	go m.Serve(ln)
	for _, host := range []string{"0.0.0.0:", "[::]:", ":"} {
		r := replica(t, b, repl.TCP{}, ln.Addr().String(), &repl.Options{Name: host, Announce: host + "7001"})
		synced(t, m, a, r)
		seen := ""
		for _, f := range m.Status().Followers {
			if f.Peer.Name == host {
				seen = f.Peer.Listen
			}
		}
		if seen != "127.0.0.1:7001" {
			t.Errorf("%q is seen as %q", host, seen)
		}
		r.Close()
	}

	gone, err := net.Listen("tcp", anyPort)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- m.Serve(gone) }()
	gone.Close()
	<-done
	if got := m.Status().Announce; got != ln.Addr().String() {
		t.Errorf("announces %q, listens at %q", got, ln.Addr())
	}
}
