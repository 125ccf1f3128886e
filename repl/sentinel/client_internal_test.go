package sentinel

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/kv"
	"github.com/emberkv/ember/repl"
)

// An oracle answers as a sentinel does, with what a test tells it.
type oracle struct {
	t       *testing.T
	net     repl.Transport
	addr    string
	secrets []repl.Secret

	mu      sync.Mutex
	reign   Reign
	changed chan struct{} // closed at the next change
	asked   int
	server  *repl.ControlServer
}

// newOracle starts a sentinel at addr. It ends with the test.
func newOracle(t *testing.T, network repl.Transport, addr string, r Reign, secrets ...repl.Secret) *oracle {
	t.Helper()
	o := &oracle{t: t, net: network, addr: addr, secrets: slices.Clone(secrets), reign: r, changed: make(chan struct{})}
	o.start()
	t.Cleanup(o.stop)
	return o
}

func (o *oracle) start() {
	o.t.Helper()
	ln, err := o.net.Listen(o.addr)
	if err != nil {
		o.t.Fatal(err)
	}
	opts := &repl.ControlOptions{Group: "g", Transport: o.net, Security: repl.Security{Secrets: o.secrets}}
	if o.server, err = repl.NewControlServer(opts, o.handle); err != nil {
		o.t.Fatal(err)
	}
	go o.server.Serve(ln)
}

func (o *oracle) stop() { o.server.Close() }

// tell makes r what it answers.
func (o *oracle) tell(r Reign) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.reign = r
	close(o.changed)
	o.changed = make(chan struct{})
}

func (o *oracle) handle(ctx context.Context, _ repl.Peer, body []byte) ([]byte, error) {
	w, err := parseWho(body)
	if err != nil {
		return nil, err
	}
	late := time.After(w.Wait)
	for first := true; ; first = false {
		o.mu.Lock()
		r, changed := o.reign, o.changed
		if first {
			o.asked++
		}
		o.mu.Unlock()
		if r.Epoch != w.Known || w.At != "" && r.Addr != w.At {
			return appendMaster(nil, r), nil
		}
		select {
		case <-changed:
		case <-late:
			return appendMaster(nil, r), nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// reignOf returns the reign of a node whose id and epoch follow from n.
func reignOf(n byte, addr string) Reign {
	id := repl.NodeID{n}
	return Reign{Epoch: backlog.Epoch{Counter: uint64(n), Node: id}, ID: id, Name: fmt.Sprintf("node-%d", n), Addr: addr}
}

// bubble runs f in virtual time, on a network of its own.
func bubble(t *testing.T, f func(t *testing.T, network *repl.Memory, opts *ClientOptions)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		network := repl.NewMemory()
		f(t, network, &ClientOptions{Transport: network})
	})
}

func TestResolve(t *testing.T) {
	old, now := reignOf(1, "a"), reignOf(2, "b")
	for _, c := range []struct {
		name string
		told []Reign
		dead int // addresses beside those at which nobody answers
		want Reign
		err  error
	}{
		{"all agree", []Reign{now, now, now}, 0, now, nil},
		{"one is not up to date", []Reign{old, now}, 0, now, nil},
		{"another is not", []Reign{now, old}, 0, now, nil},
		{"one has not begun", []Reign{{}, now, {}}, 0, now, nil},
		{"most are gone", []Reign{now}, 4, now, nil},
		{"none knows", []Reign{{}, {}}, 1, Reign{}, ErrNoMaster},
		{"none answers", nil, 3, Reign{}, ErrNoSentinel},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, network *repl.Memory, opts *ClientOptions) {
				var addrs []string
				for i, r := range c.told {
					addrs = append(addrs, fmt.Sprint("s", i))
					newOracle(t, network, addrs[i], r)
				}
				for i := range c.dead {
					addrs = append(addrs, fmt.Sprint("nobody", i))
				}
				began := time.Now()
				got, err := Resolve(t.Context(), addrs, "g", opts)
				if got != c.want || !errors.Is(err, c.err) {
					t.Errorf("%+v, %v, want %+v, %v", got, err, c.want, c.err)
				}
				if took := time.Since(began); took > resolveGrace {
					t.Errorf("it took %v", took)
				}
			})
		})
	}
}

