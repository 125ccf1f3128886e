package kv_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/kv"
	"github.com/emberkv/ember/repl"
)

// A cachePair is a master and its replica, each with a map of the same prefix and a source of its
// own. What the replica asks of the master's node can be made to fail.
type cachePair struct {
	master, replica     *kv.Store
	atMaster, atReplica *kv.Map[string, string]
	masterSource        *slow
	replicaSource       *slow
	asked               atomic.Int64
	fails               atomic.Pointer[error]
	from                *repl.Master
	to                  *repl.Replica
}

func newPair(t *testing.T, opts kv.MapOptions[string, string]) *cachePair {
	p := &cachePair{master: open(t, nil), replica: open(t, nil), masterSource: &slow{takes: 20 * time.Millisecond}, replicaSource: &slow{takes: 20 * time.Millisecond}}
	net := repl.NewMemory()
	ln, err := net.Listen("master")
	must(t, err)
	p.from, err = repl.NewMaster(p.master, nil)
	must(t, err)
	t.Cleanup(func() { p.from.Close() })
	go p.from.Serve(ln)
	p.to, err = repl.NewReplica(p.replica, "master", &repl.Options{Transport: net})
	must(t, err)
	t.Cleanup(func() { p.to.Close() })
	go p.to.Run(t.Context())
	must(t, p.to.WaitSynced(t.Context()))
	opts.Load = p.masterSource.load
	p.atMaster = newMap(t, p.master, "p:", &opts)
	opts.Load, opts.Forward = p.replicaSource.load, p.forward
	p.atReplica = newMap(t, p.replica, "p:", &opts)
	return p
}

// forward is what a request to a service on the master's node does.
func (p *cachePair) forward(ctx context.Context, key string) (backlog.Position, error) {
	p.asked.Add(1)
	if err := p.fails.Load(); err != nil {
		time.Sleep(time.Millisecond)
		return backlog.Position{}, *err
	}
	_, err := p.atMaster.Load(ctx, key)
	return p.master.Position(), err
}

func (p *cachePair) fail(err error) { p.fails.Store(&err) }

// What a replica lacks is loaded by the master's node, once, and is then on both.
func TestMapForward(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, kv.MapOptions[string, string]{})
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() { wantLoad(t, p.atReplica, "k", "k 1") })
		}
		wg.Wait()
		v := "k 1"
		wantMap(t, p.atMaster, "k", &v)
		wantMap(t, p.atReplica, "k", &v)
		wantLoad(t, p.atMaster, "k", "k 1")
		if p.masterSource.calls.Load() != 1 || p.replicaSource.calls.Load() != 0 || p.asked.Load() != 1 {
			t.Errorf("%d loads at the master, %d at the replica, asked %d times", p.masterSource.calls.Load(), p.replicaSource.calls.Load(), p.asked.Load())
		}
		if st := p.atReplica.Stats(); st.Forwards != 1 || st.ForwardFailures != 0 || st.Uncached != 0 {
			t.Errorf("%+v", st)
		}
		wantSame(t, p.master, p.replica)

		p.masterSource.err = kv.ErrNotFound
		wantLoad(t, p.atReplica, "none", "")
		if n := p.replicaSource.calls.Load(); n != 0 {
			t.Errorf("%d loads at the replica of what the master's node says there is not", n)
		}
	})
}

// When the master's node does not answer a replica loads by itself, keeps nothing, and asks
// again after a second.
func TestMapForwardFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, kv.MapOptions[string, string]{})
		mine := errors.New("mine")
		p.fail(mine)
		for i := range 10 {
			wantLoad(t, p.atReplica, "k", fmt.Sprintf("k %d", i+1))
		}
		if st := p.atReplica.Stats(); st.Forwards != 1 || st.ForwardFailures != 1 || st.Uncached != 10 || st.Loads != 10 {
			t.Errorf("%+v", st)
		}
		// Then one finds out, and not all at once.
		time.Sleep(time.Second)
		var wg sync.WaitGroup
		for i := range 10 {
			wg.Go(func() {
				if _, err := p.atReplica.Load(t.Context(), fmt.Sprint(i)); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		p.fails.Store(nil)
		time.Sleep(time.Second)
		wantLoad(t, p.atReplica, "k", "k 1") // the master's node counts for itself
		if n := p.asked.Load(); n != 3 {
			t.Errorf("asked %d times, want 3", n)
		}
		// That the other one is closed is its own matter.
		p.fail(kv.ErrClosed)
		wantLoad(t, p.atReplica, "k2", "k2 21")
	})
}

