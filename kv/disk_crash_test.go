package kv_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/internal/faultfs"
	"github.com/emberkv/ember/kv"
	"github.com/emberkv/ember/rdb"
)

// crashOptions make small files, and small stores, of which many can be opened.
func crashOptions() *kv.Options {
	return &kv.Options{
		LogBytes: 64 << 10,
		MaxBytes: kv.MinMaxBytes,
		Durability: kv.Durability{
			Fsync: kv.FsyncAlways, SegmentBytes: 4 << 10, KeepBytes: -1, SavePoints: []kv.SavePoint{},
			DiskTimeout: time.Minute, // of the wall's clock: the machine may be busy
		},
	}
}

// A tale is a store's life on a disk: what was written, and what was acknowledged when.
type tale struct {
	applied []string // keys, in the order of the log
	acked   []ack
}

type ack struct {
	events  int // of the recording, when it was acknowledged
	applied int // how many of applied it covers
}

// live writes n keys, saves in the middle and at three quarters, and closes the store. It
// goes on through errors.
func (l *tale) live(t testing.TB, fs *faultfs.FS, n int, events func() int) {
	s, err := kv.OpenOn(fs, "dir", crashOptions())
	if err != nil {
		return
	}
	for i := range n {
		key := fmt.Sprintf("k%03d", i)
		err := s.Set(key, []byte("v"))
		var late *kv.NotDurableError
		switch {
		case err == nil:
			l.applied = append(l.applied, key)
			l.acked = append(l.acked, ack{events(), len(l.applied)})
		case errors.As(err, &late):
			l.applied = append(l.applied, key)
			if late.Position != s.Position() {
				t.Errorf("%v, at %s", err, s.Position())
			}
		case !errors.Is(err, kv.ErrDisk):
			t.Errorf("key %d: %v", i, err)
		}
		if i == n/2 || i == 3*n/4 {
			ctx, cancel := context.WithCancel(context.Background())
			if err != nil {
				cancel() // it would wait for the disk
			}
			s.Save(ctx)
			cancel()
		}
	}
	if s.Close() == nil {
		l.acked = append(l.acked, ack{events(), len(l.applied)})
	}
}

// ackedAt returns how many of the keys were acknowledged after so many events.
func (l *tale) ackedAt(events int) (n int) {
	for _, a := range l.acked {
		if a.events <= events {
			n = a.applied
		}
	}
	return n
}

// check opens what a crash has left and returns what is wrong with it: it has to hold the
// first keys of the tale, n at least.
func (l *tale) check(fs *faultfs.FS, n int) error {
	s, err := kv.OpenOn(fs, "dir", crashOptions())
	if err != nil {
		return err
	}
	defer s.Close()
	have := s.Len()
	if have < n || have > len(l.applied) {
		return fmt.Errorf("%d keys, %d were acknowledged and %d written; %+v", have, n, len(l.applied), s.Recovered())
	}
	for _, key := range l.applied[:have] {
		if v, err := s.Get(key); err != nil || string(v) != "v" {
			return fmt.Errorf("%s of %d keys: %q, %v", key, have, v, err)
		}
	}
	return nil
}

// TestCrashAtEveryByte of what a store writes in its life, and after every operation:
// whatever was acknowledged by then is there afterwards, and what is there is a
// beginning of what was written.
func TestCrashAtEveryByte(t *testing.T) {
	t.Parallel()
	fs, l := faultfs.New(), &tale{}
	r := fs.Record()
	l.live(t, fs, 200, r.Events)
	if len(l.acked) != 201 {
		t.Fatalf("%d acknowledgements", len(l.acked))
	}
	if n := len(faultfs.In("dir", "journal-*", fs.Paths())); n < 2 {
		t.Errorf("%d segments: nothing was rotated", n)
	}
	rng, points, last := rand.New(rand.NewPCG(1, 2)), 0, -1
	step := 1
	if testing.Short() || raceEnabled {
		step = 23
	}
	r.Each(func(events int, fs *faultfs.FS) bool {
		points++
		whole := events != last // else only bytes have come, of which a strict disk keeps none
		last = events
		if !whole && points%step != 0 {
			return true
		}
		keeps := []faultfs.Keep{faultfs.Everything()}
		if whole {
			keeps = append(keeps, faultfs.Nothing(), faultfs.Some(rng))
		}
		for _, keep := range keeps {
			if err := l.check(fs.Crashed(keep), l.ackedAt(events)); err != nil {
				t.Errorf("after %d operations, point %d: %v", events, points, err)
				return false
			}
		}
		return true
	})
	t.Logf("%d points", points)
}

