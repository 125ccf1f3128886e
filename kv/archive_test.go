package kv_test

import (
	"bytes"
	"errors"
	"math"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/internal/faultfs"
	"github.com/emberkv/ember/kv"
)

// archived are options of a store with a small window, and small files.
func archived() *kv.Options {
	opts := always()
	opts.LogBytes, opts.SegmentBytes = 16<<10, 8<<10
	return opts
}

// longAgo returns a store whose log has gone on by twenty windows since the position that is
// returned, and what it holds up to there.
func longAgo(t testing.TB, fs *faultfs.FS, opts *kv.Options) (s *kv.Store, to *kv.Store) {
	t.Helper()
	s, to = mustOpen(t, fs, opts), kv.New(nil)
	t.Cleanup(func() { s.Close(); to.Close() })
	f := followEmpty(t, s, to)
	setSome(t, s, 0, 100)
	f.catchUp(t)
	grow(t, s, 20)
	return s, to
}

// grow lets a store's log go on by so many windows of 16 KiB.
func grow(t testing.TB, s *kv.Store, windows int64) {
	t.Helper()
	value := make([]byte, 500)
	for end := s.Log().End() + windows*16<<10; s.Log().End() < end; {
		if err := s.Set(diskKey(int(s.Log().End()%1000)), value); err != nil {
			t.Fatal(err)
		}
	}
	must(t, s.Durable(t.Context(), s.Position()))
	must(t, s.Set("last", nil)) // lets the log give up what is on disk now
	must(t, s.Durable(t.Context(), s.Position()))
}

// bind returns a follower that goes no further than the log shares, as those of another node.
func bind(t testing.TB, from, to *kv.Store) *follower {
	t.Helper()
	f := follow(t, from, to)
	f.reader.Bind()
	t.Cleanup(f.reader.Close)
	return f
}

// TestFollowerFromTheJournal: a follower that was away for twenty windows goes on from the
// files, while more is written, and whether or not the store was opened anew meanwhile.
func TestFollowerFromTheJournal(t *testing.T) {
	for _, policy := range []kv.Fsync{kv.FsyncAlways, kv.FsyncEverySecond} {
		synctest.Test(t, func(t *testing.T) {
			fs, opts := faultfs.New(), archived()
			opts.Fsync = policy
			s, to := longAgo(t, fs, opts)
			if w := s.Log().Window(); w.Archived != 0 || w.First == 0 {
				t.Fatalf("window %+v", w)
			}
			sum, err := to.Log().Sum(to.Log().End())
			must(t, err)
			f := bind(t, s, to)
			if got := f.reader.Confirm(sum); got != backlog.Confirmed {
				t.Errorf("the sum of what both have: %v", got)
			}
			for range 40 {
				grow(t, s, 1)
				b, err := f.reader.Next(math.MaxInt64)
				must(t, err)
				must(t, to.Apply(backlog.Position{History: s.Position().History, Offset: f.reader.Offset() - int64(len(b))}, b))
			}
			f.catchUp(t)
			wantSame(t, s, to)
			mustClose(t, s)

			s = mustOpen(t, fs, opts)
			defer s.Close()
			grow(t, s, 20)
			fresh := kv.New(nil)
			defer fresh.Close()
			fresh.Log().Adopt(backlog.NewLogAt(s.Log().Lineage(), 0, nil))
			bind(t, s, fresh).catchUp(t)
			wantSame(t, s, fresh)
			bind(t, s, to).catchUp(t)
			wantSame(t, s, to)
		})
	}
}

// TestFollowerIsOutrun by its upstream's writers, and goes on from the files.
func TestFollowerIsOutrun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := faultfs.New()
		s, to := mustOpen(t, fs, archived()), kv.New(nil)
		defer s.Close()
		defer to.Close()
		to.Log().Adopt(backlog.NewLogAt(s.Log().Lineage(), 0, nil))
		f := bind(t, s, to)
		for range 3 {
			grow(t, s, 5)
			b, err := f.reader.Next(math.MaxInt64)
			must(t, err)
			must(t, to.Apply(to.Position(), b))
			if d, _ := s.Disk(); d.Archive != 1 || d.Archived != 0 {
				t.Errorf("not from the files: %+v", d)
			}
		}
		f.catchUp(t)
		wantSame(t, s, to)
		if d, _ := s.Disk(); d.Archive != 0 {
			t.Errorf("%d read the files", d.Archive)
		}
	})
}

