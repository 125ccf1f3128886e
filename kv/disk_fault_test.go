package kv_test

import (
	"errors"
	"fmt"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/internal/faultfs"
	"github.com/emberkv/ember/kv"
)

// TestFullDisk: the write that does not fit stands and says so, others are refused, reads go
// on; and when there is room all is on disk and writes are taken again.
func TestFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := faultfs.New()
		s := mustOpen(t, fs, always())
		setSome(t, s, 0, 10)
		fs.SetRoom(10)
		var late *kv.NotDurableError
		err := s.Set(diskKey(10), []byte("value 10"))
		if !errors.As(err, &late) || !errors.Is(err, kv.ErrDisk) || !errors.Is(err, syscall.ENOSPC) || late.Position != s.Position() {
			t.Fatalf("a full disk: %v", err)
		}
		if err := s.Set("other", nil); !errors.Is(err, kv.ErrDisk) || errors.As(err, &late) {
			t.Fatalf("the next write: %v", err)
		}
		wantSome(t, s, 11)
		time.Sleep(time.Minute) // all attempts to go on fail
		if err := s.Set("other", nil); !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("a minute later: %v", err)
		}
		fs.SetRoom(-1)
		must(t, s.Durable(t.Context(), late.Position))
		setSome(t, s, 11, 20)
		after := mustOpen(t, fs.Crashed(faultfs.Nothing()), nil)
		wantSome(t, after, 20)
		mustClose(t, after)
		mustClose(t, s)
	})
}

// TestFailedSyncIsFinal: what a failed sync was for is written to another file, and what
// the old one has is not believed.
func TestFailedSyncIsFinal(t *testing.T) {
	eachFsync(t, func(t *testing.T, fs *faultfs.FS, opts *kv.Options) {
		s := mustOpen(t, fs, opts)
		setSome(t, s, 0, 10)
		fs.Fail(faultfs.Sync, syscall.EIO)
		err := s.Set(diskKey(10), []byte("value 10"))
		if opts.Fsync == kv.FsyncAlways != errors.Is(err, kv.ErrDisk) {
			t.Error(err)
		}
		go func() {
			time.Sleep(10 * time.Second)
			fs.Fail(faultfs.Sync, nil)
		}()
		mustSync(t, s)
		after := mustOpen(t, fs.Crashed(faultfs.Nothing()), opts)
		wantSome(t, after, 11)
		mustClose(t, after)
		mustClose(t, s)
	})
}

// TestSlowDiskHoldsUpWriters, until it is too slow.
func TestSlowDiskHoldsUpWriters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs, opts := faultfs.New(), always()
		opts.Fsync, opts.MaxUnsynced, opts.DiskTimeout = kv.FsyncEverySecond, 10_000, 5*time.Second
		s := mustOpen(t, fs, opts)
		fs.Delay(faultfs.Sync, 2*time.Second)
		began := time.Now()
		value := make([]byte, 1000)
		for range 100 {
			if err := s.Set("k", value); err != nil {
				t.Fatal(err)
			}
		}
		if d := time.Since(began); d < 10*time.Second {
			t.Errorf("100 kB took %v, with 10 kB allowed behind syncs of 2 s", d)
		}
		fs.Delay(faultfs.Sync, time.Minute)
		var err error
		for range 100 {
			if err = s.Set("k", value); err != nil {
				break
			}
		}
		var late *kv.NotDurableError
		if !errors.Is(err, kv.ErrDiskSlow) || !errors.As(err, &late) {
			t.Fatalf("behind a sync of a minute: %v", err)
		}
		if err := s.Set("k", value); !errors.Is(err, kv.ErrDiskSlow) || errors.As(err, &late) {
			t.Errorf("the next write: %v", err)
		}
		fs.Delay(faultfs.Sync, 0)
		mustSync(t, s)
		if err := s.Set("k", value); err != nil {
			t.Errorf("when the disk is back: %v", err)
		}
		mustClose(t, s)
	})
}

