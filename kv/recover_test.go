package kv_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/internal/faultfs"
	"github.com/emberkv/ember/kv"
	"github.com/emberkv/ember/rdb"
)

// crashedCopy opens what a crash now would leave of fs, if it kept all.
func crashedCopy(fs *faultfs.FS) *faultfs.FS { return fs.Crashed(faultfs.Everything()) }

// TestDamageBeforeTheSnapshot costs a part of the log's window, and none of the files that
// the store needs: it comes back again and again.
func TestDamageBeforeTheSnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs, opts := faultfs.New(), always()
		opts.SegmentBytes = 4 << 10
		s := mustOpen(t, fs, opts)
		defer s.Close()
		setSome(t, s, 0, 300)
		if _, err := s.Save(t.Context()); err != nil {
			t.Fatal(err)
		}
		setSome(t, s, 300, 600)
		segments := faultfs.In("dir", "journal-*", fs.Paths())
		if len(segments) < 6 {
			t.Fatalf("only %d segments", len(segments))
		}
		disk := crashedCopy(fs)
		disk.FlipBit(segments[0], 8*2000)
		for round := range 3 {
			again, err := kv.OpenOn(disk, "dir", opts)
			if err != nil {
				t.Fatalf("round %d: %v", round, err)
			}
			wantSome(t, again, 600+round)
			setSome(t, again, 600+round, 601+round)
			disk = crashedCopy(disk)
			mustClose(t, again)
		}
	})
}

// TestReplacedLogIsNotOnDisk: what was on disk of the former contents says nothing of
// those that have taken their place, though their offsets are lower.
func TestReplacedLogIsNotOnDisk(t *testing.T) {
	t.Parallel()
	fs, opts := faultfs.New(), always()
	opts.DiskTimeout = time.Minute // of the wall's clock: the machine may be busy
	s := mustOpen(t, fs, opts)
	defer s.Close()
	setSome(t, s, 0, 300)
	for range 50 {
		source := kv.New(nil)
		setSome(t, source, 0, 10)
		fullCopy(t, source, s)
		if pos := s.Synced(); pos.Offset > s.Position().Offset {
			t.Fatalf("synced up to %s, the log ends at %s", pos, s.Position())
		}
		must(t, s.Durable(t.Context(), source.Position()))
		after := mustOpen(t, fs.Crashed(faultfs.Nothing()), opts)
		wantSome(t, after, 10)
		if after.Position() != source.Position() {
			t.Fatalf("at %s, and %s was said to be on disk", after.Position(), source.Position())
		}
		mustClose(t, after)
		setSome(t, s, 10, 300)
	}
}

// TestForkBeforeClose: a history that was begun last of all is on disk before it is said
// that the store was closed in it.
func TestForkBeforeClose(t *testing.T) {
	eachFsync(t, func(t *testing.T, fs *faultfs.FS, opts *kv.Options) {
		s := mustOpen(t, fs, opts)
		setSome(t, s, 0, 10)
		mustSync(t, s)
		at := s.Log().Fork(backlog.NewHistory())
		mustClose(t, s)
		for _, keep := range []faultfs.Keep{faultfs.Everything(), faultfs.Nothing()} {
			after := mustOpen(t, fs.Crashed(keep), opts)
			if r := after.Recovered(); !r.Clean || r.Position != at {
				t.Errorf("closed at %s, recovered %+v", at, r)
			}
			mustClose(t, after)
		}
	})
}

// TestCloseWaitsForSave: when Close has returned, nobody writes to the folder any more.
func TestCloseWaitsForSave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := faultfs.New()
		s := mustOpen(t, fs, always())
		setSome(t, s, 0, 10)
		fs.Delay(faultfs.Write, 1e9)
		saved := make(chan error, 1)
		go func() {
			_, err := s.Save(context.Background())
			saved <- err
		}()
		synctest.Wait()
		mustClose(t, s)
		select {
		case err := <-saved:
			if err != nil {
				t.Error(err)
			}
		default:
			synctest.Wait()
			if len(saved) == 0 {
				t.Error("a Save goes on in a folder that was closed")
			}
			<-saved
		}
		for _, path := range fs.Paths() {
			if strings.HasSuffix(path, ".tmp") {
				t.Errorf("%s was left", path)
			}
		}
		if n := fs.OpenFiles(); n != 0 {
			t.Errorf("%d files are open", n)
		}
	})
}

