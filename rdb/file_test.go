package rdb_test

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/emberkv/ember/rdb"
)

// writing returns a callback that writes text.
func writing(text string) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := io.WriteString(w, text)
		return err
	}
}

// wantFolder checks that dir holds exactly the file "snapshot" with the text, or
// nothing if text is empty.
func wantFolder(t testing.TB, dir, text string) {
	t.Helper()
	names, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if text == "" && len(names) == 0 {
		return
	}
	if len(names) != 1 || names[0].Name() != "snapshot" {
		t.Fatalf("folder holds %v", names)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "snapshot")); err != nil || string(b) != text {
		t.Fatalf("file holds %q, %v, want %q", b, err, text)
	}
}

func TestWriteFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "snapshot")
	for _, text := range []string{"first", "second, longer", "3"} {
		if err := rdb.WriteFile(path, writing(text)); err != nil {
			t.Fatal(err)
		}
		wantFolder(t, dir, text)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if os.PathSeparator == '/' && info.Mode() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
}

func TestWriteFileShowsOnlyAWriter(t *testing.T) {
	err := rdb.WriteFile(filepath.Join(t.TempDir(), "snapshot"), func(w io.Writer) error {
		if _, ok := w.(io.Closer); ok {
			t.Error("the callback can close the file")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A failing callback leaves the old file and nothing else.
func TestWriteFileCallbackFails(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "snapshot")
	broken := errors.New("broken state")
	failing := func(w io.Writer) error {
		io.WriteString(w, "half")
		return broken
	}
	if err := rdb.WriteFile(path, failing); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	wantFolder(t, dir, "")
	if err := rdb.WriteFile(path, writing("old")); err != nil {
		t.Fatal(err)
	}
	if err := rdb.WriteFile(path, failing); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	wantFolder(t, dir, "old")

	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic was swallowed")
			}
		}()
		rdb.WriteFile(path, func(w io.Writer) error { panic("broken program") })
	}()
	wantFolder(t, dir, "old")
}

func TestWriteFileUnusablePlaces(t *testing.T) {
	dir := t.TempDir()
	missing := filepath.Join(dir, "missing", "snapshot")
	if err := rdb.WriteFile(missing, writing("x")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing folder: %v", err)
	}
	if err := rdb.OSDisk.SyncDir(filepath.Dir(missing)); !errors.Is(err, fs.ErrNotExist) && runtime.GOOS != "windows" {
		t.Errorf("sync of a missing folder: %v", err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := rdb.WriteFile(filepath.Join(file, "snapshot"), writing("x")); err == nil {
		t.Error("a file as the folder: no error")
	}
	// A folder that is in the way cannot be renamed over, not even by root.
	sub := filepath.Join(dir, "sub")
	if err := os.Mkdir(sub, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := rdb.WriteFile(sub, writing("x")); err == nil {
		t.Error("a folder in the way: no error")
	}
	if names, _ := filepath.Glob(filepath.Join(dir, "*.tmp")); names != nil {
		t.Errorf("left behind: %v", names)
	}
	if os.Geteuid() <= 0 {
		return // root may write everywhere; -1 is Windows, where modes mean little
	}
	if err := os.Chmod(sub, 0o500); err != nil {
		t.Fatal(err)
	}
	if err := rdb.WriteFile(filepath.Join(sub, "snapshot"), writing("x")); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("unwritable folder: %v", err)
	}
}

// A faultyDisk is the real one, except that its n-th step fails. It records the
// steps.
type faultyDisk struct {
	rdb.Disk
	steps   []string
	failing int
	err     error
}

func (d *faultyDisk) step(name string) error {
	d.steps = append(d.steps, name)
	if len(d.steps) == d.failing {
		return d.err
	}
	return nil
}

func (d *faultyDisk) Create(dir, pattern string) (rdb.DiskFile, error) {
	if err := d.step("create"); err != nil {
		return nil, err
	}
	f, err := d.Disk.Create(dir, pattern)
	return &faultyFile{f, d}, err
}

func (d *faultyDisk) Rename(from, to string) error {
	if err := d.step("rename"); err != nil {
		return err
	}
	return d.Disk.Rename(from, to)
}

func (d *faultyDisk) SyncDir(dir string) error {
	if err := d.step("sync folder"); err != nil {
		return err
	}
	return d.Disk.SyncDir(dir)
}

type faultyFile struct {
	rdb.DiskFile
	disk *faultyDisk
}

func (f *faultyFile) Write(b []byte) (int, error) {
	if err := f.disk.step("write"); err != nil {
		n, _ := f.DiskFile.Write(b[:len(b)/2])
		return n, err
	}
	return f.DiskFile.Write(b)
}

func (f *faultyFile) Sync() error {
	if err := f.disk.step("sync"); err != nil {
		return err
	}
	return f.DiskFile.Sync()
}

func (f *faultyFile) Close() error {
	err := f.DiskFile.Close()
	return errors.Join(f.disk.step("close"), err)
}

// Each step fails in turn: the error arrives, the old snapshot stays, and no
// other file does.
func TestWriteFileEveryStepFails(t *testing.T) {
	s := newSample(40, 2, 100, 300)
	whole := &faultyDisk{Disk: rdb.OSDisk}
	if err := rdb.WriteFileOn(whole, filepath.Join(t.TempDir(), "snapshot"), s.writeTo); err != nil {
		t.Fatal(err)
	}
	order := strings.Join(slices.Compact(slices.Clone(whole.steps)), ", ")
	if want := "create, write, sync, close, rename, sync folder"; order != want {
		t.Fatalf("steps are %s, want %s", order, want)
	}
	for n := 1; n <= len(whole.steps); n++ {
		dir := t.TempDir()
		path := filepath.Join(dir, "snapshot")
		if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
			t.Fatal(err)
		}
		d := &faultyDisk{Disk: rdb.OSDisk, failing: n, err: syscall.ENOSPC}
		if err := rdb.WriteFileOn(d, path, s.writeTo); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("step %d, %s: got %v", n, whole.steps[n-1], err)
		}
		if whole.steps[n-1] == "sync folder" {
			wantFolder(t, dir, string(s.written(t))) // it was renamed already
			continue
		}
		wantFolder(t, dir, "old")
	}
}

// stuckDisk cannot remove, so a failure has two reasons.
type stuckDisk struct{ faultyDisk }

func (d *stuckDisk) Remove(string) error { return fs.ErrPermission }

func TestWriteFileCannotCleanUp(t *testing.T) {
	d := &stuckDisk{faultyDisk{Disk: rdb.OSDisk, failing: 3, err: syscall.EIO}}
	err := rdb.WriteFileOn(d, filepath.Join(t.TempDir(), "snapshot"), writing("x"))
	if !errors.Is(err, syscall.EIO) || !errors.Is(err, fs.ErrPermission) {
		t.Errorf("got %v, want both reasons", err)
	}
}
