package sentinel_test

import (
	"crypto/sha256"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/emberkv/ember/kv"
	"github.com/emberkv/ember/repl"
	"github.com/emberkv/ember/repl/repltest"
	"github.com/emberkv/ember/repl/sentinel"
)

// A town is a group with sentinels, on a network that can be broken. Nodes and sentinels
// have hosts of their own, by their names.
type town struct {
	*repltest.Group[*kv.Store]
	t        testing.TB
	opts     sentinel.Options // of every sentinel, except for what newSentinel sets
	guards   []*guard         // the sentinels
	fenced   bool             // nodes are, from their next start on
	nameless bool             // nodes have another id with each start
	free     map[string]bool  // nodes that take no orders, from their next start on
	priority map[string]int   // of nodes that are started from now on
	ids      map[string]int   // how many each has been given, by name
}

// A guard is a seat of a sentinel, which may be closed and started again.
type guard struct {
	*sentinel.Sentinel
	name  string
	store sentinel.Store

	mu     sync.Mutex
	events []sentinel.Event
}

// newTown makes a group of the seats and n sentinels, s1 and so on, that watch the first seat.
func newTown(t testing.TB, seats []repltest.Seat, n int, opts sentinel.Options) *town {
	t.Helper()
	return newTownOf(t, seats, n, opts, func(string) *kv.Store { return kv.New(nil) })
}

// newTownOf is newTown with nodes of the stores that open returns.
func newTownOf(t testing.TB, seats []repltest.Seat, n int, opts sentinel.Options, open func(name string) *kv.Store) *town {
	t.Helper()
	ids := make(map[string]repl.NodeID)
	w := &town{t: t, opts: opts, ids: make(map[string]int)}
	w.Group = repltest.New(t, repltest.Topology[*kv.Store]{
		Seats:   seats,
		Machine: open,
		State:   func(s *kv.Store) any { return digest(t, s) },
		Options: func(name string) *repl.Options {
			if ids[name] == (repl.NodeID{}) || w.nameless {
				ids[name] = w.newID(name) // which a program keeps beside its data
			}
			return &repl.Options{ID: ids[name], Priority: w.priority[name], Security: opts.Security, Supervision: repl.Supervision{Supervised: !w.free[name], Fenced: w.fenced && !w.free[name]}}
		},
	}, 1)
	if w.opts.Monitor == nil {
		w.opts.Monitor = []string{seats[0].Name}
	}
	for i := range n {
		w.guards = append(w.guards, &guard{name: fmt.Sprintf("s%d", i+1), store: new(sentinel.MemoryStore)})
		w.start(w.guards[i])
	}
	t.Cleanup(func() {
		for _, s := range w.guards {
			s.Close()
		}
	})
	return w
}

// newID returns an id that nobody has had, the same whenever the test runs: ids seed the pauses
// before tries and candidacies.
func (w *town) newID(name string) (id repl.NodeID) {
	sum := sha256.Sum256(fmt.Append(nil, w.t.Name(), " ", name, " ", w.ids[name]))
	w.ids[name]++
	copy(id[:], sum[:])
	return id
}

func digest(t testing.TB, s *kv.Store) uint64 {
	d, err := s.Digest()
	if err != nil {
		t.Errorf("digest: %v", err)
	}
	return d.Sum
}

// start starts a sentinel with the store that it has.
func (w *town) start(s *guard) {
	w.t.Helper()
	o := w.opts
	o.Name, o.Store, o.Transport = s.name, s.store, w.Network.Host(s.name)
	if state, err := s.store.Load(); err == nil && state == nil {
		o.ID = w.newID(s.name) // else it has one
	}
	o.OnEvent = func(e sentinel.Event) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.events = append(s.events, e)
	}
	var err error
	if s.Sentinel, err = sentinel.New(&o); err != nil {
		w.t.Fatal(err)
	}
	ln, err := w.Network.Host(s.name).Listen(s.name)
	if err != nil {
		w.t.Fatal(err)
	}
	go s.Serve(ln)
}

// seen returns the events of a kind that the sentinel has told.
func (s *guard) seen(k sentinel.EventKind) (events []sentinel.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.events {
		if e.Kind == k {
			events = append(events, e)
		}
	}
	return events
}

// wait waits until what is wanted is so, for bound at most, and returns how long that took.
func (w *town) wait(what string, bound time.Duration, is func() bool) time.Duration {
	w.t.Helper()
	begun := time.Now()
	for ; !is(); time.Sleep(time.Millisecond + 7*time.Microsecond) {
		if time.Since(begun) > bound {
			w.t.Fatalf("not within %v: %s\n%s", bound, what, w)
		}
	}
	return time.Since(begun)
}

// settle waits until every sentinel knows all the others and all nodes, and the master holds a
// lease of all of them.
func (w *town) settle() {
	w.t.Helper()
	w.wait("all know each other", 20*w.downAfter(), func() bool {
		for _, s := range w.guards {
			st := s.Status()
			if len(st.Nodes) != len(w.Members()) || len(st.Sentinels) != len(w.guards)-1 {
				return false
			}
			for _, n := range st.Nodes {
				if !n.Linked || n.SDown || n.Wrong || n.ID == st.Master.ID && n.Lease.Granted != len(w.guards) {
					return false
				}
			}
		}
		return true
	})
}

func (w *town) downAfter() time.Duration {
	if w.opts.DownAfter == 0 {
		return sentinel.DefaultDownAfter
	}
	return w.opts.DownAfter
}

// writer returns the member that takes a write now, or nil. Two would be one too many.
func (w *town) writer() (writer *repltest.Member[*kv.Store]) {
	w.t.Helper()
	for _, m := range w.Members() {
		if m.Running() && m.Machine().Set("probe", []byte(m.Name())) == nil {
			if writer != nil {
				w.t.Fatalf("%s and %s both take writes\n%s", writer.Name(), m.Name(), w)
			}
			writer = m
		}
	}
	return writer
}

// agree waits until all sentinels take the member for the master, and all other members that run
// follow it.
func (w *town) agree(master string, bound time.Duration) {
	w.t.Helper()
	w.wait("all follow "+master, bound, func() bool {
		for _, s := range w.guards {
			if s.Master().Addr != master {
				return false
			}
		}
		for _, m := range w.Members() {
			if up := m.Node().Status().Upstream; m.Running() && m.Name() != master &&
				(up == nil || up.State != repl.LinkStreaming) {
				return false
			}
		}
		return true
	})
}

func (w *town) String() string {
	text := w.Group.String()
	for _, s := range w.guards {
		st := s.Status()
		text += fmt.Sprintf("%s: master %s of %s, epoch %d, odown %v, failover %s, granted %s\n", s.name, st.Master.Addr, st.Master.Epoch, st.Epoch, st.ODown, st.Failover, st.GrantEnds)
		for _, n := range st.Nodes {
			text += fmt.Sprintf("  node %s at %q linked %v sdown %v wrong %v %s of %q, %s, heard %v, lease %+v\n", n.Name, n.Addr, n.Linked, n.SDown, n.Wrong, n.Role, n.Upstream, n.Link, n.Heard, n.Lease)
		}
		for _, p := range st.Sentinels {
			text += fmt.Sprintf("  peer %s at %q linked %v sdown %v\n", p.Name, p.Addr, p.Linked, p.SDown)
		}
		s.mu.Lock()
		for _, e := range s.events {
			text += fmt.Sprintf("  %s %v\n", e.Time.Format("05.000"), e)
		}
		s.mu.Unlock()
	}
	return text
}