// TestWriterLetGoAsTheDiskIsBack: a sync that ends at the moment at which a writer loses its
// patience leaves the gate open.
func TestWriterLetGoAsTheDiskIsBack(t *testing.T) {
	for range 20 {
		synctest.Test(t, func(t *testing.T) {
			fs, opts := faultfs.New(), always()
			opts.DiskTimeout = time.Second
			s := mustOpen(t, fs, opts)
			fs.Delay(faultfs.Sync, time.Second)
			for i := range 4 {
				if err := s.Set(diskKey(i), nil); err != nil && !errors.Is(err, kv.ErrDiskSlow) {
					t.Fatal(err)
				}
				time.Sleep(time.Minute)
				if err := s.Log().Refusing(); err != nil {
					t.Fatalf("a minute after all was on disk: %v", err)
				}
			}
			mustClose(t, s)
		})
	}
}

// TestGateAfterFirstSnapshot: the gate that a fault has closed while the first snapshot of
// new contents was written opens when it is there, under every policy.
func TestGateAfterFirstSnapshot(t *testing.T) {
	eachFsync(t, func(t *testing.T, fs *faultfs.FS, opts *kv.Options) {
		s := mustOpen(t, fs, opts)
		setSome(t, s, 0, 10)
		fs.Delay(faultfs.Sync, time.Second)
		if err := s.Drop(rdb.Header{}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(1500 * time.Millisecond)
		go s.Set("k", nil)
		time.Sleep(10 * time.Millisecond)
		fs.Fail(faultfs.Rename, syscall.EIO)
		time.Sleep(time.Minute)
		fs.Fail(faultfs.Rename, nil)
		time.Sleep(time.Minute)
		if err := s.Log().Refusing(); err != nil {
			t.Errorf("a minute after the fault: %v", err)
		}
		mustClose(t, s)
	})
}

// TestFailingWritesLeaveNoFiles: a disk that makes files, and does not take what is to be
// in them, is not filled with empty ones.
func TestFailingWritesLeaveNoFiles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := faultfs.New()
		s := mustOpen(t, fs, always())
		setSome(t, s, 0, 10)
		fs.SetRoom(1000)
		if err := s.Set("big", make([]byte, 5000)); !errors.Is(err, kv.ErrDisk) {
			t.Fatal(err)
		}
		for range 100 {
			fs.SetRoom(1000) // a header fits each time
			time.Sleep(time.Second)
		}
		if n := len(faultfs.In("dir", "journal-*", fs.Paths())); n > 4 {
			t.Errorf("%d segments after a hundred seconds", n)
		}
		fs.SetRoom(-1)
		mustSync(t, s)
		after := mustOpen(t, fs.Crashed(faultfs.Nothing()), nil)
		if v, err := after.Get("big"); err != nil || len(v) != 5000 || after.Len() != 11 {
			t.Errorf("%d keys, %d bytes, %v", after.Len(), len(v), err)
		}
		mustClose(t, after)
		mustClose(t, s)
	})
}

// TestGenerationIsNotUsedAgain: what is left of a generation that never had a snapshot is no
// part of the next one.
func TestGenerationIsNotUsedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs, opts := faultfs.New(), always()
		s := mustOpen(t, fs, opts)
		setSome(t, s, 0, 10)
		fs.Fail(faultfs.Rename, syscall.EIO)
		if err := s.Drop(rdb.Header{}); err != nil {
			t.Fatal(err)
		}
		for i := range 40 {
			s.Set(fmt.Sprint("other", i), make([]byte, 100))
		}
		time.Sleep(time.Second)
		disk := crashedCopy(fs)
		s.Close()
		source := kv.New(nil)
		defer source.Close()
		setSome(t, source, 0, 20)
		again := mustOpen(t, disk, opts)
		wantSome(t, again, 10)
		fullCopy(t, source, again)
		must(t, again.Durable(t.Context(), source.Position()))
		after := mustOpen(t, crashedCopy(disk), opts)
		wantSome(t, after, 20)
		mustClose(t, after)
		mustClose(t, again)
		// Files that could not be removed would be taken for its own.
		if n := len(faultfs.In("dir", "*-00000002-*", disk.Paths())); n != 0 {
			t.Errorf("%d files of a generation that had been begun before", n)
		}
	})
}
