package sentinel_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/repl"
	"github.com/emberkv/ember/repl/repltest"
	"github.com/emberkv/ember/repl/sentinel"
)

// newTowns returns two groups without names in one network: a, b and c with the sentinels s1 to s3, and x, y and z
// with t1 to t3. What they have says which is which.
func newTowns(t *testing.T) (w *town) {
	t.Helper()
	w = newTown(t, append(repltest.Star("a", "b", "c"), repltest.Star("x", "y", "z")...), 3, sentinel.Options{})
	w.opts.Monitor = []string{"x"}
	for i := range 3 {
		w.guards = append(w.guards, &guard{name: fmt.Sprint("t", i+1), store: new(sentinel.MemoryStore)})
		w.start(w.guards[3+i])
	}
	time.Sleep(10 * time.Second)
	for name, group := range map[string]string{"a": "first", "x": "second"} {
		if err := w.Member(name).Machine().Set("group", []byte(group)); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(time.Second)
	return w
}

// TestTwoGroupsMeet: a replica of one group is told by mistake to follow the master of another, and neither
// has a name. Their sentinels hear of each other by it; each group keeps its master, its writes and its
// sentinels, and the replica is told whom it belongs to.
func TestTwoGroupsMeet(t *testing.T) {
	for _, slip := range []string{"b", "a"} {
		synctest.Test(t, func(t *testing.T) {
			w := newTowns(t)
			w.Member(slip).Follow("x")
			for range 300 {
				time.Sleep(100 * time.Millisecond)
				for i, s := range w.guards {
					if at := s.Master().Addr; i >= 3 && at != "x" || i < 3 && slip == "b" && at != "a" {
						t.Fatalf("%s names %q as the master\n%s", s.name, at, w)
					}
					if n := len(s.Status().Sentinels); n != 2 {
						t.Fatalf("%s knows %d sentinels\n%s", s.name, n, w)
					}
				}
				if err := w.Member("x").Machine().Set("key", []byte("value")); err != nil {
					t.Fatalf("x: %v\n%s", err, w)
				}
				if slip == "b" {
					if err := w.Member("a").Machine().Set("key", []byte("value")); err != nil {
						t.Fatalf("a: %v\n%s", err, w)
					}
				}
			}
			first := w.guards[0].Master().Addr
			for _, name := range []string{"a", "b", "c"} {
				m := w.Member(name)
				if v, err := m.Machine().Get("group"); err != nil || string(v) != "first" {
					t.Errorf("%s has %q, %v\n%s", name, v, err, w)
				}
				up := m.Node().Status().Upstream
				if name != first && (up == nil || up.Addr != first || up.State != repl.LinkStreaming) {
					t.Errorf("%s follows %+v, want %s\n%s", name, up, first, w)
				}
			}
			if err := w.Member(first).Machine().Set("key", nil); errors.Is(err, repl.ErrReadOnly) {
				t.Errorf("%s: %v", first, err)
			}
		})
	}
}

// TestGroupsThatHaveMet stay two, when the sentinels of one are started again, with what they know, and when a
// replica of it comes back without its data.
func TestGroupsThatHaveMet(t *testing.T) {
	for _, after := range []string{"sentinels restart", "a replica comes back empty"} {
		synctest.Test(t, func(t *testing.T) {
			w := newTowns(t)
			w.wait("the groups meet", 10*time.Minute, func() bool { // by one slip after the other
				w.Member("b").Follow("x")
				time.Sleep(3*time.Second + 37*time.Millisecond)
				w.Member("b").Follow("a")
				time.Sleep(3 * time.Second)
				return len(w.guards[0].Status().Nodes) == 6
			})
			time.Sleep(30 * time.Second)
			if after == "sentinels restart" {
				w.opts.Monitor = []string{"a"}
				for _, s := range w.guards[:3] {
					s.Close()
					w.start(s)
				}
			} else {
				for i := range 2000 { // the copy takes a while
					if err := w.Member("a").Machine().Set(fmt.Sprint("k", i), make([]byte, 1000)); err != nil {
						t.Fatal(err)
					}
				}
				w.Network.Link("a", "c").SetBandwidth(1 << 20)
				w.Member("c").Kill()
				w.Member("c").Replace("a")
			}
			time.Sleep(time.Minute)
			for _, name := range []string{"a", "x"} {
				if err := w.Member(name).Machine().Set("key", nil); err != nil {
					t.Errorf("%s: %s: %v\n%s", after, name, err, w)
				}
			}
			for _, name := range []string{"a", "b", "c"} {
				if v, err := w.Member(name).Machine().Get("group"); string(v) != "first" {
					t.Errorf("%s: %s has %q, %v\n%s", after, name, v, err, w)
				}
			}
			for _, s := range w.guards {
				if n := len(s.Status().Sentinels); n != 2 {
					t.Errorf("%s: %s knows %d sentinels\n%s", after, s.name, n, w)
				}
			}
		})
	}
}
