package kv_test

import (
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/kv"
)

// kinds returns the kinds of all records in a store's log.
func kinds(t *testing.T, s *kv.Store) (kinds []byte) {
	t.Helper()
	r, err := s.Log().NewReader(0)
	must(t, err)
	for {
		b, err := r.Next(s.Log().End())
		must(t, err)
		if b == nil {
			return kinds
		}
		for len(b) > 0 { // the test's records are shorter than 128 bytes
			kinds = append(kinds, b[1])
			b = b[1+b[0]:]
		}
	}
}

// A key is gone at its deadline to the millisecond, for every read and for the count,
// and deleted soon after.
func TestExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, nil)
		set(t, s, "k", "v", kv.TTL(time.Second))
		set(t, s, "other", "v")
		time.Sleep(time.Second - time.Millisecond)
		wantValue(t, s, "k", "v")
		if ttl, err := s.TTL("k"); ttl != time.Millisecond || err != nil {
			t.Errorf("TTL = %v, %v", ttl, err)
		}
		n, err := s.Snapshot()
		must(t, err)
		defer n.Close()

		time.Sleep(time.Millisecond)
		wantValue(t, s, "k", "")
		if ok, err := s.Has("k"); ok || err != nil {
			t.Errorf("Has = %v, %v", ok, err)
		}
		if _, err := s.TTL("k"); err != kv.ErrNotFound {
			t.Errorf("TTL: %v", err)
		}
		if got := contents(s); s.Len() != 1 || len(got) != 1 {
			t.Errorf("Len = %d, contents %v", s.Len(), got)
		}
		time.Sleep(20 * time.Millisecond)
		synctest.Wait()
		if d := digest(t, s); d.Keys != 1 {
			t.Errorf("%d keys are kept", d.Keys)
		}
		if got := string(kinds(t, s)); got != "\x02\x01\x04" {
			t.Errorf("logged kinds %q", got)
		}
		if n.Len() != 2 {
			t.Errorf("a snapshot from before has lost a key")
		}
		wantTrueDigest(t, s)
	})
}

// Many keys with deadlines all over, some of them removed or changed before: all that
// are due go, and no other, and the timer comes to rest.
func TestExpiryOfMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, nil)
		for i := range 10_000 {
			set(t, s, key(i), "v", kv.TTL(time.Duration(1+i%100)*time.Minute))
		}
		for i := range 1000 {
			switch i % 3 {
			case 0:
				_, err := s.Delete(key(i))
				must(t, err)
			case 1:
				_, err := s.Persist(key(i))
				must(t, err)
			case 2:
				_, err := s.Expire(key(i), 24*time.Hour)
				must(t, err)
			}
		}
		for m := 1; m <= 100; m++ {
			time.Sleep(time.Minute + time.Second/2)
			want := 9000/100*(100-m) + 666
			if s.Len() != want {
				t.Fatalf("after %d minutes: %d keys, want %d", m, s.Len(), want)
			}
			if d := digest(t, s); d.Keys != int64(want) {
				t.Fatalf("after %d minutes: %d keys are kept, want %d", m, d.Keys, want)
			}
		}
		wantTrueDigest(t, s)
	})
}

// A write finds a key whose deadline has passed absent, also where nothing has deleted
// it yet.
func TestWritesToExpiredKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, nil)
		s.SetFollower(true) // so that nothing is deleted
		expired := func(key, value string) {
			set(t, s, key, value, kv.TTL(time.Second))
			time.Sleep(time.Second)
		}
		expired("a", "1")
		if ok, err := s.Delete("a"); ok || err != nil {
			t.Errorf("Delete = %v, %v", ok, err)
		}
		if got := kinds(t, s); got[len(got)-1] != 4 {
			t.Errorf("Delete was logged as kind %d", got[len(got)-1])
		}
		expired("b", "1")
		if err := s.Set("b", []byte("2"), kv.IfPresent()); err != kv.ErrNotFound {
			t.Errorf("IfPresent: %v", err)
		}
		set(t, s, "b", "2", kv.IfAbsent(), kv.KeepTTL())
		if ttl, err := s.TTL("b"); ttl != kv.NoTTL || err != nil {
			t.Errorf("KeepTTL has kept a deadline that has passed: %v, %v", ttl, err)
		}
		expired("c", "41")
		if n, err := s.Add("c", 1); n != 1 || err != nil {
			t.Errorf("Add = %d, %v", n, err)
		}
		if ttl, err := s.TTL("c"); ttl != kv.NoTTL || err != nil {
			t.Errorf("Add has kept a deadline that has passed: %v, %v", ttl, err)
		}
		expired("d", "1")
		if ok, err := s.CompareAndSwap("d", []byte("1"), nil); ok || err != nil {
			t.Errorf("CompareAndSwap = %v, %v", ok, err)
		}
		if ok, err := s.Expire("d", time.Second); ok || err != nil {
			t.Errorf("Expire = %v, %v", ok, err)
		}
		if ok, err := s.Persist("d"); ok || err != nil {
			t.Errorf("Persist = %v, %v", ok, err)
		}
		set(t, s, "d", "1")
		set(t, s, "d", "2", kv.ExpireAt(time.Now()))
		wantValue(t, s, "d", "")
		if err := s.Set("e", nil, kv.ExpireAt(time.Now())); err != nil || s.Len() != 2 {
			t.Errorf("Set in the past: %v, %d keys", err, s.Len())
		}
	})
}

