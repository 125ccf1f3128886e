package sentinel_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/repl/repltest"
	"github.com/emberkv/ember/repl/sentinel"
)

// A master that is killed is replaced in little more than DownAfter; all others follow the
// new one, and so does the old one when it comes back.
func TestMasterKilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t, repltest.Star("a", "b", "c"), 3, sentinel.Options{})
		w.settle()
		if err := w.Member("a").Machine().Set("key", []byte("value")); err != nil {
			t.Fatal(err)
		}
		w.WaitEqual()
		w.Member("a").Kill()
		took := w.wait("a new writer", 3*time.Second, func() bool { return w.writer() != nil })
		t.Log("writes again after", took)
		if limit := 1350 * time.Millisecond; took > limit {
			t.Errorf("no writer for %v, want at most %v\n%s", took, limit, w)
		}
		next := w.writer().Name()
		w.agree(next, time.Second)
		w.Member("a").Restart("")
		w.agree(next, 3*time.Second)
		w.WaitEqual()
	})
}

// A sentinel that is given one address of the group finds all others by way of it: those
// above, those beside, and replicas of replicas; and the other sentinels.
func TestAllAreFound(t *testing.T) {
	for _, from := range []string{"a", "c", "e"} {
		t.Run("from "+from, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newTown(t, repltest.Tree(2, "a", "b", "c", "d", "e"), 3, sentinel.Options{Monitor: []string{from}, DownAfter: 4 * time.Second})
				w.settle()
				for _, s := range w.guards {
					if got := s.Master().Addr; got != "a" {
						t.Errorf("%s takes %q for the master, want a", s.name, got)
					}
				}
				time.Sleep(20 * time.Second)
				for _, s := range w.guards {
					if n := len(s.seen(sentinel.EventFixSlaveConfig)) + len(s.seen(sentinel.EventRoleChange)); n > 0 {
						t.Errorf("%s has found fault with a chain\n%s", s.name, w)
					}
				}
			})
		})
	}
}

// A master that hangs, or is cut off, has stopped writing before another one writes. When it is
// heard again it follows.
func TestMasterCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t, repltest.Star("a", "b", "c"), 3, sentinel.Options{})
		w.settle()
		if w.writer().Name() != "a" {
			t.Fatalf("a does not write\n%s", w)
		}
		w.Network.Around("a").Blackhole()
		took := w.wait("a new writer", 4*time.Second, func() bool { m := w.writer(); return m != nil && m.Name() != "a" })
		t.Log("another writes after", took)
		next := w.writer().Name()
		time.Sleep(5 * time.Second)
		if w.writer().Name() != next {
			t.Errorf("%s writes, want %s", w.writer().Name(), next)
		}
		w.Network.HealAll()
		w.agree(next, 15*time.Second)
		w.WaitEqual()
	})
}

// A master that comes back without its data, sooner than it could be missed, is replaced by a
// replica that has them.
func TestMasterRebootsEmpty(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t, repltest.Star("a", "b", "c"), 3, sentinel.Options{})
		w.settle()
		if err := w.Member("a").Machine().Set("key", []byte("value")); err != nil {
			t.Fatal(err)
		}
		w.WaitEqual()
		w.Member("a").Kill()
		w.Member("a").Replace("")
		w.wait("another master", 3*time.Second, func() bool { return w.guards[0].Master().Addr != "a" })
		next := w.guards[0].Master().Addr
		w.agree(next, 20*time.Second)
		w.WaitEqual()
		if v, err := w.Member("a").Machine().Get("key"); err != nil || string(v) != "value" {
			t.Errorf("a has %q, %v\n%s", v, err, w)
		}
		for _, s := range w.guards {
			if len(s.seen(sentinel.EventReboot)) == 0 {
				t.Errorf("%s has told of no reboot\n%s", s.name, w)
			}
		}
	})
}

// A master that comes back with its data before it is missed stays the master.
func TestMasterRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t, repltest.Star("a", "b", "c"), 3, sentinel.Options{})
		w.settle()
		w.Member("a").Kill()
		time.Sleep(300 * time.Millisecond)
		w.Member("a").Restart("")
		time.Sleep(10 * time.Second)
		w.agree("a", 0)
		if w.writer().Name() != "a" {
			t.Errorf("a does not write\n%s", w)
		}
	})
}

