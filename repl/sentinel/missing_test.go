package sentinel_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/repl/repltest"
	"github.com/emberkv/ember/repl/sentinel"
)

// A sentinel that knows no master says why, in its status and to whoever wants another: nobody is
// where it was told to look, or it finds replicas alone. Once it knows one it says nothing.
func TestMissingMaster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t, repltest.Star("a", "b", "c"), 0, sentinel.Options{Monitor: []string{"nowhere", "s1"}})
		watches := func(name string) *guard {
			s := &guard{name: name, store: new(sentinel.MemoryStore)}
			w.start(s)
			t.Cleanup(func() { s.Close() })
			time.Sleep(time.Second)
			return s
		}
		says := func(s *guard, words ...string) {
			t.Helper()
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			err := s.Failover(ctx)
			missing := s.Status().Missing
			for _, word := range words {
				if !strings.Contains(missing, word) || !errors.Is(err, sentinel.ErrNoMaster) || !strings.Contains(err.Error(), word) {
					t.Errorf("%s says %q and %v, want %q", s.name, missing, err, word)
				}
			}
		}
		says(watches("s1"), "no node answers", "nowhere: dial: connection refused")
		says(watches("s2"), "no node answers", "nowhere: dial: connection refused", "s1: a sentinel is there, and no node")

		w.opts.Monitor = []string{"b"}
		w.Member("a").Kill()
		time.Sleep(time.Second)
		s := watches("s3")
		says(s, "no node that answers is a master", "(a)", "after 5s")
		w.wait("the master is known that was", 6*time.Second, func() bool { return s.Status().Missing == "" })
		if m := s.Master(); m.Addr != "a" {
			t.Errorf("it takes %v for the master", m)
		}
	})
}
