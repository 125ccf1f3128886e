package repl_test

import (
	"context"
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
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if n, _ := m.Wait(ctx, a.Log().Position(), 2); n > 1 {
			t.Errorf("the two count as %d", n)
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

// TestTwinForAMoment: a replica that streamed for an hour, and whose place another took once, is back at once; and
// its outage is no longer than that.
func TestTwinForAMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := repltest.NewNetwork(1)
		var told []repl.Retry
		ro := repl.Options{ID: repl.NodeID{7}, Name: "one"}
		ro.Events.Retry = func(r repl.Retry) { told = append(told, r) }
		m, one, a, _ := pair(t, net, nil, &ro, 0)
		time.Sleep(time.Hour)
		other := replica(t, newLedger(nil), net.Host("c"), "a", &repl.Options{ID: repl.NodeID{7}, Name: "other"})
		eventually(t, func() bool { return other.Status().Upstream.State == repl.LinkStreaming }, func() string { return "other" })
		other.Close()
		begun := time.Now()
		synced(t, m, a, one)
		if took := time.Since(begun); took > 100*time.Millisecond {
			t.Errorf("back after %v", took)
		}
		synctest.Wait()
		if len(told) == 0 {
			t.Error("its place was not taken")
		}
		for _, r := range told {
			if r.Outage > time.Minute {
				t.Errorf("it is told of an outage of %v: %v", r.Outage, r.Err)
			}
		}
	})
}

// TestReplacedLinkThatTakesNothing: the older link of a node is stuck, as its other end is gone. It ends in a tenth of
// a second all the same.
func TestReplacedLinkThatTakesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := repltest.NewNetwork(1)
		net.Link("a", "old").SetWindow(4 << 10)
		var o repl.Options
		d := keep(&o)
		a := newLedger(nil)
		fill(t, a, "k", 10)
		master(t, a, net.Host("a"), "a", &o)
		follow(t, net.Host("old"), "a", someone(9).at(a)).await(msgContinue)
		fill(t, a, "much", 800)
		time.Sleep(5 * time.Millisecond)
		follow(t, net.Host("new"), "a", someone(9).at(a)).await(msgContinue)
		if d.last() != nil {
			t.Fatalf("not stuck: %v", d.last())
		}
		time.Sleep(101 * time.Millisecond)
		synctest.Wait()
		if err := d.last(); !errors.Is(err, repl.ErrReplaced) {
			t.Errorf("the old link: %v", err)
		}
	})
}

// TestLateAckInAHandover: what still comes on a replaced link of the replica that is to take over does not prove that
// it follows on a newer link than that of the handover. Else the master would go on, and the replica begin.
func TestLateAckInAHandover(t *testing.T) {
	for late := 500 * time.Microsecond; late < 5*time.Millisecond; late += 300 * time.Microsecond {
		synctest.Test(t, func(t *testing.T) {
			net := repltest.NewNetwork(1)
			net.Link("a", "old").SetWindow(4 << 10)
			quick := func(o *repl.Options) { o.Heartbeat = 20 * time.Millisecond }
			a := newMember(t, net.Host("a"), "a", "", quick)
			fill(t, a.ledger, "k", 10)
			at := a.ledger.Log().End()
			old := follow(t, net.Host("old"), "a", someone(9).at(a.ledger)) // of an earlier life of b
			old.await(msgContinue)
			time.Sleep(30 * time.Millisecond)
			fill(t, a.ledger, "much", 800) // old reads no more: a is in the middle of a frame to it
			time.Sleep(5 * time.Millisecond)
			net.Link("a", "b").SetDelay(time.Millisecond, 0)
			b := newMember(t, net.Host("b"), "b", "a", quick, func(o *repl.Options) { o.ID = repl.NodeID{9, 9} })
			for b.ledger.Log().End() != a.ledger.Log().End() {
				time.Sleep(time.Millisecond)
			}
			over := make(chan struct{})
			go func() {
				defer close(over)
				time.Sleep(late)
				for range 20 { // Commit is under way by the time of some
					if _, err := old.Write(old.frame(msgAck, 0, ackBody(1, at, at, 0))); err != nil {
						return
					}
					time.Sleep(500 * time.Microsecond)
				}
			}()
			m, _ := a.node.Master()
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if _, err := m.Handover(ctx, repl.NodeID{9, 9}.String()); err != nil {
				t.Errorf("acks after %v: %v", late, err)
			}
			_, aErr := a.put("after", "a")
			_, bErr := b.put("after", "b")
			if aErr == nil && bErr == nil {
				t.Errorf("acks after %v: both take writes", late)
			}
			<-over
		})
	}
}
