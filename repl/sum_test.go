package repl_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/kv"
	"github.com/emberkv/ember/repl"
)

// TestSameOffsetOtherBytes: an old master has come back, without the newest write and
// with another one of the same length in its place, in the same history. By
// the lineage both stand at the same position. The sum tells them apart: the one that follows
// takes a full copy, and says what it had.
func TestSameOffsetOtherBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, s := repl.NewMemory(), newStores(t, 2)
		var tails []kv.LostTail
		var events []string
		evil := kv.New(&kv.Options{OnLostTail: func(l kv.LostTail) {
			tails = append(tails, l)
			for e := range l.Events {
				events = append(events, fmt.Sprintf("%s=%s", e.Key, e.Value))
			}
		}})
		defer evil.Close()
		serveStore(t, net, s[0], "a")
		for _, st := range []*kv.Store{s[0], evil} {
			if st == evil {
				// What a disk that has lost a write gives back.
				evil.Log().Adopt(backlog.NewLogAt(s[0].Log().Lineage(), 0, nil))
			}
			st.Set("both", []byte("1"))
			st.Set("k", map[bool][]byte{true: []byte("new"), false: []byte("old")}[st == s[0]])
			st.Set("last", []byte("same"))
		}
		if s[0].Position() != evil.Position() {
			t.Fatal("they do not stand at the same position")
		}
		at := evil.Position()
		r := followStore(t, net, evil, "a")
		up := r.Status().Upstream
		if up.Fulls != 1 || up.Partials != 0 || up.LastFull.Reason != backlog.OtherBytes {
			t.Errorf("%d full and %d partial syncs, %+v", up.Fulls, up.Partials, up.LastFull)
		}
		if v, _ := evil.Get("k"); string(v) != "new" {
			t.Errorf("k is %q", v)
		}
		if len(tails) != 1 || tails[0].From != (backlog.Position{}) || tails[0].To != at || !tails[0].Complete ||
			!slices.Equal(events, []string{"both=1", "k=old", "last=same"}) {
			t.Errorf("lost %+v, %q", tails, events)
		}
		if c := r.Status().Counters; c.LostTails != 1 || c.LostBytes != at.Offset {
			t.Errorf("counters %+v", c)
		}
		// From here on both know the sum, and the next link confirms it.
		r.Close()
		s[0].Set("more", []byte("1"))
		r = followStore(t, net, evil, "a")
		if up := r.Status().Upstream; up.Partials != 1 || up.Fulls != 0 {
			t.Errorf("%d full and %d partial syncs", up.Fulls, up.Partials)
		}
	})
}

// TestUnconfirmed: an upstream that does not know the sum goes by the lineage, and says so.
func TestUnconfirmed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, a, b := repl.NewMemory(), newLedger(nil), newLedger(nil)
		fill(t, a, "k", 50)
		m := master(t, a, net, "a", nil)
		r := replica(t, b, net, "a", nil)
		synced(t, m, a, r)
		r.Close()
		for want := range int64(2) {
			if want == 1 { // as after a start from a disk that has not kept it
				if err := a.Log().SetSum(a.Log().End(), backlog.Sum{From: a.Log().End()}); err != nil {
					t.Fatal(err)
				}
			}
			r = replica(t, b, net, "a", nil)
			synced(t, m, a, r)
			r.Close()
			if c := m.Status().Counters; c.Unconfirmed != want || c.FullSyncs != 1 || c.PartialSyncs != 1+want {
				t.Errorf("%+v", c)
			}
		}
		time.Sleep(time.Second)
	})
}