// TestJournalIsDamagedUnderAFollower: what cannot be read is given up, with a report, and not
// tried again; the store goes on.
func TestJournalIsDamagedUnderAFollower(t *testing.T) {
	for _, how := range []string{"bit", "removed", "cut"} {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fs := faultfs.New()
				s, to := longAgo(t, fs, archived())
				f := bind(t, s, to)
				segment := faultfs.In("dir", "journal-*", fs.Paths())[10]
				switch how {
				case "bit":
					fs.FlipBit(segment, 8*4000)
				case "removed":
					must(t, fs.Remove(segment))
				case "cut":
					fs.Truncate(segment, 4000)
				}
				var err error
				for err == nil {
					var b []byte
					if b, err = f.reader.Next(math.MaxInt64); err == nil {
						if len(b) == 0 {
							t.Fatal("nothing is wrong")
						}
						must(t, to.Apply(to.Position(), b))
					}
				}
				var c *kv.CorruptError
				if !errors.Is(err, backlog.ErrTrimmed) || !errors.As(err, &c) || c.File != segment {
					t.Errorf("got %v", err)
				}
				if d, _ := s.Disk(); d.ArchiveErr == "" || d.Archived <= to.Position().Offset {
					t.Errorf("status %+v", d)
				}
				if _, refusal := s.Log().Continue(to.Log().Lineage(), to.Position().Offset); refusal != backlog.Trimmed {
					t.Errorf("the next attempt: %v", refusal)
				}
				grow(t, s, 1)
			})
		})
	}
}

// TestFilesOfAFollowerStay while it reads them, up to twice what is kept else.
func TestFilesOfAFollowerStay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs, opts := faultfs.New(), archived()
		opts.KeepBytes = 200 << 10
		s, to := longAgo(t, fs, opts)
		f := bind(t, s, to)
		save := func() {
			t.Helper()
			for range 3 { // the last two are kept, and the journal behind the older one
				_, err := s.Save(t.Context())
				must(t, err)
			}
		}
		save()
		if w := s.Log().Window(); w.Archived > to.Position().Offset {
			t.Fatalf("removed under a follower: %+v", w)
		}
		f.catchUp(t)
		wantSame(t, s, to)
		save()
		first := s.Log().Window().Archived
		if kept := s.Log().End() - first; kept > 220<<10 || kept < 150<<10 {
			t.Errorf("%d bytes are kept", kept)
		}
		late := kv.New(nil)
		defer late.Close()
		late.Log().Adopt(backlog.NewLogAt(s.Log().Lineage().At(first), first, nil))
		slow := bind(t, s, late)
		_, err := slow.reader.Next(first + 1<<10)
		must(t, err)
		grow(t, s, 30)
		save()
		for err == nil {
			_, err = slow.reader.Next(math.MaxInt64)
		}
		if !errors.Is(err, backlog.ErrTrimmed) {
			t.Errorf("one that is slower than twice what is kept: %v", err)
		}
	})
}

// TestArchiveOfReplacedContents: the files of a log that was replaced are not those of the
// one that has taken its place, though the offsets are the same.
func TestArchiveOfReplacedContents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := faultfs.New()
		s, to := longAgo(t, fs, archived())
		f := bind(t, s, to)
		source := kv.New(nil)
		defer source.Close()
		must(t, source.Set("big", make([]byte, 100<<10)))
		setSome(t, source, 0, 10)
		fs.Delay(faultfs.Write, time.Second) // the journal does not know of it yet
		fullCopy(t, source, s)
		if _, refusal := s.Log().Continue(source.Log().Lineage(), 0); refusal != backlog.Trimmed {
			t.Errorf("a follower at the beginning of the new log: %v", refusal)
		}
		if _, err := f.reader.Next(math.MaxInt64); err != backlog.ErrReset {
			t.Errorf("a follower of the old one: %v", err)
		}
		fs.Delay(faultfs.Write, 0)
		must(t, s.Durable(t.Context(), source.Position()))
		s.SetFollower(true)
		up := follow(t, source, s)
		for range 2000 {
			must(t, source.Set("k", bytes.Repeat([]byte("v"), 100)))
		}
		up.catchUp(t)
		must(t, s.Durable(t.Context(), source.Position()))
		must(t, source.Set("k", nil)) // lets the log give up what is on disk now
		up.catchUp(t)
		if w := s.Log().Window(); w.Archived >= w.First {
			t.Errorf("window %+v", w)
		}
	})
}