// TestResolveSilent: sentinels that have accepted and say nothing are not waited for, if
// another has answered; and if none has, not for longer than was said.
func TestResolveSilent(t *testing.T) {
	bubble(t, func(t *testing.T, network *repl.Memory, opts *ClientOptions) {
		for _, addr := range []string{"silent1", "silent2"} {
			ln, err := network.Listen(addr)
			if err != nil {
				t.Fatal(err)
			}
			defer ln.Close()
		}
		r := reignOf(1, "a")
		newOracle(t, network, "s", r)
		began := time.Now()
		if got, err := Resolve(t.Context(), []string{"silent1", "s", "silent2"}, "g", opts); got != r || err != nil {
			t.Errorf("%+v, %v", got, err)
		}
		if took := time.Since(began); took != resolveGrace {
			t.Errorf("it took %v, want %v", took, resolveGrace)
		}

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began = time.Now()
		_, err := Resolve(ctx, []string{"silent1", "silent2"}, "g", opts)
		if !errors.Is(err, ErrNoSentinel) || !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		opts.Timeout = 300 * time.Millisecond
		began = time.Now()
		if _, err := Resolve(t.Context(), []string{"silent1"}, "g", opts); !errors.Is(err, ErrNoSentinel) || time.Since(began) != opts.Timeout {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}

// TestResolveRefused: why nobody has answered can be told apart.
func TestResolveRefused(t *testing.T) {
	bubble(t, func(t *testing.T, network *repl.Memory, opts *ClientOptions) {
		newOracle(t, network, "s", reignOf(1, "a"))
		if _, err := Resolve(t.Context(), []string{"s"}, "another", opts); !errors.Is(err, ErrNoSentinel) || !errors.Is(err, repl.ErrGroup) {
			t.Errorf("of another group: %v", err)
		}
		store := kv.New(nil)
		defer store.Close()
		master, err := repl.NewMaster(store, &repl.Options{Group: "g", Transport: network})
		if err != nil {
			t.Fatal(err)
		}
		defer master.Close()
		ln, err := network.Listen("a")
		if err != nil {
			t.Fatal(err)
		}
		go master.Serve(ln)
		_, err = Resolve(t.Context(), []string{"a"}, "g", opts)
		if !errors.Is(err, ErrNoSentinel) || !errors.Is(err, repl.ErrNotAsked) || !strings.Contains(err.Error(), "a: a node is there, and no sentinel") {
			t.Errorf("of a node: %v", err)
		}
		opts.Secrets = []repl.Secret{repl.Secret("a secret of the group, and not a short one")}
		secretive := newOracle(t, network, "secretive", reignOf(1, "a"), opts.Secrets...)
		if r, err := Resolve(t.Context(), []string{secretive.addr}, "g", opts); err != nil || r != reignOf(1, "a") {
			t.Errorf("with its secret: %+v, %v", r, err)
		}
		opts.Secrets[0] = repl.Secret("a secret of somebody else, as long as that")
		if _, err := Resolve(t.Context(), []string{secretive.addr}, "g", opts); !errors.Is(err, repl.ErrAuth) {
			t.Errorf("with another secret: %v", err)
		}
		for _, addrs := range [][]string{nil, make([]string, MaxSentinels+1)} {
			if _, err := Resolve(t.Context(), addrs, "g", opts); !errors.Is(err, repl.ErrOption) {
				t.Errorf("%d addresses: %v", len(addrs), err)
			}
			if _, err := NewTransport(addrs, "g", opts); !errors.Is(err, repl.ErrOption) {
				t.Errorf("%d addresses: %v", len(addrs), err)
			}
			for _, err := range Switches(t.Context(), addrs, "g", opts) {
				if !errors.Is(err, repl.ErrOption) {
					t.Errorf("%d addresses: %v", len(addrs), err)
				}
			}
		}
	})
}

// A watching is what a loop over Switches has seen.
type watching struct {
	mu     sync.Mutex
	reigns []Reign
	errs   []error
}

func (w *watching) put(r Reign, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		w.errs = append(w.errs, err)
	} else {
		w.reigns = append(w.reigns, r)
	}
}

// seen returns how many reigns and errors there were, and the last of each.
func (w *watching) seen() (n int, last Reign, failed int, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if n = len(w.reigns); n > 0 {
		last = w.reigns[n-1]
	}
	if failed = len(w.errs); failed > 0 {
		err = w.errs[failed-1]
	}
	return n, last, failed, err
}

// watch loops over Switches until the context ends.
func watch(ctx context.Context, addrs []string, opts *ClientOptions) *watching {
	w := &watching{}
	go func() {
		for r, err := range Switches(ctx, addrs, "g", opts) {
			w.put(r, err)
		}
	}()
	return w
}

func TestSwitches(t *testing.T) {
	bubble(t, func(t *testing.T, network *repl.Memory, opts *ClientOptions) {
		s := newOracle(t, network, "s", reignOf(1, "a"))
		cutOff := newOracle(t, network, "cut off", Reign{})
		ctx, cancel := context.WithCancel(t.Context())
		w := watch(ctx, []string{"s", "cut off", "nobody"}, opts)
		expect := func(n int, last Reign, failed int) {
			t.Helper()
			time.Sleep(2 * minAskAgain)
			if gotN, got, gotFailed, err := w.seen(); gotN != n || got != last || gotFailed != failed {
				t.Errorf("%d switches, the last to %+v, and %d errors, the last %v; want %d, %+v, %d", gotN, got, gotFailed, err, n, last, failed)
			}
		}
		time.Sleep(time.Second)
		expect(1, reignOf(1, "a"), 0)
		// Told at once, and once.
		s.tell(reignOf(2, "b"))
		expect(2, reignOf(2, "b"), 0)
		time.Sleep(time.Hour)
		expect(2, reignOf(2, "b"), 0)
		// A sentinel that has missed it is no switch back.
		cutOff.tell(reignOf(1, "a"))
		expect(2, reignOf(2, "b"), 0)
		cutOff.tell(reignOf(2, "b"))
		expect(2, reignOf(2, "b"), 0)
		// One that the other one has heard of first is.
		cutOff.tell(reignOf(3, "c"))
		expect(3, reignOf(3, "c"), 0)
		// The same one, at another address.
		moved := reignOf(3, "d")
		cutOff.tell(moved)
		time.Sleep(2 * subscriptionWait)
		expect(4, moved, 0)

		// None answers, then one is back, with news.
		s.stop()
		cutOff.stop()
		time.Sleep(time.Minute)
		expect(4, moved, 1)
		if _, _, _, err := w.seen(); !errors.Is(err, ErrNoSentinel) {
			t.Errorf("it says %v", err)
		}
		s.tell(reignOf(4, "d"))
		s.start()
		time.Sleep(2 * maxResubscribe)
		expect(5, reignOf(4, "d"), 1)
		s.stop()
		time.Sleep(time.Minute)
		expect(5, reignOf(4, "d"), 2)

		cancel()
		expect(5, reignOf(4, "d"), 3)
		if _, _, _, err := w.seen(); !errors.Is(err, context.Canceled) {
			t.Errorf("it has ended with %v", err)
		}
	})
}

// TestSwitchesMoved: the master's address changes while a link is away, or just when a question was
// answered. That is told once, when the next answer can have come, and nothing is told that is not new.
func TestSwitchesMoved(t *testing.T) {
	bubble(t, func(t *testing.T, network *repl.Memory, opts *ClientOptions) {
		at := func(addr string) Reign { return reignOf(3, addr) }
		s := newOracle(t, network, "s", at("c"))
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		w := watch(ctx, []string{"s"}, opts)
		expect := func(n int, last Reign, within time.Duration) {
			t.Helper()
			time.Sleep(within)
			if gotN, got, _, _ := w.seen(); gotN != n || got != last {
				t.Errorf("%d switches, the last to %+v; want %d and %+v", gotN, got, n, last)
			}
		}
		expect(1, at("c"), time.Second)
		// Twice within the pause between two questions.
		s.tell(at("d"))
		time.Sleep(minAskAgain / 5)
		s.tell(at("e"))
		expect(3, at("e"), 2*minAskAgain)
		// While there is no link.
		s.stop()
		s.tell(at("f"))
		time.Sleep(time.Second)
		s.start()
		expect(4, at("f"), 2*maxResubscribe)
		// A link that was away, and nothing else.
		s.stop()
		time.Sleep(time.Second)
		s.start()
		expect(4, at("f"), 2*maxResubscribe)
	})
}

// TestSwitchesDisagreed: sentinels hear of a master's new address one after the other. What one of them
// repeats does not bring the old one back, and what a latecomer tells counts if it is all there is.
func TestSwitchesDisagreed(t *testing.T) {
	bubble(t, func(t *testing.T, network *repl.Memory, opts *ClientOptions) {
		old, now := reignOf(3, "old"), reignOf(3, "now")
		first, second := newOracle(t, network, "first", old), newOracle(t, network, "second", old)
		late := newOracle(t, network, "late", now)
		late.stop()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		w := watch(ctx, []string{"first", "second", "late"}, opts)
		expect := func(when string, n int, last Reign) {
			t.Helper()
			time.Sleep(2 * maxResubscribe)
			if gotN, got, _, _ := w.seen(); gotN != n || got != last {
				t.Errorf("%s: %d switches, the last to %+v; want %d and %+v", when, gotN, got, n, last)
			}
		}
		expect("at first", 1, old)
		late.start()
		expect("two against one who is new", 1, old)
		first.tell(now)
		expect("one of them has heard", 2, now)
		second.stop()
		expect("the other is away", 2, now)
		second.start()
		expect("and repeats what it said", 2, now)
		second.tell(now)
		expect("all agree", 2, now)

		// All who have named a place are gone when somebody else comes.
		next, elsewhere := reignOf(4, "next"), reignOf(4, "elsewhere")
		late.stop()
		late.tell(elsewhere)
		second.stop()
		first.tell(next)
		expect("a switch", 3, next)
		first.stop()
		late.start()
		expect("all there is", 4, elsewhere)
	})
}

// TestWhoMoved: a sentinel answers at once those that have heard of another address than it knows, and
// else waits.
func TestWhoMoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := reignOf(2, "b")
		s := &Sentinel{ended: make(chan struct{})}
		s.mu.reign, s.mu.changed = r, make(chan struct{})
		for _, c := range []struct {
			known Reign
			waits time.Duration
		}{
			{Reign{}, 0},
			{reignOf(1, "a"), 0},
			{reignOf(2, "a"), 0},
			{reignOf(2, "b"), time.Minute},
			{reignOf(2, ""), time.Minute}, // it does not say
			{reignOf(3, "a"), time.Minute},
		} {
			begun := time.Now()
			got := s.who(t.Context(), who{Known: c.known.Epoch, At: c.known.Addr, Wait: time.Minute})
			if took := time.Since(begun); got != r || took != c.waits {
				t.Errorf("who knows %+v got %+v after %v, want %v", c.known, got, took, c.waits)
			}
		}
	})
}

// TestSwitchesPace: an idle subscription costs a question now and then, one of a sentinel
// that answers at once whatever it is asked a bounded number of them.
func TestSwitchesPace(t *testing.T) {
	bubble(t, func(t *testing.T, network *repl.Memory, opts *ClientOptions) {
		s := newOracle(t, network, "s", reignOf(1, "a"))
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		watch(ctx, []string{"s"}, opts)
		time.Sleep(time.Hour)
		s.mu.Lock()
		defer s.mu.Unlock()
		if want := int(time.Hour / subscriptionWait); s.asked < want || s.asked > want+2 {
			t.Errorf("%d questions in an hour, want %d", s.asked, want)
		}
	})
}

// TestSwitchesLeft: a loop that is left leaves nothing behind, which the bubble would find.
func TestSwitchesLeft(t *testing.T) {
	bubble(t, func(t *testing.T, network *repl.Memory, opts *ClientOptions) {
		newOracle(t, network, "s", reignOf(1, "a"))
		for r, err := range Switches(t.Context(), []string{"s", "nobody"}, "g", opts) {
			if err != nil || r != reignOf(1, "a") {
				t.Errorf("%+v, %v", r, err)
			}
			break
		}
	})
}
