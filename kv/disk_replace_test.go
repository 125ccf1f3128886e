package kv_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/internal/faultfs"
	"github.com/emberkv/ember/kv"
	"github.com/emberkv/ember/rdb"
)

// everyCrash calls check with what a crash leaves after each operation of a recording, and
// here and there between the bytes of one, with how many of the operations were done.
func everyCrash(t *testing.T, r *faultfs.Recording, check func(events int, fs *faultfs.FS) error) {
	t.Helper()
	rng, points, last := rand.New(rand.NewPCG(3, 4)), 0, -1
	step := 29
	if testing.Short() || raceEnabled {
		step = 211
	}
	r.Each(func(events int, fs *faultfs.FS) bool {
		points++
		whole := events != last
		last = events
		if !whole && points%step != 0 {
			return true
		}
		for _, keep := range []faultfs.Keep{faultfs.Everything(), faultfs.Nothing(), faultfs.Some(rng)} {
			if err := check(events, fs.Crashed(keep)); err != nil {
				t.Errorf("after %d operations, point %d: %v", events, points, err)
				return false
			}
		}
		return true
	})
	t.Logf("%d points", points)
}

// TestCrashOfAReplicaThatDropsFirst: the folder holds the old state, nothing, or the new one,
// and never a part; and the new one when that was said to be on disk.
func TestCrashOfAReplicaThatDropsFirst(t *testing.T) {
	t.Parallel()
	source := kv.New(nil)
	defer source.Close()
	setSome(t, source, 0, 60)
	fs, opts := faultfs.New(), crashOptions()
	s := mustOpen(t, fs, opts)
	defer s.Close()
	setSome(t, s, 0, 20)
	r := fs.Record()
	must(t, s.Drop(rdb.Header{}))
	must(t, s.Durable(t.Context(), s.Position()))
	dropped := r.Events()
	fullCopy(t, source, s)
	must(t, s.Durable(t.Context(), source.Position()))
	copied := r.Events()
	seen := make(map[int]bool)
	everyCrash(t, r, func(events int, fs *faultfs.FS) error {
		after, err := kv.OpenOn(fs, "dir", opts)
		if err != nil {
			return err
		}
		defer after.Close()
		n := after.Len()
		seen[n] = true
		switch {
		case n != 0 && n != 20 && n != 60, events >= dropped && n == 20, events >= copied && n != 60:
			return fmt.Errorf("%d keys", n)
		case n == 60 && after.Position() != source.Position():
			return fmt.Errorf("a follower goes on at %s in place of %s", after.Position(), source.Position())
		}
		wantSome(t, after, n)
		return nil
	})
	if len(seen) != 3 {
		t.Errorf("crashes have left %v", seen)
	}
}

// TestCrashOfARepair: a store that leaves the end of its log for another's is as it was, or as
// the other one.
func TestCrashOfARepair(t *testing.T) {
	t.Parallel()
	fs, opts := faultfs.New(), crashOptions()
	old, now := mustOpen(t, fs, opts), kv.New(nil)
	defer old.Close()
	defer now.Close()
	now.SetFollower(true)
	f := followEmpty(t, old, now)
	setSome(t, old, 0, 30)
	f.catchUp(t)
	now.SetFollower(false)
	fork := now.Log().Fork(backlog.NewHistory()).Offset
	for i := range 10 { // the tail: some of it new, some of it over what both have
		must(t, old.Set(diskKey(25+i), []byte("old")))
		must(t, now.Set(diskKey(20+i), []byte("now")))
	}
	before, want := contents(old), contents(now)
	r := fs.Record()
	repair(t, old, now, fork)
	must(t, old.Durable(t.Context(), now.Position()))
	repaired := r.Events()
	states := 0
	everyCrash(t, r, func(events int, fs *faultfs.FS) error {
		after, err := kv.OpenOn(fs, "dir", opts)
		if err != nil {
			return err
		}
		defer after.Close()
		have := contents(after)
		switch {
		case fmt.Sprint(have) == fmt.Sprint(want):
			if after.Position() != now.Position() {
				return fmt.Errorf("goes on at %s in place of %s", after.Position(), now.Position())
			}
			states |= 2
		case fmt.Sprint(have) == fmt.Sprint(before) && events < repaired:
			states |= 1
		default:
			return fmt.Errorf("%d keys, neither the old state nor the new one: %v", len(have), have)
		}
		return nil
	})
	if states != 3 {
		t.Errorf("crashes have left %b", states)
	}
}
