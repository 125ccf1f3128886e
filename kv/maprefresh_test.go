package kv_test

import (
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/kv"
)

// An old value is returned at once, and one load brings the new one.
func TestMapRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, nil)
		src := &slow{takes: time.Second}
		m := newMap(t, s, "p:", &kv.MapOptions[string, string]{Load: src.load, TTL: time.Hour, RefreshAfter: time.Minute})
		wantLoad(t, m, "k", "k 1")
		time.Sleep(time.Minute - time.Millisecond)
		wantLoad(t, m, "k", "k 1")
		synctest.Wait()
		if n := src.calls.Load(); n != 1 {
			t.Fatalf("%d loads before it was old", n)
		}
		time.Sleep(time.Millisecond)
		begun := time.Now()
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() { wantLoad(t, m, "k", "k 1") })
		}
		wg.Wait()
		if took := time.Since(begun); took != 0 {
			t.Errorf("the old value took %v", took)
		}
		synctest.Wait()
		if st := m.Stats(); st.Loading != 1 || st.Refreshes != 1 {
			t.Errorf("%+v", st)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		wantLoad(t, m, "k", "k 2")
		if ttl, err := s.TTL("p:k"); ttl != time.Hour || err != nil {
			t.Errorf("TTL %v, %v: want that of the new value", ttl, err)
		}
		if st := m.Stats(); st.Loads != 2 || st.Misses != 1 {
			t.Errorf("%+v", st)
		}
		// What is set grows old, too.
		must(t, m.Set("k", "set"))
		time.Sleep(time.Minute)
		wantLoad(t, m, "k", "set")
		time.Sleep(time.Second)
		synctest.Wait()
		wantLoad(t, m, "k", "k 3")
	})
}

// A source that fails leaves the old value in place until its end, and is not asked again at
// once.
func TestMapRefreshFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, nil)
		src := &slow{}
		m := newMap(t, s, "", &kv.MapOptions[string, string]{Load: src.load, TTL: time.Hour, RefreshAfter: 8 * time.Minute, ErrorTTL: time.Hour, NegativeTTL: time.Hour})
		wantLoad(t, m, "k", "k 1")
		src.err = errors.New("mine")
		time.Sleep(8 * time.Minute)
		for range 10 {
			wantLoad(t, m, "k", "k 1")
			synctest.Wait()
		}
		if n := src.calls.Load(); n != 2 {
			t.Errorf("%d loads, want 2", n)
		}
		time.Sleep(time.Minute)
		wantLoad(t, m, "k", "k 1")
		synctest.Wait()
		if n := src.calls.Load(); n != 3 {
			t.Errorf("%d loads, want 3", n)
		}
		if ttl, err := s.TTL("k"); ttl != 51*time.Minute || err != nil {
			t.Errorf("TTL %v, %v: a refresh that fails must not make a value live longer", ttl, err)
		}

		// It comes back.
		src.err = nil
		time.Sleep(time.Minute)
		wantLoad(t, m, "k", "k 1")
		synctest.Wait()
		wantLoad(t, m, "k", "k 4")

		// It says that there is none any more: that is an answer.
		src.err = kv.ErrNotFound
		time.Sleep(8 * time.Minute)
		wantLoad(t, m, "k", "k 4")
		synctest.Wait()
		wantLoad(t, m, "k", "")
		if st := m.Stats(); st.NotFound != 1 || st.Failures != 2 || st.Loads != 5 {
			t.Errorf("%+v", st)
		}
	})
}

// A loader that panics in the background harms nobody, and is not asked again at once.
func TestMapRefreshPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, nil)
		src := &slow{}
		m := newMap(t, s, "", &kv.MapOptions[string, string]{Load: src.load, RefreshAfter: time.Minute})
		wantLoad(t, m, "k", "k 1")
		src.panics = true
		time.Sleep(time.Minute)
		for range 3 {
			wantLoad(t, m, "k", "k 1")
			synctest.Wait()
		}
		if st := m.Stats(); st.Failures != 1 || st.Loads != 2 || st.Loading != 0 {
			t.Errorf("%+v", st)
		}
	})
}