// TestWatcherLetsGoOfTheFiles when its loop ends, when it has come to what others read, and
// when it is told to begin anew.
func TestWatcherLetsGoOfTheFiles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := faultfs.New()
		s, to := longAgo(t, fs, archived())
		from, open := to.Position(), fs.OpenFiles()
		for _, until := range []kv.EventKind{kv.EventPut, kv.EventSynced} {
			for e, err := range s.Watch(t.Context(), "", from) {
				must(t, err)
				if e.Kind != until {
					continue
				}
				if d, _ := s.Disk(); until == kv.EventPut && d.Archive != 1 {
					t.Errorf("%d read the files", d.Archive)
				}
				break
			}
			if d, _ := s.Disk(); d.Archive != 0 || fs.OpenFiles() != open {
				t.Errorf("after the loop: %d read the files, %d are open more", d.Archive, fs.OpenFiles()-open)
			}
		}
		reset := false
		for e, err := range s.Watch(t.Context(), "", from) {
			must(t, err)
			if e.Kind == kv.EventSynced {
				break
			}
			if reset = reset || e.Kind == kv.EventReset; !reset {
				fs.Fail(faultfs.Read, syscall.EIO)
			}
		}
		fs.Fail(faultfs.Read, nil)
		if d, _ := s.Disk(); !reset || d.Archive != 0 || fs.OpenFiles() != open {
			t.Errorf("after a reset, %v: %d read the files, %d are open more", reset, d.Archive, fs.OpenFiles()-open)
		}
	})
}

// TestTooManyOpenFiles refuse one follower what is in the files, and not the next: nothing is
// wrong with those.
func TestTooManyOpenFiles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := faultfs.New()
		s, to := longAgo(t, fs, archived())
		fs.Fail(faultfs.Read, syscall.EMFILE)
		if _, refusal := s.Log().Continue(to.Log().Lineage(), to.Position().Offset); refusal != backlog.Trimmed {
			t.Errorf("without a file: %v", refusal)
		}
		if d, _ := s.Disk(); d.ArchiveErr == "" || d.Archived != 0 {
			t.Errorf("status %+v", d)
		}
		fs.Fail(faultfs.Read, nil)
		bind(t, s, to).catchUp(t)
		wantSame(t, s, to)
	})
}

// TestSlowDiskOfAFollower: a place to which a disk does not come within a handshake's time is
// none that can be gone on from, so that a full copy is offered in place of nothing at all.
func TestSlowDiskOfAFollower(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := faultfs.New()
		s, to := longAgo(t, fs, archived())
		open := fs.OpenFiles()
		fs.Delay(faultfs.Read, 1500*time.Millisecond)
		began := time.Now()
		if _, refusal := s.Log().Continue(to.Log().Lineage(), to.Position().Offset); refusal != backlog.Trimmed {
			t.Errorf("from a slow disk: %v after %v", refusal, time.Since(began))
		}
		if d, _ := s.Disk(); d.ArchiveErr == "" || d.Archived != 0 || d.Archive != 0 || fs.OpenFiles() != open {
			t.Errorf("status %+v", d)
		}
		fs.Delay(faultfs.Read, 0)
		bind(t, s, to).catchUp(t)
	})
}

// TestFilesAreRemovedWhileOneIsOpened: that is no damage, and not reported as such.
func TestFilesAreRemovedWhileOneIsOpened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs, opts := faultfs.New(), archived()
		opts.KeepBytes = 32 << 10
		s, to := longAgo(t, fs, opts)
		fs.Delay(faultfs.Read, time.Second)
		why := make(chan backlog.Refusal, 1)
		go func() {
			_, refusal := s.Log().Continue(to.Log().Lineage(), to.Position().Offset)
			why <- refusal
		}()
		synctest.Wait()
		for range 3 {
			_, err := s.Save(t.Context())
			must(t, err)
		}
		if refusal := <-why; refusal != backlog.Trimmed {
			t.Errorf("got %v", refusal)
		}
		if d, _ := s.Disk(); d.ArchiveErr != "" || d.Archived == 0 {
			t.Errorf("status %+v", d)
		}
	})
}
