package repl_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/repl"
)

// TestStatusKeepsOutages: a replica tells how often its link was lost, for how long, and why the last one was, also
// when tries since have failed for another reason, and when it streams again.
func TestStatusKeepsOutages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, a := repl.NewMemory(), newLedger(nil)
		r := replica(t, newLedger(nil), net, "a", nil)
		time.Sleep(time.Minute)
		if s := r.Status().Upstream; s.Outages != 0 || s.OutageTime != 0 || s.LastOutage != nil || s.Down != -1 || s.LastErrorAt.IsZero() {
			t.Errorf("before it ever streamed: %+v", s)
		}
		m := master(t, a, net, "a", nil)
		synced(t, m, a, r)
		if s := r.Status().Upstream; s.Outages != 0 || s.LastOutage != nil {
			t.Errorf("when it has begun to stream: %+v", s)
		}

		const off = 10 * time.Second
		var all time.Duration
		for n := range int64(2) {
			m.Close()
			synctest.Wait()
			began := time.Now()
			time.Sleep(off)
			st := r.Status()
			s := st.Upstream
			if ago := st.Time.Sub(s.LastErrorAt); ago < 0 || ago > off/20 { // the longest pause between two tries
				t.Errorf("outage %d: the last try failed %v ago", n, ago)
			}
			if o := s.LastOutage; s.Outages != n+1 || o == nil || o.Over || o.Took != off || !o.Began.Equal(began) || s.Down != off || s.OutageTime != all+off {
				t.Fatalf("outage %d: %+v of %+v", n, o, s)
			}
			if !strings.Contains(s.LastOutage.Why, "peer is closed") || !strings.Contains(s.LastError, "connection refused") {
				t.Errorf("outage %d: down because of %q, and still because of %q", n, s.LastOutage.Why, s.LastError)
			}
			m = master(t, a, net, "a", nil)
			synced(t, m, a, r)
			took := time.Since(began)
			time.Sleep(off)
			s = r.Status().Upstream
			if o := s.LastOutage; s.Outages != n+1 || !o.Over || o.Took < off || o.Took > took || s.OutageTime != all+o.Took || s.Down != 0 {
				t.Errorf("after outage %d, of %v: %+v of %+v", n, took, o, s)
			}
			all = s.OutageTime
		}
	})
}

// TestStatusKeepsWhoWasLost: an upstream tells who has left it last, when, why, and how much that one lacked.
func TestStatusKeepsWhoWasLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, a := repl.NewMemory(), newLedger(nil)
		m := master(t, a, net, "a", nil)
		b, c := replica(t, newLedger(nil), net, "a", &repl.Options{Name: "b"}), replica(t, newLedger(nil), net, "a", &repl.Options{Name: "c"})
		synced(t, m, a, b)
		synced(t, m, a, c)
		if s := m.Status(); s.LastLost != nil || s.Counters.LinksLost != 0 {
			t.Errorf("before anybody has left: %+v of %d", s.LastLost, s.Counters.LinksLost)
		}
		for n, r := range []*repl.Replica{b, c} {
			left := time.Now()
			r.Close()
			synctest.Wait()
			time.Sleep(time.Second)
			s := m.Status()
			l := s.LastLost
			if s.Counters.LinksLost != int64(n+1) || l == nil || l.Peer.Name != r.Status().Name || !l.At.Equal(left) || l.Behind != 0 {
				t.Fatalf("%s has left at %v: %+v of %d", r.Status().Name, left, l, s.Counters.LinksLost)
			}
			if !strings.HasPrefix(l.Why, "repl: serve ") || !strings.Contains(l.Why, "("+l.Peer.Name+")") {
				t.Errorf("%s has left because of %q", l.Peer.Name, l.Why)
			}
		}
	})
}
