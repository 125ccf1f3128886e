package kv_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/internal/faultfs"
	"github.com/emberkv/ember/kv"
)

// TestEpochIsOnDisk though nothing is written after it was raised.
func TestEpochIsOnDisk(t *testing.T) {
	eachFsync(t, func(t *testing.T, fs *faultfs.FS, opts *kv.Options) {
		s := mustOpen(t, fs, opts)
		defer s.Close()
		setSome(t, s, 0, 10)
		mustSync(t, s)
		epoch := s.Log().Lineage().Epoch.Next([16]byte{1})
		s.Log().Raise(epoch)
		time.Sleep(2 * time.Second)
		after := mustOpen(t, crashedCopy(fs), opts)
		if got := after.Log().Lineage().Epoch; got != epoch {
			t.Errorf("epoch %s, want %s", got, epoch)
		}
		mustClose(t, after)
	})
}

// TestBadMarker of a clean stop: the store is refused, or, if it is to be repaired, goes on
// like one that was not closed.
func TestBadMarker(t *testing.T) {
	fs, opts := faultfs.New(), always()
	s := mustOpen(t, fs, opts)
	setSome(t, s, 0, 10)
	mustClose(t, s)
	fs.FlipBit("dir/stopped", 100)
	if _, err := kv.OpenOn(fs, "dir", opts); !errors.Is(err, kv.ErrCorrupt) {
		t.Fatalf("a bad marker: %v", err)
	}
	opts.Repair = true
	s = mustOpen(t, fs, opts)
	wantSome(t, s, 10)
	if r := s.Recovered(); r.Clean || !r.Forked || !errors.Is(r.Repaired, kv.ErrCorrupt) {
		t.Errorf("recovered %+v", r)
	} else if text, err := json.Marshal(r); err != nil || !strings.Contains(string(text), `"forked":true`) ||
		!strings.Contains(string(text), fmt.Sprintf(`"repaired":%q`, r.Repaired)) {
		t.Errorf("as JSON %s, %v", text, err)
	}
	mustClose(t, s)
	opts.Repair = false
	mustClose(t, mustOpen(t, fs, opts))
}

// TestBrokenDiskHoldsUpNoFollower of a store that follows: what it was given is known
// elsewhere.
func TestBrokenDiskHoldsUpNoFollower(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := kv.New(nil)
		defer source.Close()
		fs, opts := faultfs.New(), always()
		opts.MaxUnsynced = 10_000
		s := mustOpen(t, fs, opts)
		defer s.Close()
		s.SetFollower(true)
		f := followEmpty(t, source, s)
		r, refusal := s.Log().Continue(s.Log().Lineage(), 0)
		if refusal != backlog.Accepted {
			t.Fatal(refusal)
		}
		r.Bind()
		defer r.Close()
		fs.Fail(faultfs.Write, syscall.EIO)
		for i := range 20 {
			setSome(t, source, 100*i, 100*i+100)
			f.catchUp(t)
			for r.Offset() < source.Position().Offset {
				if b, err := r.Next(math.MaxInt64); err != nil || len(b) == 0 {
					t.Fatalf("given %d bytes at %d of %d, %v", len(b), r.Offset(), source.Position().Offset, err)
				}
			}
			time.Sleep(time.Second)
		}
		fs.Fail(faultfs.Write, nil)
		must(t, s.Durable(t.Context(), source.Position()))
	})
}

// TestReplayedRecordsAreUnsaved: what Open has read from the journal counts for the next
// snapshot.
func TestReplayedRecordsAreUnsaved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs, opts := faultfs.New(), always()
		opts.SavePoints = []kv.SavePoint{{After: time.Minute, Records: 50}}
		s := mustOpen(t, fs, opts)
		setSome(t, s, 0, 49)
		disk := crashedCopy(fs)
		s.Close()
		s = mustOpen(t, disk, opts)
		defer s.Close()
		if n := s.Recovered().Records; n != 49 {
			t.Errorf("%d records were replayed", n)
		}
		time.Sleep(2 * time.Minute)
		if d, _ := s.Disk(); d.Unsaved != 49 {
			t.Errorf("saved too soon: %+v", d)
		}
		setSome(t, s, 49, 50)
		time.Sleep(2 * time.Second)
		if d, _ := s.Disk(); d.Unsaved != 0 || d.Saved != s.Position() || d.Snapshots != 2 {
			t.Errorf("not saved: %+v", d)
		}
	})
}

// TestWriteAfterRestore waits for the snapshot of the new contents, as long as the disk
// takes it, however long that is.
func TestWriteAfterRestore(t *testing.T) {
	// One goroutine encodes then: of several, one waits for the lock of the one that writes,
	// for which no bubble's clock goes on.
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	synctest.Test(t, testWriteAfterRestore)
}

