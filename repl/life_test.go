package repl_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/repl"
	"github.com/emberkv/ember/repl/repltest"
)

// TestCloseInEveryPhase closes one end or the other, or both, at each step of
// a link's life. It must return at once, twice, and leave no goroutine, which
// the bubble checks.
func TestCloseInEveryPhase(t *testing.T) {
	moments := map[string]time.Duration{
		"dialing": 5 * time.Millisecond, "greeting": 25 * time.Millisecond, "deciding": 45 * time.Millisecond,
		"agreeing": 65 * time.Millisecond, "copying": 150 * time.Millisecond, "copying still": 400 * time.Millisecond,
		"streaming": 3 * time.Second,
	}
	for name, at := range moments {
		for who := 1; who < 4; who++ {
			synctest.Test(t, func(t *testing.T) {
				network := repltest.NewNetwork(1)
				network.SetDelay(10*time.Millisecond, 0)
				a, b := newLedger(nil), newLedger(nil)
				fill(t, a, "k", 100)
				slowly(a, 100*time.Millisecond)
				m := master(t, a, network.Host("a"), "a", nil)
				r := replica(t, b, network.Host("b"), "a", nil)
				go m.Wait(context.Background(), a.Log().Position(), 1)
				go r.WaitSynced(context.Background())
				time.Sleep(at)
				begun := time.Now()
				for range 2 {
					if who&1 != 0 {
						if err := m.Close(); err != nil {
							t.Errorf("%s: master's Close: %v", name, err)
						}
					}
					if who&2 != 0 {
						if err := r.Close(); err != nil {
							t.Errorf("%s: replica's Close: %v", name, err)
						}
					}
				}
				// The machine finishes the capture of one shard, no more.
				if took := time.Since(begun); took > 110*time.Millisecond {
					t.Errorf("%s: Close took %v", name, took)
				}
				if who == 1 {
					time.Sleep(time.Second)
					if s := r.Status().Upstream; s.State == repl.LinkStreaming || s.LastError == "" {
						t.Errorf("%s: the master is closed and its replica says %v, %q", name, s.State, s.LastError)
					}
				}
				if s := m.Status(); who&1 != 0 && len(s.Followers) != 0 {
					t.Errorf("%s: a closed master has %d followers", name, len(s.Followers))
				}
			})
		}
	}
}

func TestHandlesAfterClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr, a, b := repl.NewMemory(), newLedger(nil), newLedger(nil)
		m := master(t, a, tr, "a", nil)
		r := replica(t, b, tr, "a", nil)
		synced(t, m, a, r)
		if err := r.Run(t.Context()); err != repl.ErrRunning {
			t.Errorf("a second Run: %v, want ErrRunning", err)
		}
		if _, err := b.put("k", "v"); !errors.Is(err, repl.ErrReadOnly) || !strings.Contains(err.Error(), "follows a") {
			t.Errorf("a write on a replica: %v, want a ReadOnlyError that names its upstream", err)
		}
		m.Close()
		r.Close()
		synctest.Wait() // until Run has returned
		ln, err := tr.Listen("other")
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Serve(ln); err != repl.ErrClosed {
			t.Errorf("Serve after Close: %v, want ErrClosed", err)
		}
		if _, err := tr.Listen("other"); err != nil {
			t.Errorf("Serve after Close has kept its listener: %v", err)
		}
		if err := r.Run(t.Context()); err != repl.ErrClosed {
			t.Errorf("Run after Close: %v, want ErrClosed", err)
		}
		if err := r.WaitSynced(t.Context()); err != repl.ErrClosed {
			t.Errorf("WaitSynced after Close: %v, want ErrClosed", err)
		}
		if _, err := a.put("k", "v"); err != nil {
			t.Errorf("a master's machine after Close: %v", err)
		}
		if _, err := b.put("k", "v"); !errors.Is(err, repl.ErrReadOnly) {
			t.Errorf("a replica's machine after Close: %v, want ErrReadOnly", err)
		}
	})
}

// TestRunAgain: Run ends with its context and can be called again, and the
// replica goes on from where it stood.
func TestRunAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr, a, b := repl.NewMemory(), newLedger(nil), newLedger(nil)
		fill(t, a, "k", 10)
		m := master(t, a, tr, "a", nil)
		r, err := repl.NewReplica(b, "a", seeded(t, &repl.Options{Transport: tr}))
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		for range 3 {
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- r.Run(ctx) }()
			synced(t, m, a, r)
			same(t, a, b)
			cancel()
			if err := <-done; err != context.Canceled {
				t.Errorf("Run: %v, want context.Canceled", err)
			}
			if s := r.Status().Upstream; s.State != repl.LinkDown || s.Synced {
				t.Errorf("after Run the link is %v, synced %v", s.State, s.Synced)
			}
			fill(t, a, "more", 5)
		}
		if s := r.Status().Upstream; s.Fulls != 1 || s.Partials != 2 {
			t.Errorf("%d full and %d partial syncs, want 1 and 2", s.Fulls, s.Partials)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := r.WaitSynced(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("WaitSynced without Run: %v", err)
		}
	})
}

