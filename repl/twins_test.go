package repl_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/repl"
	"github.com/emberkv/ember/repl/repltest"
)

// TestTwins: two nodes have one id, as when a node's folder was copied with it. Each is told that the other has come
// in its place, and from where, and they take turns ever more slowly, instead of two hundred times a second. When
// one is gone the other stays.
func TestTwins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := repltest.NewNetwork(1)
		id := repl.NodeID{7}
		ro := repl.Options{ID: id, Name: "one"}
		d := keep(&ro)
		m, one, a, b := pair(t, net, nil, &ro, 0)
		other := replica(t, newLedger(nil), net.Host("c"), "a", &repl.Options{ID: id, Name: "other"})

		write := func(long time.Duration) { // so that each link does some work
			for end := time.Now().Add(long); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
				fill(t, a, "meanwhile", 1)
			}
		}
		write(time.Minute)
		early := one.Status().Upstream.Attempts
		write(3 * time.Minute)
		late := one.Status().Upstream.Attempts - early
		if early > 200 || late > 100 {
			t.Errorf("%d links in the first minute, %d in three more", early, late)
		}
		var told *repl.RefusedError
		if err := d.last(); !errors.Is(err, repl.ErrReplaced) || !errors.As(err, &told) || !strings.HasPrefix(told.Text, "from c#") || !strings.HasSuffix(told.Text, " (other)") {
			t.Errorf("the link ended with %v (%+v)", err, told)
		}
		if n := len(m.Status().Followers); n > 1 {
			t.Errorf("%d followers", n)
		}

		other.Close()
		time.Sleep(10 * time.Second) // twice the longest pause
		was := one.Status().Upstream.Attempts
		fill(t, a, "later", 10)
		synced(t, m, a, one)
		same(t, a, b)
		time.Sleep(time.Minute)
		if n := one.Status().Upstream.Attempts; n != was {
			t.Errorf("%d links more, and nobody else is there", n-was)
		}
	})
}
