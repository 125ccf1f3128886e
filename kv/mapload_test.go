package kv_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/kv"
	"github.com/emberkv/ember/rdb"
)

func notFound[V any](context.Context, string) (v V, ttl time.Duration, err error) {
	return v, 0, kv.ErrNotFound
}

// A slow is a source that takes a while, counts, and can fail.
type slow struct {
	takes     time.Duration
	ttl       time.Duration
	err       error
	same      bool // values are the keys
	panics    bool
	calls     atomic.Int64
	under     atomic.Int64
	mostUnder atomic.Int64
}

// load makes a value of the key and how often it was called.
func (s *slow) load(ctx context.Context, key string) (string, time.Duration, error) {
	n := s.calls.Add(1)
	u := s.under.Add(1)
	defer s.under.Add(-1)
	for most := s.mostUnder.Load(); u > most && !s.mostUnder.CompareAndSwap(most, u); most = s.mostUnder.Load() {
	}
	select {
	case <-time.After(s.takes):
	case <-ctx.Done():
		return "", 0, ctx.Err()
	}
	if s.panics {
		panic("mine")
	}
	if s.same {
		return key, s.ttl, s.err
	}
	return fmt.Sprintf("%s %d", key, n), s.ttl, s.err
}

func wantLoad(tb testing.TB, m *kv.Map[string, string], key, want string) {
	tb.Helper()
	got, err := m.Load(tb.Context(), key)
	if want == "" && err != kv.ErrNotFound || want != "" && (err != nil || got != want) {
		tb.Fatalf("Load(%q) = %q, %v, want %q", key, got, err, want)
	}
}

// wantLoadError fails unless a Load fails with a LoadError, of this unless nil.
func wantLoadError(tb testing.TB, m *kv.Map[string, string], key string, want error) *kv.LoadError {
	tb.Helper()
	v, err := m.Load(tb.Context(), key)
	var l *kv.LoadError
	if !errors.As(err, &l) || want != nil && !errors.Is(err, want) || v != "" || l.Key != m.Prefix()+key {
		tb.Fatalf("Load(%q) = %q, %v, want a LoadError of %v", key, v, err, want)
	}
	return l
}

func TestMapLoadsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, nil)
		src := &slow{takes: time.Second}
		m := newMap(t, s, "p:", &kv.MapOptions[string, string]{Load: src.load, TTL: time.Minute})
		begun := time.Now()
		var wg sync.WaitGroup
		for range 1000 {
			wg.Go(func() { wantLoad(t, m, "k", "k 1") })
		}
		wg.Wait()
		if took := time.Since(begun); took != time.Second {
			t.Errorf("took %v", took)
		}
		wantLoad(t, m, "k", "k 1")
		v := "k 1"
		wantMap(t, m, "k", &v)
		if st := m.Stats(); st != (kv.MapStats{Misses: 1000, Joined: 999, Loads: 1}) {
			t.Errorf("%+v", st)
		}
		time.Sleep(time.Minute)
		wantMap(t, m, "k", nil)
		wantLoad(t, m, "k", "k 2")
	})
}

// How long a value is kept is said by the loader, else by the map.
func TestMapLoadTTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, nil)
		src := &slow{}
		m := newMap(t, s, "", &kv.MapOptions[string, string]{Load: src.load, TTL: time.Minute})
		forever := newMap(t, s, "forever", &kv.MapOptions[string, string]{Load: src.load})
		for _, c := range []struct {
			m         *kv.Map[string, string]
			ttl, want time.Duration
		}{
			{m, 0, time.Minute}, {m, time.Second, time.Second}, {m, kv.NoTTL, kv.NoTTL}, {forever, 0, kv.NoTTL}, {m, kv.NoCache, 0},
		} {
			must(t, s.Clear())
			src.ttl = c.ttl
			if _, err := c.m.Load(t.Context(), "k"); err != nil {
				t.Fatal(err)
			}
			got, err := s.TTL(c.m.Prefix() + "k")
			if c.want == 0 && err != kv.ErrNotFound || c.want != 0 && got != c.want {
				t.Errorf("%v: TTL %v, %v, want %v", c.ttl, got, err, c.want)
			}
		}
		if st := m.Stats(); st.Uncached != 1 {
			t.Errorf("%+v", st)
		}
		src.ttl = -7
		var invalid *kv.InvalidError
		if _, err := m.Load(t.Context(), "other"); !errors.As(err, &invalid) {
			t.Error(err)
		}
	})
}