// A node that hangs, and a Position that does not come, are given up after ForwardTimeout.
func TestMapForwardTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, kv.MapOptions[string, string]{ForwardTimeout: 300 * time.Millisecond})
		p.masterSource.takes = time.Hour
		begun := time.Now()
		wantLoad(t, p.atReplica, "k", "k 1")
		if took := time.Since(begun); took != 320*time.Millisecond {
			t.Errorf("took %v", took)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		p.masterSource.takes = 0
		must(t, p.to.Close()) // and with it the link
		begun = time.Now()
		p.replica.Log().SetGate(func() error { return errors.New("a replica still") })
		wantLoad(t, p.atReplica, "other", "other 2")
		if took := time.Since(begun); took != 320*time.Millisecond {
			t.Errorf("took %v", took)
		}
		if st := p.atReplica.Stats(); st.ForwardFailures != 2 {
			t.Errorf("%+v", st)
		}
	})
}

// A map that can only ask says why there is no value.
func TestMapOnlyForwards(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, nil)
		mine := errors.New("mine")
		var answer error
		m := newMap(t, s, "", &kv.MapOptions[string, string]{Forward: func(context.Context, string) (backlog.Position, error) {
			return s.Position(), answer
		}})
		var invalid *kv.InvalidError
		if l := wantLoadError(t, m, "k", nil); !errors.As(l, &invalid) {
			t.Errorf("%v, want an InvalidError: there is no loader", l)
		}
		s.SetFollower(true)
		s.Log().SetGate(func() error { return mine })
		wantLoadError(t, m, "k", nil) // answered, and not kept there
		answer = mine
		wantLoadError(t, m, "k", mine)
		if l := wantLoadError(t, m, "k", nil); errors.Is(l, mine) {
			t.Errorf("%v: asked again at once", l)
		}
		time.Sleep(time.Second)
		answer = fmt.Errorf("over there: %w", kv.ErrNotFound)
		wantLoad(t, m, "k", "")
	})
}

// A replica's old values are refreshed by the master's node, while both serve them.
func TestMapForwardRefreshes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, kv.MapOptions[string, string]{RefreshAfter: time.Minute})
		wantLoad(t, p.atReplica, "k", "k 1")
		time.Sleep(time.Minute)
		wantLoad(t, p.atReplica, "k", "k 1")
		time.Sleep(time.Second)
		wantLoad(t, p.atReplica, "k", "k 2")
		if n := p.asked.Load(); n != 2 || p.replicaSource.calls.Load() != 0 {
			t.Errorf("asked %d times, %d loads at the replica", n, p.replicaSource.calls.Load())
		}
		wantSame(t, p.master, p.replica)

		// A master's node that does not answer leaves the old value.
		p.fail(errors.New("mine"))
		time.Sleep(time.Minute)
		for range 10 {
			wantLoad(t, p.atReplica, "k", "k 2")
		}
		synctest.Wait()
		if n := p.asked.Load(); n != 3 || p.replicaSource.calls.Load() != 0 {
			t.Errorf("asked %d times, %d loads at the replica", n, p.replicaSource.calls.Load())
		}
	})
}

// A replica that becomes the master loads and keeps for itself.
func TestMapAfterPromotion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, kv.MapOptions[string, string]{RefreshAfter: time.Minute})
		wantLoad(t, p.atReplica, "k", "k 1")
		must(t, p.from.Close())
		master, err := p.to.Promote(t.Context())
		must(t, err)
		defer master.Close()
		wantLoad(t, p.atReplica, "new", "new 1")
		v := "new 1"
		wantMap(t, p.atReplica, "new", &v)
		time.Sleep(time.Minute)
		wantLoad(t, p.atReplica, "k", "k 1")
		time.Sleep(time.Second)
		wantLoad(t, p.atReplica, "k", "k 2")
		if n := p.asked.Load(); n != 1 {
			t.Errorf("asked %d times", n)
		}
	})
}

// Closing ends a question that is under way, and does not load here in its place.
func TestMapCloseWhileForwarding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, kv.MapOptions[string, string]{ForwardTimeout: -1})
		p.masterSource.takes = time.Second
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := p.atReplica.Load(t.Context(), "k"); err != kv.ErrClosed {
				t.Error(err)
			}
		})
		synctest.Wait()
		must(t, p.atReplica.Close())
		wg.Wait()
		if n := p.replicaSource.calls.Load(); n != 0 {
			t.Errorf("%d loads", n)
		}
	})
}
