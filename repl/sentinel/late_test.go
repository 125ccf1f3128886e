package sentinel_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/repl"
	"github.com/emberkv/ember/repl/repltest"
	"github.com/emberkv/ember/repl/sentinel"
)

// An order to promote a replica that comes when the master is back, and has gone on for a while, costs
// nothing of what was promised since: with MinHeard of 2, what one of two replicas has.
func TestOrderComesWhenTheMasterIsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t, repltest.Star("a", "b", "c"), 3, sentinel.Options{MinHeard: 2})
		w.settle()
		w.Network.SetDelay(5*time.Millisecond, 0)
		away := w.Network.Between([]string{"a"}, []string{"s1", "s2", "s3"})
		away.Cut()
		away.Refuse()
		var leader *guard
		w.wait("a leader that has chosen", 10*time.Second, func() bool {
			for _, s := range w.guards {
				if len(s.seen(sentinel.EventSelectedSlave)) > 0 {
					leader = s
				}
			}
			return leader != nil
		})
		chosen := leader.seen(sentinel.EventSelectedSlave)[0].About.Name
		late := w.Network.Between([]string{chosen}, []string{"a", leader.name})
		late.Stall() // the order is under way
		away.Heal()
		comesLate(t, w, chosen, late)
	})
}

// comesLate lets the order to promote the node chosen arrive, for which late is stalled, when the
// master a is back and a replica has acknowledged a write of it: every node has that in the end.
func comesLate(t *testing.T, w *town, chosen string, late *repltest.Link) {
	t.Helper()
	a := w.Member("a")
	w.wait("a writes again", 20*time.Second, func() bool { return w.writer() == a })
	if err := a.Machine().Set("kept", []byte("value")); err != nil {
		t.Fatal(err)
	}
	acked(t, a, 1)
	if role := w.Member(chosen).Node().Role(); role != repl.RoleReplica {
		t.Fatalf("%s is a %v too soon\n%s", chosen, role, w)
	}
	late.Heal()
	time.Sleep(5 * time.Second)
	w.wait("a writer", 20*time.Second, func() bool { return w.writer() != nil })
	w.agree(w.guards[0].Master().Addr, 30*time.Second)
	w.WaitEqual()
	for _, m := range w.Members() {
		if has, err := m.Machine().Has("kept"); !has || err != nil {
			t.Fatalf("%s has lost what was acknowledged: %v\n%s", m.Name(), err, w)
		}
	}
}