// TestDroppedSyncsAreFound: the model finds a program, or a disk, that does not sync.
func TestDroppedSyncsAreFound(t *testing.T) {
	for _, op := range []faultfs.Op{faultfs.Sync, faultfs.SyncDir} {
		fs, l := faultfs.New(), &tale{}
		fs.Ignore(op)
		r := fs.Record()
		l.live(t, fs, 20, r.Events)
		found := false
		last := -1
		r.Each(func(events int, fs *faultfs.FS) bool {
			if events != last {
				found = l.check(fs.Crashed(faultfs.Nothing()), l.ackedAt(events)) != nil
			}
			last = events
			return !found
		})
		if !found {
			t.Errorf("%s does nothing, and nobody notices", op)
		}
	}
}

// TestEveryOperationFails in turn, once and for ever: what was acknowledged is there after
// a crash, writes are taken again after a single fault, and reads never fail.
func TestEveryOperationFails(t *testing.T) {
	t.Parallel()
	const keys = 40
	whole := faultfs.New()
	(&tale{}).live(t, whole, keys, func() int { return 0 })
	step := 1
	if testing.Short() || raceEnabled {
		step = 11
	}
	for n := 1; n <= whole.Count(); n += step {
		for _, forever := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				fs, l := faultfs.New(), &tale{}
				fs.FailAt(n, forever, syscall.EIO)
				l.live(t, fs, keys, func() int { return 0 })
				for _, keep := range []faultfs.Keep{faultfs.Nothing(), faultfs.Everything()} {
					if err := l.check(fs.Crashed(keep), l.ackedAt(0)); err != nil {
						t.Fatalf("operation %d fails (for ever: %t): %v", n, forever, err)
					}
				}
				if fs.OpenFiles() != 0 {
					t.Errorf("operation %d fails (for ever: %t): %d files are left open", n, forever, fs.OpenFiles())
				}
			})
		}
	}
}

// TestFlippedBits: a store whose files were changed says so, or is as it was.
func TestFlippedBits(t *testing.T) {
	t.Parallel()
	fs, l := faultfs.New(), &tale{}
	l.live(t, fs, 100, func() int { return 0 })
	var killed *faultfs.FS
	synctest.Test(t, func(t *testing.T) {
		fs := faultfs.New()
		s := mustOpen(t, fs, crashOptions())
		defer s.Close()
		for _, key := range l.applied {
			must(t, s.Set(key, []byte("v")))
		}
		must(t, s.Durable(t.Context(), s.Position()))
		synctest.Wait() // until the journal says of the last record, too, that it is synced
		killed = fs.Crashed(faultfs.Everything())
	})
	step := 5 // no divisor of anything: which bits are met differs from file to file
	if testing.Short() || raceEnabled {
		step = 37
	}
	for name, disk := range map[string]*faultfs.FS{"closed": fs, "killed": killed} {
		refused, whole := 0, 0
		for _, path := range disk.Paths() {
			for i := 0; i < len(disk.Contents(path)); i += step {
				changed := disk.Clone()
				changed.FlipBit(path, 8*i+i%8)
				switch err := l.check(changed, len(l.applied)); {
				case err == nil:
					whole++
				case errors.Is(err, kv.ErrCorrupt) || errors.Is(err, rdb.ErrVersion):
					refused++
				default:
					t.Errorf("%s: bit %d of byte %d of %s: %v", name, i%8, i, path, err)
				}
			}
		}
		if refused == 0 {
			t.Errorf("%s: nothing was refused", name)
		}
		t.Logf("%s: %d refused, %d unharmed", name, refused, whole)
	}
}
