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

// TestTwoGroupsMeet: a replica of one group is told by mistake to follow the master of another, and neither
// has a name. Their sentinels hear of each other by it; each group keeps its master, its writes and its
// sentinels, and the replica is told whom it belongs to.
func TestTwoGroupsMeet(t *testing.T) {
	for _, slip := range []string{"b", "a"} {
		synctest.Test(t, func(t *testing.T) {
			w := newTown(t, append(repltest.Star("a", "b", "c"), repltest.Star("x", "y", "z")...), 3, sentinel.Options{})
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