// Add, CompareAndSwap and KeepTTL leave a deadline; a plain Set removes it.
func TestDeadlinesThatStay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, nil)
		wantTTL := func(want time.Duration) {
			t.Helper()
			if got, err := s.TTL("n"); got != want || err != nil {
				t.Fatalf("TTL = %v, %v, want %v", got, err, want)
			}
		}
		set(t, s, "n", "1", kv.TTL(time.Hour))
		_, err := s.Add("n", 1)
		must(t, err)
		wantTTL(time.Hour)
		_, err = s.CompareAndSwap("n", []byte("2"), []byte("3"))
		must(t, err)
		wantTTL(time.Hour)
		set(t, s, "n", "4", kv.KeepTTL())
		wantTTL(time.Hour)
		set(t, s, "n", "5", kv.TTL(time.Microsecond))
		wantTTL(time.Millisecond)
		set(t, s, "n", "6")
		wantTTL(kv.NoTTL)
		set(t, s, "n", "7", kv.ExpireAt(time.Now().Add(time.Minute)))
		wantTTL(time.Minute)
		far := time.UnixMilli(1 << 62)
		set(t, s, "n", "8", kv.ExpireAt(far))
		wantTTL((1<<63 - 1) / time.Millisecond * time.Millisecond)
	})
}

// A store that follows hides keys by the writer's clock, whatever its own says; deletes
// none; and goes on from that clock, and deletes, when it is promoted.
func TestExpiryOnFollowers(t *testing.T) {
	for _, skew := range []time.Duration{0, time.Hour, -time.Hour, 24 * 365 * time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			s, to := open(t, nil), open(t, nil)
			s.SetFollower(true) // as a store with another clock that nothing expires on
			s.SetClock(time.Now().Add(skew).UnixMilli())
			to.SetFollower(true)
			f := followEmpty(t, s, to)
			set(t, s, "k", "v", kv.TTL(10*time.Second))
			set(t, s, "other", "v", kv.TTL(20*time.Second))
			f.catchUp(t)
			to.SetClock(time.Now().Add(skew).UnixMilli())

			time.Sleep(10*time.Second - time.Millisecond)
			wantValue(t, to, "k", "v")
			time.Sleep(time.Millisecond)
			wantValue(t, to, "k", "")
			if to.Len() != 1 {
				t.Errorf("skew %v: Len = %d", skew, to.Len())
			}
			// A reading that was late on its way does not bring it back; a clock
			// that was set back does.
			to.SetClock(time.Now().Add(skew - 900*time.Millisecond).UnixMilli())
			wantValue(t, to, "k", "")
			to.SetClock(time.Now().Add(skew - 5*time.Second).UnixMilli())
			wantValue(t, to, "k", "v")
			to.SetClock(time.Now().Add(skew).UnixMilli())
			to.SetClock(-1)
			wantValue(t, to, "k", "")
			time.Sleep(time.Minute)
			if d := digest(t, to); d.Keys != 2 || d != digest(t, s) {
				t.Errorf("skew %v: a follower has deleted: %+v", skew, d)
			}

			to.SetFollower(false)
			to.SetClock(0) // of no effect any more
			time.Sleep(time.Second)
			if d := digest(t, to); d.Keys != 0 {
				t.Errorf("skew %v: %d keys are kept after the promotion", skew, d.Keys)
			}
			set(t, to, "k", "v", kv.TTL(time.Second))
			if ttl, err := to.TTL("k"); ttl != time.Second || err != nil {
				t.Errorf("skew %v: TTL = %v, %v", skew, ttl, err)
			}
			time.Sleep(time.Second)
			wantValue(t, to, "k", "")
		})
	}
}

// A store that begins to follow stops deleting, though its timer is set.
func TestExpiryStopsWhenFollowing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, nil)
		set(t, s, "k", "v", kv.TTL(time.Second))
		time.Sleep(time.Second / 2)
		s.SetFollower(true)
		end := s.Log().End()
		time.Sleep(time.Hour)
		if s.Log().End() != end || digest(t, s).Keys != 1 {
			t.Error("a follower has deleted a key")
		}
		s.SetFollower(false)
		time.Sleep(time.Second)
		if digest(t, s).Keys != 0 {
			t.Error("a store that writes again has not")
		}
	})
}

// While the gate lets nothing in, nothing is deleted; afterwards all is.
func TestExpiryWaitsForTheGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, nil)
		set(t, s, "k", "v", kv.TTL(time.Second))
		var asked atomic.Int64
		s.Log().SetGate(func() error { asked.Add(1); return errors.New("no lease") })
		time.Sleep(time.Hour)
		if n := asked.Load(); n < 1800 || n > 3700 {
			t.Errorf("the gate was asked %d times in an hour, want about once a second", n)
		}
		wantValue(t, s, "k", "")
		if d := digest(t, s); d.Keys != 1 {
			t.Errorf("%d keys are kept, want 1", d.Keys)
		}
		s.Log().SetGate(nil)
		time.Sleep(time.Minute)
		if d := digest(t, s); d.Keys != 0 {
			t.Errorf("%d keys are kept, want none", d.Keys)
		}
	})
}

