package kv_test

import (
	"errors"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/emberkv/ember/internal/faultfs"
	"github.com/emberkv/ember/kv"
)

// savedTwice returns a store of 200 keys, of which the older one of its snapshots has 100, and
// the newest all.
func savedTwice(t *testing.T, fs *faultfs.FS) *kv.Store {
	t.Helper()
	s := mustOpen(t, fs, always())
	for _, n := range []int{0, 100} {
		setSome(t, s, n, n+100)
		_, err := s.Save(t.Context())
		must(t, err)
	}
	synctest.Wait() // until the journal says that all is synced
	return s
}

// snapshotsOf returns the paths of the snapshots that savedTwice has made, the newest last.
func snapshotsOf(t *testing.T, fs *faultfs.FS) []string {
	t.Helper()
	paths := faultfs.In("dir", "snapshot-*", fs.Paths())
	if len(paths) != 2 {
		t.Fatalf("snapshots %q, want two", paths)
	}
	return paths
}

// TestNewestSnapshotIsDamaged: the one before takes its place, wherever the damage is found
// while the journal is read.
func TestNewestSnapshotIsDamaged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := faultfs.New()
		s := savedTwice(t, fs)
		setSome(t, s, 200, 300)
		mustClose(t, s)
		newest := snapshotsOf(t, fs)[1]
		n := len(fs.Contents(newest))
		for _, at := range []int{n / 4, n / 2, n - 3} {
			disk := fs.Clone()
			disk.FlipBit(newest, 8*at)
			again := mustOpen(t, disk, always())
			wantSome(t, again, 300)
			if r := again.Recovered(); !slices.Equal(r.Damaged, []string{newest}) || !r.Clean || r.Records != 200 {
				t.Errorf("byte %d of %d: recovered %+v", at, n, r)
			}
			mustClose(t, again)
			if open := disk.OpenFiles(); open != 0 {
				t.Errorf("byte %d of %d: %d files are left open", at, n, open)
			}
		}
	})
}

// TestTornTailCountsOnce, however many snapshots the journal is read for.
func TestTornTailCountsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := faultfs.New()
		s := savedTwice(t, fs)
		defer s.Close()
		segments := faultfs.In("dir", "journal-*", fs.Paths())
		last := segments[len(segments)-1]
		whole := len(fs.Contents(last))
		setSome(t, s, 200, 201)
		for _, damaged := range []bool{false, true} {
			const torn = 5 // bytes of a frame that is longer
			disk := crashedCopy(fs)
			disk.Truncate(last, whole+torn)
			if newest := snapshotsOf(t, fs)[1]; damaged {
				disk.FlipBit(newest, 8*len(fs.Contents(newest))/2)
			}
			again := mustOpen(t, disk, always())
			wantSome(t, again, 200)
			if r := again.Recovered(); r.Torn != torn || (len(r.Damaged) == 1) != damaged {
				t.Errorf("damaged: %t: recovered %+v", damaged, r)
			}
			mustClose(t, again)
		}
	})
}

// TestNothingIsSyncedForDamagedSnapshots: a sync that fails is told once, so the journal of a
// store that was not closed is synced for the snapshot that is good. With none the store is
// refused for what is damaged, on a disk that fails, too.
func TestNothingIsSyncedForDamagedSnapshots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := faultfs.New()
		s := savedTwice(t, fs)
		defer s.Close()
		snapshots := snapshotsOf(t, fs)
		for damaged := range 3 {
			disk := crashedCopy(fs)
			for _, path := range snapshots[2-damaged:] {
				disk.FlipBit(path, 8*len(fs.Contents(path))/2)
			}
			disk.Fail(faultfs.Sync, syscall.EIO)
			_, err := kv.OpenOn(disk, "dir", always())
			var c *kv.CorruptError
			none := damaged == len(snapshots)
			if errors.Is(err, syscall.EIO) == none || errors.As(err, &c) != none || none && c.File != snapshots[1] {
				t.Errorf("%d are damaged: %v", damaged, err)
			}
			want := 2 // the folder is made, and a segment synced
			if none {
				want = 1
			}
			if n := disk.Count(); n != want {
				t.Errorf("%d are damaged: %d operations, want %d", damaged, n, want)
			}
			if open := disk.OpenFiles(); open != 0 {
				t.Errorf("%d are damaged: %d files are left open", damaged, open)
			}
		}
	})
}