// TestWaitSyncedSaysWhy: whoever waits in vain is told why the last attempt came to
// nothing, though there had been none when the wait began.
func TestWaitSyncedSaysWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, err := repl.NewReplica(newLedger(nil), "nobody", seeded(t, &repl.Options{Transport: repl.NewMemory()}))
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		ended := make(chan error, 1)
		go func() { ended <- r.WaitSynced(ctx) }()
		synctest.Wait()
		go r.Run(t.Context())
		if err := <-ended; !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("WaitSynced: %v, want the deadline and why there is no link", err)
		}
	})
}

// TestLogOfAnOutage: neither end fills its log when a link is tried in vain for long, and
// each says once why it is.
func TestLogOfAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := repl.NewMemory()
		var up, down bytes.Buffer
		master(t, newLedger(nil), net, "a", &repl.Options{Group: "prod", Logger: slog.New(slog.NewTextHandler(&up, nil))})
		r := replica(t, newLedger(nil), net, "a", &repl.Options{Group: "test", Logger: slog.New(slog.NewTextHandler(&down, nil))})
		time.Sleep(time.Minute)
		r.Close()
		synctest.Wait()
		for end, log := range map[string]string{"upstream": up.String(), "follower": down.String()} {
			if n := strings.Count(log, "peer belongs to another group"); n != 1 {
				t.Errorf("the log of the %s says so %d times:\n%s", end, n, log)
			}
		}
	})
}

// TestLogOfACopyInVain: nor when links come up, and the followers, two of them, refuse what they are offered.
func TestLogOfACopyInVain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := repl.NewMemory()
		var up, down, other bytes.Buffer
		master(t, newLedger(nil), net, "a", &repl.Options{Logger: slog.New(slog.NewTextHandler(&up, nil))})
		var replicas []*repl.Replica
		for _, log := range []*bytes.Buffer{&down, &other} {
			own := newLedger(nil)
			own.put("own", "data")
			replicas = append(replicas, replica(t, own, net, "a", &repl.Options{Logger: slog.New(slog.NewTextHandler(log, nil))}))
		}
		time.Sleep(time.Minute)
		for _, r := range replicas {
			r.Close()
		}
		synctest.Wait()
		for _, of := range []struct {
			log  string
			want map[string]int
			most int // lines
		}{
			{up.String(), map[string]int{"follower disconnected": 2}, 5},
			{down.String(), map[string]int{"msg=connected": 1, "link down": 1}, 4},
			{other.String(), map[string]int{"msg=connected": 1, "link down": 1}, 4},
		} {
			for line, times := range of.want {
				if n := strings.Count(of.log, line); n != times {
					t.Errorf("%q is told %d times, want %d:\n%s", line, n, times, of.log)
				}
			}
			if n := strings.Count(of.log, "\n"); n > of.most {
				t.Errorf("%d lines:\n%s", n, of.log)
			}
		}
	})
}

// TestLogOfSyncs: both ends tell when a follower comes, what it is given, when it has all, and when it
// goes; and again after a link that has worked.
func TestLogOfSyncs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := repltest.NewNetwork(1)
		var up, down bytes.Buffer
		a := newLedger(nil)
		a.put("k", "v")
		master(t, a, net.Host("a"), "a", &repl.Options{Logger: slog.New(slog.NewTextHandler(&up, nil))})
		r := replica(t, newLedger(nil), net.Host("b"), "a", &repl.Options{Logger: slog.New(slog.NewTextHandler(&down, nil))})
		if err := r.WaitSynced(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		net.Link("a", "b").Cut()
		net.Link("a", "b").Refuse()
		time.Sleep(time.Second)
		net.HealAll()
		time.Sleep(time.Second)
		r.Close()
		synctest.Wait()
		for end, want := range map[string]string{
			up.String(): "follower connected; full sync; full sync complete; caught up; follower disconnected; " +
				"follower connected; partial sync; caught up; follower disconnected",
			down.String(): "connected; full sync; full sync complete; caught up; link down; link down; connected; partial sync; caught up",
		} {
			var lines []string
			for line := range strings.Lines(end) {
				_, msg, _ := strings.Cut(line, "msg=")
				msg, _, _ = strings.Cut(strings.TrimPrefix(msg, `"`), "=")
				msg = msg[:strings.LastIndexByte(msg, ' ')]
				if msg = strings.TrimSuffix(msg, `"`); msg != "role" && msg != "epoch" {
					lines = append(lines, msg)
				}
			}
			if got := strings.Join(lines, "; "); got != want {
				t.Errorf("told:\n%s\nwant:\n%s\nof:\n%s", got, want, end)
			}
		}
	})
}