// An operator's word counts: whom he promotes is the master for all sentinels, and the one
// before is told so.
func TestOperatorPromotes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t, repltest.Star("a", "b", "c"), 3, sentinel.Options{})
		w.settle()
		w.Member("b").Promote()
		w.agree("b", 5*time.Second)
		w.WaitEqual()
		time.Sleep(5 * time.Second)
		w.agree("b", 0)
		for _, s := range w.guards {
			if n := len(s.seen(sentinel.EventSwitchMaster)); n != 1 {
				t.Errorf("%s has told of %d switches, want 1\n%s", s.name, n, w)
			}
		}
	})
}

// A replica that was told to follow somebody who is not there is told to follow the master; and
// so is one that follows another which follows it.
func TestWrongUpstream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t, repltest.Star("a", "b", "c", "d"), 3, sentinel.Options{})
		w.settle()
		w.Member("b").Follow("nowhere")
		w.Member("c").Follow("d")
		w.Member("d").Follow("c")
		w.wait("faults found", 2*time.Second, func() bool { return len(w.guards[0].seen(sentinel.EventRoleChange)) >= 2 })
		w.agree("a", 10*time.Second)
		w.WaitEqual()
		for _, s := range w.guards {
			if n := len(s.seen(sentinel.EventSDown)); n > 0 {
				t.Errorf("%s found somebody down\n%s", s.name, w)
			}
		}
	})
}

// With fewer than the quorum that find the master down, nothing happens.
func TestQuorumNotReached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t, repltest.Star("a", "b", "c"), 3, sentinel.Options{Quorum: 3})
		w.settle()
		w.guards[2].Close()
		w.Network.Host("s3").Stall()
		w.Member("a").Kill()
		time.Sleep(10 * time.Second)
		for _, s := range w.guards[:2] {
			if len(s.seen(sentinel.EventSDown)) == 0 || len(s.seen(sentinel.EventODown)) > 0 {
				t.Errorf("%s: not subjectively down alone\n%s", s.name, w)
			}
			if usable, err := s.CheckQuorum(); usable != 2 || err == nil {
				t.Errorf("%s: CheckQuorum says %d, %v", s.name, usable, err)
			}
		}
		if m := w.writer(); m != nil {
			t.Errorf("%s writes", m.Name())
		}
	})
}

// Replicas of a replica that is gone are told to follow the master.
func TestMiddleOfChainDies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t, repltest.Chain("a", "b", "c", "d"), 3, sentinel.Options{})
		w.settle()
		w.Member("b").Kill()
		w.agree("a", 5*time.Second)
		if up := w.Member("d").Upstream(); up != "c" {
			t.Errorf("d follows %s, want c, which has gone on\n%s", up, w)
		}
		if up := w.Member("c").Upstream(); up != "a" {
			t.Errorf("c follows %s, want a\n%s", up, w)
		}
		w.WaitEqual()
	})
}

// A sentinel that nobody hears changes nothing, and learns what it has missed.
func TestSentinelCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t, repltest.Star("a", "b", "c"), 3, sentinel.Options{})
		w.settle()
		w.Network.Around("s1").Blackhole()
		w.wait("it hears nobody", 3*time.Second, func() bool { return len(w.guards[0].seen(sentinel.EventSDown)) == 5 })
		if n := len(w.guards[0].seen(sentinel.EventODown)); n > 0 {
			t.Errorf("it has found the master objectively down by itself\n%s", w)
		}
		w.Member("a").Kill()
		w.wait("a new writer", 3*time.Second, func() bool { return w.writer() != nil })
		next := w.writer().Name()
		if got := w.guards[0].Master().Addr; got != "a" {
			t.Errorf("it has heard of %s", got)
		}
		w.Network.Around("s1").Heal()
		w.wait("it has heard", 15*time.Second, func() bool { return w.guards[0].Master().Addr == next })
		if n := len(w.guards[0].seen(sentinel.EventSwitchMaster)); n != 1 {
			t.Errorf("it has told of %d switches, want 1\n%s", n, w)
		}
	})
}
