package kv_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/internal/faultfs"
	"github.com/emberkv/ember/kv"
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
	fs := faultfs.New()
	s := mustOpen(t, fs, always())
	defer s.Close()
	setSome(t, s, 0, 300)
	for range 50 {
		source := kv.New(nil)
		setSome(t, source, 0, 10)
		fullCopy(t, source, s)
		if pos := s.Synced(); pos.Offset > s.Position().Offset {
			t.Fatalf("synced up to %s, the log ends at %s", pos, s.Position())
		}
		if err := s.Durable(t.Context(), source.Position()); err != nil {
			t.Fatal(err)
		}
		after := mustOpen(t, fs.Crashed(faultfs.Nothing()), always())
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
	for _, policy := range []kv.Fsync{kv.FsyncAlways, kv.FsyncEverySecond, kv.FsyncNever} {
		synctest.Test(t, func(t *testing.T) {
			fs, opts := faultfs.New(), always()
			opts.Fsync = policy
			s := mustOpen(t, fs, opts)
			setSome(t, s, 0, 10)
			if err := s.Durable(t.Context(), s.Position()); err != nil {
				t.Fatal(err)
			}
			at := s.Log().Fork(backlog.NewHistory())
			mustClose(t, s)
			for _, keep := range []faultfs.Keep{faultfs.Everything(), faultfs.Nothing()} {
				after := mustOpen(t, fs.Crashed(keep), opts)
				if r := after.Recovered(); !r.Clean || r.Position != at {
					t.Errorf("%v: closed at %s, recovered %+v", policy, at, r)
				}
				mustClose(t, after)
			}
		})
	}
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
