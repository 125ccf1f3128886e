package faultfs_test

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"syscall"
	"testing"

	"github.com/emberkv/ember/internal/disk"
	"github.com/emberkv/ember/internal/faultfs"
)

func create(t *testing.T, fs *faultfs.FS, name string) disk.File {
	t.Helper()
	f, err := fs.Create("dir", name)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// A crash keeps what was synced, names and bytes apart, and of the rest what it is told.
func TestCrash(t *testing.T) {
	fs := faultfs.New()
	f := create(t, fs, "a")
	io.WriteString(f, "synced")
	f.Sync()
	if c := fs.Crashed(faultfs.Nothing()); len(c.Paths()) != 0 {
		t.Errorf("a name that was not synced: %v", c.Paths())
	}
	fs.SyncDir("dir")
	io.WriteString(f, ", not")
	for want, keep := range map[string]faultfs.Keep{"synced": faultfs.Nothing(), "synced, not": faultfs.Everything()} {
		if got := fs.Crashed(keep).Contents("dir/a"); string(got) != want {
			t.Errorf("a crash leaves %q, want %q", got, want)
		}
	}
	seen := make(map[string]bool)
	rng := rand.New(rand.NewPCG(1, 1))
	for range 200 {
		seen[string(fs.Crashed(faultfs.Some(rng)).Contents("dir/a"))] = true
	}
	for _, want := range []string{"synced", "synced, ", "synced, not", "synced, n\x00t"} {
		if !seen[want] {
			t.Errorf("no crash leaves %q", want)
		}
	}
}

// What a failed sync was for is lost, whatever a later one says.
func TestFailedSync(t *testing.T) {
	fs := faultfs.New()
	f := create(t, fs, "a")
	fs.SyncDir("dir")
	io.WriteString(f, "12")
	fs.Fail(faultfs.Sync, syscall.EIO)
	if err := f.Sync(); err != syscall.EIO {
		t.Fatal(err)
	}
	fs.Fail(faultfs.Sync, nil)
	io.WriteString(f, "34")
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	if got := string(fs.Contents("dir/a")); got != "1234" {
		t.Errorf("reads %q before the crash", got)
	}
	if got := string(fs.Crashed(faultfs.Everything()).Contents("dir/a")); got != "\x00\x0034" {
		t.Errorf("reads %q after it", got)
	}
}

// Whatever moment it crashes at, a recording has been there, too.
func TestRecordingIsWhatHappened(t *testing.T) {
	write := func(fs *faultfs.FS) {
		for i := range 3 {
			disk.WriteFile(fs, "dir/a", func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "version %d", i)
				return err
			})
		}
	}
	whole := faultfs.New()
	r := whole.Record()
	write(whole)
	states := make(map[string]bool)
	state := func(fs *faultfs.FS) (s string) {
		for _, keep := range []faultfs.Keep{faultfs.Nothing(), faultfs.Everything()} {
			c := fs.Crashed(keep)
			for _, p := range c.Paths() {
				s += fmt.Sprintf("%s=%q ", p, c.Contents(p))
			}
			s += "| "
		}
		return s
	}
	r.Each(func(_ int, fs *faultfs.FS) bool {
		states[state(fs)] = true
		return true
	})
	for n := 1; n <= whole.Spent(); n++ {
		fs := faultfs.New()
		fs.CrashAfter(n)
		write(fs)
		if s := state(fs); !states[s] {
			t.Errorf("after %d: %s", n, s)
		}
		if got := string(fs.Crashed(faultfs.Nothing()).Contents("dir/a")); got != "" && len(got) != len("version 0") {
			t.Errorf("after %d there is half a file: %q", n, got)
		}
	}
}

func TestRoomAndFaults(t *testing.T) {
	fs := faultfs.New()
	f := create(t, fs, "a")
	fs.SetRoom(3)
	if n, err := io.WriteString(f, "12345"); n != 3 || err != syscall.ENOSPC {
		t.Errorf("wrote %d, %v", n, err)
	}
	fs.SetRoom(-1)
	fs.FailAt(2, false, syscall.EIO)
	var got []bool
	for range 3 {
		_, err := io.WriteString(f, "1")
		got = append(got, err == nil)
	}
	if fmt.Sprint(got) != "[true false true]" {
		t.Errorf("succeeded: %v", got)
	}
	l, err := fs.Lock("dir/lock")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fs.Lock("dir/lock"); !errors.Is(err, disk.ErrLocked) {
		t.Errorf("second lock: %v", err)
	}
	l.Close()
}