// A caller whose context ends leaves; the load goes on for the others, and for later ones.
func TestMapLoadLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &slow{takes: time.Second}
		m := newMap(t, open(t, nil), "", &kv.MapOptions[string, string]{Load: src.load, MaxLoads: 1})
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := m.Load(ctx, "k"); err != context.DeadlineExceeded {
			t.Fatal(err)
		}
		// One that has to wait for its turn, and goes, is not loaded.
		ctx, cancel = context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := m.Load(ctx, "queued"); err != context.DeadlineExceeded {
			t.Fatal(err)
		}
		if st := m.Stats(); st.Loading != 1 || st.Waiting != 0 {
			t.Errorf("%+v", st)
		}
		wantLoad(t, m, "k", "k 1")
		if _, err := m.Load(ctx, "k2"); err != context.DeadlineExceeded {
			t.Error(err)
		}
		synctest.Wait()
		if n := src.calls.Load(); n != 1 {
			t.Errorf("%d loads", n)
		}
	})
}

// No more than MaxLoads are under way; the others have their turn in order.
func TestMapMaxLoads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &slow{takes: time.Second, same: true}
		m := newMap(t, open(t, nil), "", &kv.MapOptions[string, string]{Load: src.load, MaxLoads: 3, LoadTimeout: time.Hour})
		start := time.Now()
		var wg sync.WaitGroup
		for i := range 30 {
			wg.Go(func() {
				wantLoad(t, m, fmt.Sprint(i), fmt.Sprint(i))
				if begun := time.Duration(i/3) * time.Second; time.Since(start) != begun+time.Second {
					t.Errorf("%d was loaded after %v", i, time.Since(start))
				}
			})
			synctest.Wait() // so that they come in order
		}
		if st := m.Stats(); st.Loading != 3 || st.Waiting != 27 {
			t.Errorf("%+v", st)
		}
		wg.Wait()
		if most := src.mostUnder.Load(); most != 3 {
			t.Errorf("%d loads at once", most)
		}
	})
}

// What goes wrong is told to all who wait, and not kept unless asked.
func TestMapLoadFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, nil)
		mine := errors.New("mine")
		src := &slow{takes: time.Second, err: mine}
		m := newMap(t, s, "p:", &kv.MapOptions[string, string]{Load: src.load})
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() { wantLoadError(t, m, "k", mine) })
		}
		wg.Wait()
		wantLoadError(t, m, "k", mine)
		if st := m.Stats(); st.Loads != 2 || st.Failures != 2 || s.Len() != 0 {
			t.Errorf("%+v, %d keys", st, s.Len())
		}
		src.err = fmt.Errorf("no such key: %w", kv.ErrNotFound)
		wantLoad(t, m, "k", "")
		wantLoad(t, m, "k", "")
		if st := m.Stats(); st.Loads != 4 || st.NotFound != 2 || s.Len() != 0 {
			t.Errorf("%+v, %d keys", st, s.Len())
		}
	})
}

func TestMapRemembersFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, nil)
		src := &slow{err: kv.ErrNotFound}
		m := newMap(t, s, "p:", &kv.MapOptions[string, string]{Load: src.load, NegativeTTL: time.Minute, ErrorTTL: time.Second})
		wantLoad(t, m, "k", "")
		wantLoad(t, m, "k", "")
		mine := errors.New(strings.Repeat("é", 1000))
		src.err = mine
		wantLoadError(t, m, "e", mine)
		if l := wantLoadError(t, m, "e", nil); !l.Cached || l.Err.Error() != strings.Repeat("é", 512) {
			t.Errorf("%v, %v", l.Cached, l)
		}
		if n := src.calls.Load(); n != 2 {
			t.Errorf("%d loads, want 2", n)
		}

		// Neither is a value, for anybody.
		for _, key := range []string{"k", "e"} {
			wantMap(t, m, key, nil)
			if existed, err := m.Delete(key); existed || err != nil {
				t.Error(existed, err)
			}
		}
		if s.Len() != 0 {
			t.Errorf("%d keys are left", s.Len())
		}
		wantLoadError(t, m, "k", mine)
		wantEntries(t, entries(m.All()))
		if err := m.Set("k", "v", kv.IfPresent()); err != kv.ErrNotFound {
			t.Error(err)
		}
		must(t, m.Set("k", "v", kv.IfAbsent(), kv.KeepTTL()))
		wantLoad(t, m, "k", "v")
		if ttl, _ := s.TTL("p:k"); ttl != kv.NoTTL {
			t.Errorf("the value ends with the error: %v", ttl)
		}
		wantLoadError(t, m, "u", mine)
		if v, err := m.Update("u", func(v string, exists bool) (string, error) { return fmt.Sprint(v, exists), nil }); v != "false" || err != nil {
			t.Error(v, err)
		}
		if ttl, _ := s.TTL("p:u"); ttl != kv.NoTTL {
			t.Errorf("the value ends with the error: %v", ttl)
		}

		// They end.
		wantLoadError(t, m, "e", mine)
		src.err = nil
		wantLoadError(t, m, "e", nil)
		time.Sleep(time.Second)
		wantLoad(t, m, "e", "e 6")
	})
}