// TestSettlerOfBefore: a write is settled by who was there before it was let in, whoever comes then.
func TestSettlerOfBefore(t *testing.T) {
	for name, write := range map[string]func(s *kv.Store) error{
		"Set":            func(s *kv.Store) error { return s.Set("k", nil) },
		"Set, Add":       func(s *kv.Store) error { return s.Set("new", nil, kv.IfAbsent()) },
		"Delete":         func(s *kv.Store) error { _, err := s.Delete("k"); return err },
		"Add":            func(s *kv.Store) error { _, err := s.Add("n", 1); return err },
		"CompareAndSwap": func(s *kv.Store) error { _, err := s.CompareAndSwap("k", []byte("v"), nil); return err },
		"Expire":         func(s *kv.Store) error { _, err := s.Expire("k", time.Hour); return err },
		"Persist":        func(s *kv.Store) error { _, err := s.Persist("dated"); return err },
		"Rename":         func(s *kv.Store) error { return s.Rename("k", "to") },
		"DeletePrefix":   func(s *kv.Store) error { _, err := s.DeletePrefix("k"); return err },
		"Clear":          func(s *kv.Store) error { return s.Clear() },
		"Update":         func(s *kv.Store) error { return s.Update(func(tx *kv.Tx) error { return tx.Set("k", nil) }) },
		"Pipeline": func(s *kv.Store) error {
			p := s.Pipeline()
			if err := p.Set("k", nil); err != nil {
				return err
			}
			_, err := p.Exec()
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := kv.New(nil)
			defer s.Close()
			must(t, s.Set("k", []byte("v")))
			must(t, s.Set("dated", nil, kv.TTL(time.Hour)))
			asked := 0 // the gate, for the last time by the append
			s.Log().SetSettler(func(int64) error { return errors.New("0") })
			s.Log().SetGate(func() error {
				asked++
				who := strconv.Itoa(asked)
				s.Log().SetSettler(func(int64) error { return errors.New(who) })
				return nil
			})
			if err := write(s); err == nil || err.Error() >= strconv.Itoa(asked) {
				t.Errorf("settled by %v, which was let in by gate %d", err, asked)
			}
		})
	}
}

// TestSettlerWhileTheDiskSyncs: the write waits for the acks of the master that let it in, though that
// is over when the disk has it.
func TestSettlerWhileTheDiskSyncs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := faultfs.New()
		s := mustOpen(t, fs, always())
		fs.Delay(faultfs.Sync, time.Second)
		notAcked := errors.New("not acked")
		s.Log().SetSettler(func(int64) error { return notAcked })
		time.AfterFunc(time.Millisecond, func() { s.Log().SetSettler(nil) })
		if err := s.Set("k", nil); err != notAcked {
			t.Errorf("the write of before returns %v", err)
		}
		if err := s.Set("k", nil); err != nil {
			t.Errorf("one of after: %v", err)
		}
		mustClose(t, s)
	})
}

// TestWritersShareSyncs: those who have waited for one sync wait for the next one together.
// Without a moment to do so half of them would miss it, each time.
func TestWritersShareSyncs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := faultfs.New()
		s := mustOpen(t, fs, always())
		fs.Delay(faultfs.Sync, time.Second)
		begun := time.Now()
		const writes = 100
		var writers sync.WaitGroup
		for w := range 8 {
			writers.Go(func() {
				for range writes {
					if err := s.Set(fmt.Sprint("k", w), nil); err != nil {
						t.Error(err)
					}
				}
			})
		}
		writers.Wait()
		if took := time.Since(begun); took > writes*3/2*time.Second {
			t.Errorf("%d writes of each of 8 writers took %v, with syncs of a second", writes, took)
		}
		fs.Delay(faultfs.Sync, 0)
		mustClose(t, s)
	})
}

// TestFollowersGetWhatIsWritten: a reader for others goes no further than the journal.
func TestFollowersGetWhatIsWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs, opts := faultfs.New(), always()
		opts.Fsync = kv.FsyncEverySecond
		s := mustOpen(t, fs, opts)
		defer s.Close()
		r, refused := s.Log().Continue(s.Log().Lineage(), 0)
		if refused != backlog.Accepted {
			t.Fatal(refused)
		}
		r.Bind()
		defer r.Close()
		fs.Delay(faultfs.Write, 5*time.Second)
		setSome(t, s, 0, 10)
		began := time.Now()
		for got := 0; got < int(s.Log().End()); {
			if err := r.Wait(t.Context()); err != nil {
				t.Fatal(err)
			}
			b, err := r.Next(s.Log().End())
			if err != nil {
				t.Fatal(err)
			}
			got += len(b)
			if written := s.Log().Shared(); r.Offset() > written {
				t.Fatalf("was given offset %d, %d is written", r.Offset(), written)
			}
		}
		if time.Since(began) < 5*time.Second {
			t.Error("was given what was not written")
		}
	})
}

// TestNewContents on a store that is kept: the folder holds the old state or the new one.
func TestNewContents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := kv.New(nil)
		setSome(t, source, 0, 100)
		fs, opts := faultfs.New(), always()
		s := mustOpen(t, fs, opts)
		setSome(t, s, 0, 10)
		fs.Delay(faultfs.Sync, time.Second)
		fullCopy(t, source, s)
		for _, keep := range []faultfs.Keep{faultfs.Nothing(), faultfs.Everything()} {
			after := mustOpen(t, fs.Crashed(keep), opts)
			wantSome(t, after, 10)
			mustClose(t, after)
		}
		must(t, s.Durable(t.Context(), source.Position()))
		fs.Delay(faultfs.Sync, 0)
		for _, keep := range []faultfs.Keep{faultfs.Nothing(), faultfs.Everything()} {
			after := mustOpen(t, fs.Crashed(keep), opts)
			wantSome(t, after, 100)
			if after.Position() != source.Position() {
				t.Errorf("a follower was at %s, goes on at %s", source.Position(), after.Position())
			}
			mustClose(t, after)
		}
		mustClose(t, s)
	})
}