// The count follows a clock that is set to and fro.
func TestLenFollowsTheClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, nil)
		s.SetFollower(true)
		now := time.Now().UnixMilli()
		s.SetClock(now)
		for i := range 100 {
			set(t, s, key(i), "v", kv.TTL(time.Duration(1+i)*time.Minute))
		}
		for _, m := range []int64{0, 50, 10, 100, 0, 99, 3} {
			s.SetClock(now + m*60_000)
			if want := 100 - int(m); s.Len() != want || len(contents(s)) != want {
				t.Errorf("at minute %d: %d keys, %d shown, want %d", m, s.Len(), len(contents(s)), want)
			}
		}
	})
}

// Close stops the timer, and waits for a round that is under way.
func TestCloseDuringExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kv.New(nil)
		for i := range 5000 {
			set(t, s, key(i), "v", kv.TTL(time.Second))
		}
		time.Sleep(time.Second)
		must(t, s.Close())
		end := s.Log().End()
		time.Sleep(time.Hour)
		if s.Log().End() != end {
			t.Error("keys were deleted after Close")
		}
	})
}

// A deadline in a snapshot counts where it is restored.
func TestRestoredKeysExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, nil)
		set(t, s, "k", "v", kv.TTL(time.Minute))
		restoreFromSnapshot(t, s)
		wantValue(t, s, "k", "v")
		time.Sleep(2 * time.Minute)
		if d := digest(t, s); d.Keys != 0 {
			t.Errorf("%d keys are kept", d.Keys)
		}
	})
}

// TestExpireAt: by a moment, on its own and in a transaction; one that has passed deletes the key.
func TestExpireAt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, nil)
		inTx := func(key string, at time.Time) (ok bool, err error) {
			txErr := s.Update(func(tx *kv.Tx) error { ok, err = tx.ExpireAt(key, at); return err })
			if txErr != err {
				t.Errorf("Update returns %v, ExpireAt %v", txErr, err)
			}
			return ok, err
		}
		for name, expireAt := range map[string]func(string, time.Time) (bool, error){"Store": s.ExpireAt, "Tx": inTx} {
			set(t, s, "k", "v")
			if ok, err := expireAt("k", time.Now().Add(time.Minute)); !ok || err != nil {
				t.Errorf("%s: %v, %v", name, ok, err)
			}
			if ttl, err := s.TTL("k"); ttl != time.Minute || err != nil {
				t.Errorf("%s: TTL %v, %v", name, ttl, err)
			}
			if ok, err := expireAt("k", time.Unix(1<<60, 0)); ok || !errors.Is(err, kv.ErrInvalid) {
				t.Errorf("%s: too late: %v, %v", name, ok, err)
			}
			wantValue(t, s, "k", "v")
			for _, past := range []time.Time{time.Now(), {}} {
				set(t, s, "k", "v")
				for _, want := range []bool{true, false} {
					if ok, err := expireAt("k", past); ok != want || err != nil {
						t.Errorf("%s: at %v: %v, %v", name, past, ok, err)
					}
				}
				wantValue(t, s, "k", "")
			}
			if ok, err := expireAt("none", time.Now().Add(time.Hour)); ok || err != nil {
				t.Errorf("%s: no such key: %v, %v", name, ok, err)
			}
		}
	})
}

// TestSnapshotGet: what a key had when the snapshot was taken, with and without an index.
func TestSnapshotGet(t *testing.T) {
	for _, ordered := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s := open(t, &kv.Options{Ordered: ordered})
			for i := range 5000 {
				set(t, s, key(i), "old")
			}
			set(t, s, "short", "v", kv.TTL(time.Second))
			set(t, s, "over", "v", kv.TTL(time.Millisecond))
			time.Sleep(time.Millisecond)
			n, err := s.Snapshot()
			must(t, err)
			for i := range 20_000 { // shards grow, and segments are captured
				set(t, s, key(i), "new")
			}
			must(t, func() error { _, err := s.Delete(key(7)); return err }())
			time.Sleep(time.Minute)
			for i := range 5000 {
				if v, err := n.Get(key(i)); string(v) != "old" || err != nil {
					t.Fatalf("%s: %q, %v", key(i), v, err)
				}
			}
			if v, err := n.Get("short"); string(v) != "v" || err != nil {
				t.Errorf("a key that has expired since: %q, %v", v, err)
			}
			for _, k := range []string{"over", key(5000), ""} {
				if v, err := n.Get(k); v != nil || err != kv.ErrNotFound {
					t.Errorf("%q: %q, %v", k, v, err)
				}
			}
			n.Close()
			if _, err := n.Get(key(1)); err != kv.ErrClosed {
				t.Errorf("after Close: %v", err)
			}
		})
	}
}