// Refreshes are loads like others for MaxLoads, but wait for no turn: they are left out.
func TestMapRefreshIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, nil)
		src := &slow{same: true}
		m := newMap(t, s, "", &kv.MapOptions[string, string]{Load: src.load, RefreshAfter: time.Minute, MaxLoads: 2})
		keys := []string{"a", "b", "c", "d", "e"}
		for _, k := range keys {
			wantLoad(t, m, k, k)
		}
		src.takes = time.Second
		time.Sleep(time.Minute)
		for _, k := range keys {
			wantLoad(t, m, k, k)
		}
		synctest.Wait()
		if st := m.Stats(); st.Loading != 2 || st.Waiting != 0 || st.Skipped != 3 {
			t.Errorf("%+v", st)
		}
		// Whoever needs a value has a turn before that of the next refresh.
		begun := time.Now()
		wantLoad(t, m, "new", "new")
		if took := time.Since(begun); took != 2*time.Second {
			t.Errorf("took %v", took)
		}
		if most := src.mostUnder.Load(); most != 2 {
			t.Errorf("%d loads at once", most)
		}
	})
}

// Whoever comes for a value that has expired during its refresh waits for the refresh.
func TestMapRefreshIsJoined(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, nil)
		src := &slow{}
		m := newMap(t, s, "", &kv.MapOptions[string, string]{Load: src.load, TTL: 2 * time.Second, RefreshAfter: time.Second})
		wantLoad(t, m, "k", "k 1")
		src.takes = 5 * time.Second
		time.Sleep(time.Second)
		wantLoad(t, m, "k", "k 1")
		time.Sleep(time.Second)
		begun := time.Now()
		wantLoad(t, m, "k", "k 2")
		if took := time.Since(begun); took != 4*time.Second {
			t.Errorf("took %v, want what was left of the refresh", took)
		}
		if st := m.Stats(); st.Joined != 1 || st.Loads != 2 {
			t.Errorf("%+v", st)
		}
	})
}

// A write during a refresh stands, and so does a delete.
func TestMapWriteDuringRefresh(t *testing.T) {
	for _, fails := range []error{nil, errors.New("mine")} {
		synctest.Test(t, func(t *testing.T) {
			s := open(t, nil)
			src := &slow{}
			m := newMap(t, s, "", &kv.MapOptions[string, string]{Load: src.load, RefreshAfter: time.Minute})
			for _, k := range []string{"set", "deleted"} {
				_, err := m.Load(t.Context(), k)
				must(t, err)
			}
			time.Sleep(time.Minute)
			src.takes, src.err = time.Second, fails
			for _, k := range []string{"set", "deleted"} {
				_, err := m.Load(t.Context(), k)
				must(t, err)
			}
			synctest.Wait()
			must(t, m.Set("set", "written"))
			existed, err := m.Delete("deleted")
			if !existed || err != nil {
				t.Error(existed, err)
			}
			time.Sleep(2 * time.Second)
			wantLoad(t, m, "set", "written")
			wantMap(t, m, "deleted", nil)
		})
	}
}

// A node that takes no writes, and asks nobody, refreshes nothing.
func TestMapDoesNotRefreshWhereItCannotKeep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, nil)
		src := &slow{}
		m := newMap(t, s, "", &kv.MapOptions[string, string]{Load: src.load, RefreshAfter: time.Minute})
		wantLoad(t, m, "k", "k 1")
		time.Sleep(time.Minute)
		s.Log().SetGate(func() error { return errors.New("mine") })
		for range 5 {
			wantLoad(t, m, "k", "k 1")
			time.Sleep(time.Second)
		}
		if n := src.calls.Load(); n != 1 {
			t.Errorf("%d loads", n)
		}
		s.Log().SetGate(nil)
		wantLoad(t, m, "k", "k 1")
		synctest.Wait()
		wantLoad(t, m, "k", "k 2")
	})
}
