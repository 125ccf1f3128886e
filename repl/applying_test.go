package repl_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/repl"
)

// held makes a ledger wait before it applies anything, until release is called.
func held(l *ledger) (release func()) {
	gate := make(chan struct{})
	l.mu.Lock()
	defer l.mu.Unlock()
	l.onApply = func() { <-gate }
	return func() {
		l.mu.Lock()
		l.onApply = nil
		l.mu.Unlock()
		close(gate)
	}
}

// TestWaitCountsWhatIsApplied: a replica that has a record, and is at it, does not count.
func TestWaitCountsWhatIsApplied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := repl.NewMemory()
		a, b := newLedger(nil), newLedger(nil)
		m := master(t, a, net, "a", nil)
		r := replica(t, b, net, "a", nil)
		synced(t, m, a, r)
		release := held(b)
		fill(t, a, "k", 5)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if n, err := m.Wait(ctx, a.Log().Position(), 1); n != 0 || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Wait: %d, %v: what is being applied counts", n, err)
		}
		if s := m.Status().Followers[0]; s.Applied >= a.Log().End() {
			t.Errorf("the status says that %d is applied", s.Applied)
		}
		release()
		if n, err := m.Wait(t.Context(), a.Log().Position(), 1); n != 1 || err != nil {
			t.Errorf("Wait: %d, %v", n, err)
		}
	})
}

// TestPromoteWaitsForWhatIsApplied: what a replica is applying when it is promoted belongs
// to the history of its master, and is there when Promote returns.
func TestPromoteWaitsForWhatIsApplied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := repl.NewMemory()
		a, b := newMember(t, net, "a", ""), newMember(t, net, "b", "a")
		fill(t, a.ledger, "k", 5)
		level(t, a, b)
		release := held(b.ledger)
		fill(t, a.ledger, "held", 1)
		synctest.Wait()
		promoted := make(chan struct{})
		go func() {
			b.promote(t)
			close(promoted)
		}()
		synctest.Wait()
		select {
		case <-promoted:
			t.Error("Promote has not waited for the record that was being applied")
		default:
		}
		release()
		<-promoted
		synctest.Wait()
		fork := b.Log().Lineage().Earlier[0]
		if fork.End != a.Log().End() || b.Log().End() != fork.End {
			t.Errorf("forked at %d, the log ends at %d, the master's at %d", fork.End, b.Log().End(), a.Log().End())
		}
	})
}

// TestWritesOfAPromotion: the first write that a promoted node takes is in its new
// history, though it come before Promote has returned.
func TestWritesOfAPromotion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := repl.NewMemory()
		a, b := newLedger(nil), newLedger(nil)
		fill(t, a, "k", 5)
		m := master(t, a, net, "a", nil)
		var begun int64
		r := replica(t, b, net, "a", &repl.Options{Events: repl.Events{Role: func(c repl.RoleChange) {
			end, err := b.put("first", "write")
			if begun = end - int64(len(record("first", "write"))); err != nil || c.Role != repl.RoleMaster {
				t.Errorf("told of being a %v, a write gets %v", c.Role, err)
			}
		}}})
		synced(t, m, a, r)
		if _, err := r.Promote(t.Context()); err != nil {
			t.Fatal(err)
		}
		if earlier := b.Log().Lineage().Earlier; len(earlier) != 1 || begun < earlier[0].End {
			t.Errorf("a write at %d, the histories before the new one: %v", begun, earlier)
		}
	})
}