func TestMapLoaderReturnsNil(t *testing.T) {
	s := open(t, nil)
	ctx := t.Context()
	pointers := newMap(t, s, "p", &kv.MapOptions[string, *user]{Load: func(context.Context, string) (*user, time.Duration, error) { return nil, 0, nil }})
	slices := newMap(t, s, "s", &kv.MapOptions[string, []byte]{Load: func(_ context.Context, k string) ([]byte, time.Duration, error) {
		if k == "empty" {
			return []byte{}, 0, nil
		}
		return nil, 0, nil
	}})
	things := newMap(t, s, "i", &kv.MapOptions[string, any]{Load: func(context.Context, string) (any, time.Duration, error) { return nil, 0, nil }})
	_, err1 := pointers.Load(ctx, "k")
	_, err2 := slices.Load(ctx, "k")
	_, err3 := things.Load(ctx, "k")
	for _, err := range []error{err1, err2, err3} {
		if err != kv.ErrNotFound {
			t.Error(err)
		}
	}
	if s.Len() != 0 {
		t.Errorf("%d keys", s.Len())
	}
	if v, err := slices.Load(ctx, "empty"); v == nil || len(v) != 0 || err != nil {
		t.Error(v, err)
	}
	if v, err := slices.Get("empty"); len(v) != 0 || err != nil {
		t.Error(v, err)
	}
}

// Neither a panic nor a goroutine that ends leaves anybody waiting, or a turn taken.
func TestMapLoaderPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mine := errors.New("mine")
		var how func()
		s := open(t, nil)
		m := newMap(t, s, "", &kv.MapOptions[string, string]{MaxLoads: 1, ErrorTTL: time.Hour, Load: func(context.Context, string) (string, time.Duration, error) {
			time.Sleep(time.Second)
			how()
			return "v", 0, nil
		}})
		for name, f := range map[string]func(){
			"an error": func() { panic(mine) },
			"nil":      func() { panic(nil) },
			"text":     func() { panic("text") },
			"Goexit":   runtime.Goexit,
		} {
			how = f
			var wg sync.WaitGroup
			for i := range 6 {
				wg.Go(func() {
					l := wantLoadError(t, m, fmt.Sprint(i/2), nil)
					var p *kv.PanicError
					if errors.As(l, &p) != (name != "Goexit") || p != nil && !strings.Contains(string(p.Stack), "mapload_test.go") {
						t.Errorf("%s: %v", name, l)
					}
					if errors.Is(l, mine) != (name == "an error") {
						t.Errorf("%s: %v", name, l)
					}
				})
			}
			wg.Wait()
		}
		how = func() {}
		wantLoad(t, m, "0", "v")
		if s.Len() != 1 {
			t.Errorf("%d keys, want 1", s.Len())
		}
	})
}

// A loader that hangs, whatever its context says, holds up those who ask for as long as
// LoadTimeout, and those behind it no longer.
func TestMapLoaderHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		var hanging atomic.Bool
		hanging.Store(true)
		s := open(t, nil)
		m := newMap(t, s, "", &kv.MapOptions[string, string]{MaxLoads: 1, LoadTimeout: time.Second, Load: func(context.Context, string) (string, time.Duration, error) {
			if hanging.Load() {
				<-hang
			}
			return "v", 0, nil
		}})
		begun := time.Now()
		var wg sync.WaitGroup
		for i := range 10 {
			wg.Go(func() { wantLoadError(t, m, fmt.Sprint(i/2), kv.ErrLoadTimeout) })
		}
		wg.Wait()
		if took := time.Since(begun); took != time.Second {
			t.Errorf("took %v", took)
		}
		if st := m.Stats(); st.Loading != 1 || st.Waiting != 0 || st.Loads != 1 {
			t.Errorf("%+v", st)
		}
		// It is still there: whoever asks for its key is told at once.
		var stuck string
		for i := range 5 {
			begun := time.Now()
			wantLoadError(t, m, fmt.Sprint(i), kv.ErrLoadTimeout)
			if time.Since(begun) == 0 {
				stuck = fmt.Sprint(i)
			}
		}
		if stuck == "" {
			t.Error("nobody was told at once")
		}
		hanging.Store(false)
		close(hang)
		synctest.Wait()
		if s.Len() != 0 {
			t.Error("what came too late was kept")
		}
		wantLoad(t, m, stuck, "v")
		wantLoad(t, m, "other", "v")
	})
}

func TestMapLoadedButNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mine := errors.New("mine")
		values := new(failing)
		large := strings.Repeat("v", rdb.MaxValueBytes)
		s := open(t, nil)
		m := newMap(t, s, "", &kv.MapOptions[string, string]{Values: values, Load: func(_ context.Context, k string) (string, time.Duration, error) {
			if k == "large" {
				return large, 0, nil
			}
			return "v", 0, nil
		}})
		wantLoadError(t, m, "large", kv.ErrTooLarge)
		values.encode = mine
		var c *kv.CodecError
		if _, err := m.Load(t.Context(), "k"); !errors.As(err, &c) || c.Op != "encode value" || !errors.Is(err, mine) {
			t.Error(err)
		}
		if _, err := m.Load(t.Context(), ""); err != kv.ErrEmptyKey {
			t.Error(err)
		}
		values.encode = nil
		// On a node that takes no writes there is the value all the same.
		s.Log().SetGate(func() error { return mine })
		wantLoad(t, m, "k", "v")
		s.Log().SetGate(nil)
		if st := m.Stats(); s.Len() != 0 || st.Uncached != 1 {
			t.Errorf("%d keys, %+v", s.Len(), st)
		}
		wantLoad(t, m, "k", "v")
		values.decode = mine
		if _, err := m.Load(t.Context(), "k"); !errors.As(err, &c) || c.Op != "decode value" {
			t.Error(err)
		}
		must(t, s.Set("k", []byte("somebody else's")))
		if _, err := m.Load(t.Context(), "k"); !errors.As(err, &c) || c.Op != "decode value" {
			t.Error(err)
		}
	})
}

// What was read from the source before a write does not take the place of that write, nor
// come back after it.
func TestMapWriteDuringLoad(t *testing.T) {
	for name, write := range map[string]func(s *kv.Store, m *kv.Map[string, string]) error{
		"Set":             func(_ *kv.Store, m *kv.Map[string, string]) error { return m.Set("k", "written") },
		"Set, conditions": func(_ *kv.Store, m *kv.Map[string, string]) error { return m.Set("k", "written", kv.IfAbsent()) },
		"Delete":          func(_ *kv.Store, m *kv.Map[string, string]) error { _, err := m.Delete("k"); return err },
		"Clear":           func(_ *kv.Store, m *kv.Map[string, string]) error { _, err := m.Clear(); return err },
		"Update": func(_ *kv.Store, m *kv.Map[string, string]) error {
			_, err := m.Update("k", func(string, bool) (string, error) { return "written", nil })
			return err
		},
		"Set of the store": func(s *kv.Store, _ *kv.Map[string, string]) error { return s.Set("p:k", []byte("\x01written")) },
	} {
		synctest.Test(t, func(t *testing.T) {
			s := open(t, nil)
			src := &slow{takes: time.Second}
			m := newMap(t, s, "p:", &kv.MapOptions[string, string]{Load: src.load})
			var wg sync.WaitGroup
			wg.Go(func() { wantLoad(t, m, "k", "k 1") })
			synctest.Wait()
			must(t, write(s, m))
			if name == "Delete" || name == "Clear" {
				// A load that begins now is another one, and its result counts.
				wg.Go(func() { time.Sleep(time.Second / 2); wantLoad(t, m, "k", "k 2") })
				wg.Wait()
				wantLoad(t, m, "k", "k 2")
				return
			}
			wg.Wait()
			wantLoad(t, m, "k", "written")
		})
	}
}

// Close ends the waits at once, and returns when the loads have.
func TestMapClose(t *testing.T) {
	for _, closing := range []string{"map", "store"} {
		synctest.Test(t, func(t *testing.T) {
			s := open(t, nil)
			src := &slow{takes: time.Hour}
			m := newMap(t, s, "", &kv.MapOptions[string, string]{Load: src.load, MaxLoads: 2})
			must(t, m.Set("there", "v"))
			var wg sync.WaitGroup
			for i := range 10 {
				wg.Go(func() {
					if _, err := m.Load(t.Context(), fmt.Sprint(i/2)); err != kv.ErrClosed {
						t.Errorf("%v, want ErrClosed", err)
					}
				})
			}
			synctest.Wait()
			if closing == "map" {
				must(t, m.Close())
				wantLoad(t, m, "there", "v")
			} else {
				must(t, s.Close())
			}
			if n := src.under.Load(); n != 0 {
				t.Errorf("%d loads are under way after Close", n)
			}
			wg.Wait()
			if _, err := m.Load(t.Context(), "k"); err != kv.ErrClosed {
				t.Error(err)
			}
			if st := m.Stats(); st.Loading != 0 || st.Waiting != 0 {
				t.Errorf("%+v", st)
			}
			must(t, m.Close())
		})
	}
	s := kv.New(nil)
	must(t, s.Close())
	m := newMap(t, s, "", &kv.MapOptions[string, string]{Load: notFound[string]})
	if _, err := m.Load(t.Context(), "k"); err != kv.ErrClosed {
		t.Error(err)
	}
}
