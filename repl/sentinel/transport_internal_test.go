package sentinel

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/emberkv/ember/kv"
	"github.com/emberkv/ember/repl"
)

// A member is a node with a store on a test's network.
type member struct {
	store *kv.Store
	node  *repl.Node
	addr  string
}

// newMember starts a node at addr that follows upstream, by transport, or is a master if
// upstream is empty. It ends with the test.
func newMember(t *testing.T, network, transport repl.Transport, addr, upstream string) *member {
	t.Helper()
	m := &member{store: kv.New(nil), addr: addr}
	opts := &repl.Options{ID: idOf(addr), Name: addr, Group: "g", Transport: transport}
	if upstream == "" {
		master, err := repl.NewMaster(m.store, opts)
		if err != nil {
			t.Fatal(err)
		}
		m.node = master.Node()
	} else {
		replica, err := repl.NewReplica(m.store, upstream, opts)
		if err != nil {
			t.Fatal(err)
		}
		m.node = replica.Node()
	}
	ln, err := network.Listen(addr)
	if err != nil {
		t.Fatal(err)
	}
	go m.node.Serve(ln)
	go m.node.Run(t.Context())
	t.Cleanup(m.close)
	return m
}

func (m *member) close() { m.node.Close(); m.store.Close() }

// reign returns that of a node that is a master.
func (m *member) reign() Reign {
	s := m.node.Status()
	return Reign{Epoch: s.Lineage.Epoch, ID: s.ID, Name: s.Name, Addr: m.addr}
}

// gets says that the node has a key in time.
func (m *member) gets(t *testing.T, key string, within time.Duration) {
	t.Helper()
	for deadline := time.Now().Add(within); ; time.Sleep(time.Millisecond) {
		if has, _ := m.store.Has(key); has {
			return
		} else if time.Now().After(deadline) {
			t.Fatalf("%s has no %s within %v", m.addr, key, within)
		}
	}
}

// TestTransportFollows: a replica that nobody tells anything goes from master to master.
func TestTransportFollows(t *testing.T) {
	bubble(t, func(t *testing.T, network *repl.Memory, opts *ClientOptions) {
		a := newMember(t, network, network, "a", "")
		b := newMember(t, network, network, "b", "a")
		s := newOracle(t, network, "s", a.reign())
		transport, err := NewTransport([]string{"nobody", "s"}, "g", opts)
		if err != nil {
			t.Fatal(err)
		}
		c := newMember(t, network, transport, "c", "whoever is the master")
		for _, key := range []string{"k1", "k2"} {
			if err := a.store.Set(key, nil); err != nil {
				t.Fatal(err)
			}
			b.gets(t, key, time.Second)
			c.gets(t, key, time.Second)
		}
		a.close()
		replica, err := b.node.Replica()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := replica.Promote(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Second) // c looks for a master meanwhile
		if err := b.store.Set("k3", nil); err != nil {
			t.Fatal(err)
		}
		s.tell(b.reign())
		c.gets(t, "k3", 500*time.Millisecond)
		if full := c.node.Status().Upstream.Fulls; full != 1 {
			t.Errorf("%d full copies, want 1", full)
		}
	})
}

// TestTransportAsks: it takes nobody for the master who does not say so.
func TestTransportAsks(t *testing.T) {
	bubble(t, func(t *testing.T, network *repl.Memory, opts *ClientOptions) {
		a := newMember(t, network, network, "a", "")
		b := newMember(t, network, network, "b", "a")
		s := newOracle(t, network, "s", Reign{})
		transport, err := NewTransport([]string{"s"}, "g", opts)
		if err != nil {
			t.Fatal(err)
		}
		slave := reignOf(1, "b")
		slave.ID = b.node.Status().ID
		for _, c := range []struct {
			told Reign
			want error
		}{
			{slave, ErrNotMaster},
			{reignOf(1, "a"), ErrNotMaster}, // it is a master, but another node
			{reignOf(1, "nobody"), errAny},
			{a.reign(), nil},
		} {
			s.tell(c.told)
			conn, err := transport.Dial(t.Context(), "b")
			if !errors.Is(err, c.want) && (c.want != errAny || err == nil) {
				t.Errorf("%+v: %v, want %v", c.told, err, c.want)
			}
			if conn != nil {
				if got := conn.RemoteAddr().String(); got != "a" {
					t.Errorf("%+v: dialed %s", c.told, got)
				}
				conn.Close()
			}
		}
		s.stop()
		if _, err := transport.Dial(t.Context(), "a"); !errors.Is(err, ErrNoSentinel) {
			t.Errorf("without a sentinel: %v", err)
		}
	})
}

var errAny = errors.New("any error")

// TestTransportWaits: for a master that does not answer only until there is another, and for
// one to be found until the context ends.
func TestTransportWaits(t *testing.T) {
	bubble(t, func(t *testing.T, network *repl.Memory, opts *ClientOptions) {
		ln, err := network.Listen("silent")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		a := newMember(t, network, network, "a", "")
		s := newOracle(t, network, "s", Reign{})
		transport, err := NewTransport([]string{"s"}, "g", opts)
		if err != nil {
			t.Fatal(err)
		}

		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		began := time.Now()
		if _, err := transport.Dial(ctx, ""); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Minute {
			t.Errorf("without a master: %v after %v", err, time.Since(began))
		}

		gone, next := a.reign(), a.reign()
		gone.Epoch.Counter++
		gone.ID, gone.Addr = repl.NodeID{1}, "silent"
		next.Epoch.Counter += 2
		s.tell(gone)
		found := make(chan net.Conn)
		go func() {
			conn, err := transport.Dial(t.Context(), "")
			if err != nil {
				t.Error(err)
			}
			found <- conn
		}()
		time.Sleep(time.Second)
		s.tell(next)
		began = time.Now()
		if conn := <-found; conn != nil {
			conn.Close()
		}
		if took := time.Since(began); took > 10*time.Millisecond {
			t.Errorf("it took %v", took)
		}
	})
}
