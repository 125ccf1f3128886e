package sentinel_test

import (
	"context"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/repl"
	"github.com/emberkv/ember/repl/repltest"
	"github.com/emberkv/ember/repl/sentinel"
)

// A dialCounter is a transport that counts how often it dials an address.
type dialCounter struct {
	repl.Transport
	addr  string
	dials atomic.Int64
}

func (c *dialCounter) Dial(ctx context.Context, addr string) (net.Conn, error) {
	if addr == c.addr {
		c.dials.Add(1)
	}
	return c.Transport.Dial(ctx, addr)
}

// An address at which a sentinel answers to whom there is a line already is left alone as one is
// at which nobody does: here it has taken over that of one that is gone.
func TestAddressTakenOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t, repltest.Star("a", "b"), 3, sentinel.Options{})
		w.Network.SetDelay(time.Millisecond, 0)
		w.settle()
		counter := &dialCounter{Transport: w.Network.Host("s4"), addr: "s3"}
		s, err := sentinel.New(&sentinel.Options{Monitor: []string{"a"}, Transport: counter})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		time.Sleep(5 * time.Second)
		w.guards[2].Close()
		ln, err := w.Network.Host("s2").Listen("s3")
		if err != nil {
			t.Fatal(err)
		}
		go w.guards[1].Serve(ln)
		counter.dials.Store(0)
		const span = 20 * time.Second
		time.Sleep(span)
		if n := counter.dials.Load(); n == 0 || n > 60 {
			t.Errorf("dialled the address %d times in %v", n, span)
		}
	})
}

// Sentinels that know nothing yet, and find replicas alone, know by what those have that
// there was a master, and that it is gone.
func TestMasterGoneFromTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t, repltest.Star("a", "b", "c"), 0, sentinel.Options{Monitor: []string{"b", "c"}})
		if err := w.Member("a").Machine().Set("k", []byte("v")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		w.Member("a").Kill()
		for _, name := range []string{"s1", "s2", "s3"} {
			s := &guard{name: name, store: new(sentinel.MemoryStore)}
			w.guards = append(w.guards, s)
			w.start(s)
		}
		w.wait("another master is there", 30*time.Second, func() bool {
			m := w.writer()
			return m != nil && m.Name() != "a"
		})
		master := w.writer()
		w.agree(master.Name(), 10*time.Second)
		if v, err := master.Machine().Get("k"); err != nil || string(v) != "v" {
			t.Errorf("the new master has %q, %v", v, err)
		}
	})
}

// Replicas that have never had a master's data are no reason to look for one.
func TestNoMasterYet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t, repltest.Star("a", "b", "c"), 0, sentinel.Options{Monitor: []string{"b"}})
		for _, name := range []string{"a", "b", "c"} {
			w.Member(name).Kill()
		}
		w.Member("b").Replace("a")
		w.opts.Quorum = 1
		s := &guard{name: "s1", store: new(sentinel.MemoryStore)}
		w.guards = append(w.guards, s)
		w.start(s)
		time.Sleep(30 * time.Second)
		if st := s.Status(); !st.Master.IsZero() || len(st.Nodes) != 1 {
			t.Errorf("it takes %v for the master, and knows %d nodes, want none and 1", st.Master, len(st.Nodes))
		}
	})
}