// A starved listener has no file descriptors for a while.
type starved struct {
	net.Listener
	mu    sync.Mutex
	fails int
	tries []time.Time
}

func (s *starved) Accept() (net.Conn, error) {
	s.mu.Lock()
	s.tries = append(s.tries, time.Now())
	fail := len(s.tries) <= s.fails
	s.mu.Unlock()
	if fail {
		return nil, &net.OpError{Op: "accept", Err: syscall.EMFILE}
	}
	return s.Listener.Accept()
}

// TestListenerWithoutDescriptors is tried again after 5 ms, then twice as long
// each time, up to a second; and then serves.
func TestListenerWithoutDescriptors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr, a := repl.NewMemory(), newLedger(nil)
		m, err := repl.NewMaster(a, seeded(t, nil))
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		ln, err := tr.Listen("a")
		if err != nil {
			t.Fatal(err)
		}
		s := &starved{Listener: ln, fails: 12}
		served := make(chan error, 1)
		go func() { served <- m.Serve(s) }()
		synced(t, m, a, replica(t, newLedger(nil), tr, "a", nil))
		ln.Close()
		if err := <-served; !errors.Is(err, net.ErrClosed) {
			t.Errorf("Serve of a listener that was closed: %v, want net.ErrClosed", err)
		}
		want := 5 * time.Millisecond
		for i := 1; i <= s.fails; i++ {
			if pause := s.tries[i].Sub(s.tries[i-1]); pause != want {
				t.Errorf("pause %d is %v, want %v", i, pause, want)
			}
			want = min(2*want, time.Second)
		}
	})
}

// TestCloseDuringAcceptPause: Close does not wait for the pause.
func TestCloseDuringAcceptPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln, err := repl.NewMemory().Listen("a")
		if err != nil {
			t.Fatal(err)
		}
		m, err := repl.NewMaster(newLedger(nil), seeded(t, nil))
		if err != nil {
			t.Fatal(err)
		}
		served := make(chan error, 1)
		go func() { served <- m.Serve(&starved{Listener: ln, fails: 1 << 30}) }()
		time.Sleep(time.Minute)
		begun := time.Now()
		m.Close()
		if took := time.Since(begun); took != 0 {
			t.Errorf("Close took %v", took)
		}
		if err := <-served; err != repl.ErrClosed {
			t.Errorf("Serve: %v, want ErrClosed", err)
		}
	})
}

// TestCloseSaysSo: followers are told that their upstream is being closed, and one that
// takes nothing does not hold it up for long.
func TestCloseSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, l := repltest.NewNetwork(1), newLedger(nil)
		m := master(t, l, net.Host("m"), "m", nil)
		fill(t, l, "k", 10)
		var o, stalled repl.Options
		d, s := keep(&o), keep(&stalled)
		r1 := replica(t, newLedger(nil), net.Host("1"), "m", &o)
		r2 := replica(t, newLedger(nil), net.Host("2"), "m", &stalled)
		synced(t, m, l, r1, r2)
		net.Link("m", "2").SetWindow(1000)
		net.Link("m", "2").Stall()
		fill(t, l, "more", 1000) // more than the link takes
		time.Sleep(10 * time.Millisecond)
		ln, err := net.Host("m").Listen("elsewhere")
		if err != nil {
			t.Fatal(err)
		}
		served := make(chan error, 1)
		go func() { served <- m.Serve(ln) }()
		synctest.Wait()
		began := time.Now()
		m.Close()
		if err := <-served; err != repl.ErrClosed {
			t.Errorf("Serve: %v, want ErrClosed", err)
		}
		if took := time.Since(began); took == 0 || took > time.Second {
			t.Errorf("Close took %v beside a follower that takes nothing", took)
		}
		synctest.Wait()
		if !d.saw(repl.ErrPeerClosed) || errors.Is(d.last(), repl.ErrClosed) {
			t.Errorf("told %v, want ErrPeerClosed", d.ends)
		}
		if s.saw(repl.ErrPeerClosed) {
			t.Errorf("the stalled one was told: %v", s.ends)
		}
	})
}