func testWriteAfterRestore(t *testing.T) {
	const keys = 4000
	source := kv.New(nil)
	defer source.Close()
	must(t, newSnapshotMaker(source, 256).load(source)) // shards of less than what is written at once
	for i := range keys {
		must(t, source.Set(diskKey(i), make([]byte, 1000)))
	}
	var file bytes.Buffer
	snap, err := source.Snapshot()
	must(t, err)
	_, err = snap.WriteTo(&file)
	must(t, err)
	snap.Close()
	fs, opts := faultfs.New(), always()
	opts.DiskTimeout = 4 * time.Second
	s := mustOpen(t, fs, opts)
	defer s.Close()
	fs.Delay(faultfs.Write, 16*time.Millisecond) // of which there are 300
	began := time.Now()
	must(t, s.Restore(&file))
	if err := s.Set("k", []byte("v")); err != nil {
		t.Errorf("after %v: %v", time.Since(began), err)
	}
	if time.Since(began) < opts.DiskTimeout {
		t.Errorf("the snapshot took %v: nothing was shown", time.Since(began))
	}
	fs.Delay(faultfs.Write, 0)
	after := mustOpen(t, fs.Crashed(faultfs.Nothing()), opts)
	if v, err := after.Get("k"); err != nil || string(v) != "v" || after.Len() != keys+1 {
		t.Errorf("%d keys, %q, %v", after.Len(), v, err)
	}
	mustClose(t, after)
}

// TestGivenUpSegmentsThatStay, because they could not be removed, are no part of the log, and do
// not keep its window from reaching back to the good ones before them.
func TestGivenUpSegmentsThatStay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs, opts := faultfs.New(), always()
		opts.SegmentBytes = 4 << 10
		s := mustOpen(t, fs, opts)
		setSome(t, s, 0, 400)
		segments := faultfs.In("dir", "journal-*", fs.Paths())
		disk := crashedCopy(fs)
		s.Close()
		disk.FlipBit(segments[len(segments)/2], 8*2000)
		opts.Repair = true
		before := disk.Clone()
		s, err := kv.OpenOn(disk, "dir", opts)
		must(t, err)
		if s.Recovered().Repaired == nil {
			t.Fatal("nothing was given up")
		}
		for _, path := range segments { // what was removed is back
			if disk.Contents(path) == nil {
				f, err := disk.Create("dir", filepath.Base(path))
				must(t, err)
				_, err = f.Write(before.Contents(path))
				must(t, err)
				must(t, f.Sync())
				must(t, f.Close())
			}
		}
		for i := range 400 {
			if err := s.Set(diskKey(i), []byte("other")); err != nil {
				t.Fatal(err)
			}
		}
		_, err = s.Save(t.Context())
		must(t, err)
		whole := logBytes(t, s, 0)
		must(t, s.Close())
		opts.Repair = false
		reached := int64(math.MaxInt64)
		for window := int64(4 << 10); window < 64<<10; window += 2 << 10 {
			opts.LogBytes = window
			again := mustOpen(t, disk.Clone(), opts)
			first := again.Log().Window().First
			if !bytes.Equal(logBytes(t, again, first), whole[first:]) {
				t.Errorf("with a window of %d bytes the log differs from offset %d on", window, first)
			}
			if first > reached {
				t.Errorf("with a window of %d bytes the log begins at offset %d, with 2 KiB less at %d", window, first, reached)
			}
			reached = first
			again.Close()
		}
	})
}

// logBytes returns what a store's log holds from offset first on.
func logBytes(t testing.TB, s *kv.Store, first int64) (b []byte) {
	t.Helper()
	r, err := s.Log().NewReader(first)
	must(t, err)
	for r.Offset() < s.Log().End() {
		records, err := r.Next(math.MaxInt64)
		must(t, err)
		b = append(b, records...)
	}
	return b
}

// TestDiskInfo: what Redis' users look for, of a store that is well, fails, is well again, and of
// one in memory.
func TestDiskInfo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := faultfs.New()
		s := mustOpen(t, fs, always())
		defer s.Close()
		setSome(t, s, 0, 10)
		shows := func(want ...string) {
			t.Helper()
			d, ok := s.Disk()
			info := d.Info()
			for _, line := range want {
				if !ok || !strings.Contains(info, "\r\n"+line+"\r\n") {
					t.Errorf("no line %q in\n%s", line, info)
				}
			}
		}
		saved := time.Now().Unix()
		shows("rdb_changes_since_last_save:10", "rdb_bgsave_in_progress:0", fmt.Sprint("rdb_last_save_time:", saved),
			"aof_enabled:1", "aof_last_write_status:ok", "ember_fsync:always", "ember_disk_synced:"+s.Position().String(),
			"ember_disk_error:", "ember_unsynced_bytes:0")
		time.Sleep(time.Minute)
		fs.Fail(faultfs.Write, errors.New("no\r\nroom"))
		if _, err := s.Save(t.Context()); err == nil {
			t.Error("saved on a disk that takes nothing")
		}
		s.Set("k", nil)
		shows("rdb_last_bgsave_status:err", "aof_last_write_status:err", fmt.Sprint("rdb_last_save_time:", saved))
		if d, _ := s.Disk(); !strings.Contains(d.Info(), "no__room\r\n") || d.Refusing == "" || d.Waiting == 0 {
			t.Errorf("status %+v", d)
		}
		fs.Fail(faultfs.Write, nil)
		mustSync(t, s)
		fs.Delay(faultfs.Sync, 2*time.Second)
		_, err := s.Save(t.Context())
		must(t, err)
		fs.Delay(faultfs.Sync, 0)
		shows("rdb_changes_since_last_save:0", "rdb_last_bgsave_status:ok", "aof_last_write_status:ok",
			fmt.Sprint("rdb_last_save_time:", time.Now().Unix()), "rdb_last_bgsave_time_sec:2")
	})
	m := kv.New(nil)
	defer m.Close()
	if d, ok := m.Disk(); ok || d.Info() != "# Persistence\r\naof_enabled:0\r\n" {
		t.Errorf("in memory: %t, %q", ok, d.Info())
	}
}
