// Package faultfs is a file system in memory that keeps apart what is synced and what is
// not, and that fails and crashes as a test wants it. It is for the tests of what is kept
// on disk.
//
//	disk := faultfs.New()
//	disk.CrashAfter(1234)        // bytes and operations
//	err := write(disk, "folder") // fails with ErrCrashed from there on
//	after := disk.Crashed(faultfs.Some(rng))
//	state := read(after, "folder")
//
// A crash keeps what was synced: of a file its bytes up to the last [disk.File.Sync], of a
// folder its names as of the last SyncDir. Of the rest it keeps what [Keep] says, byte by
// byte and name by name; what is not kept of a file is cut off, or zeros.
//
// A Sync that fails is final, as on Linux: the bytes that it was to make durable read well
// until the crash, and are never durable, whatever later calls return.
package faultfs

import (
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"maps"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/emberkv/ember/internal/disk"
)

// ErrCrashed is returned by every operation after the crash.
var ErrCrashed = errors.New("faultfs: crashed")

// An FS is a file system in memory. All methods may be called concurrently.
type FS struct {
	mu struct {
		sync.Mutex
		names   map[string]*inode // as they are now
		durable map[string]*inode // as they are after a crash that keeps nothing else
		pending []change          // to the names, since
		locks   map[string]bool
		temps   int
		plan    plan
		crashed bool
		open    int // files

		recording *Recording // nil when there is none
	}
}

// An inode is a file's contents. It is guarded by the file system's mutex.
type inode struct {
	data    []byte
	durable int    // bytes from the front that a crash keeps
	lost    []span // of those behind, what no sync will keep any more
	made    time.Time
}

type span struct{ from, to int }

// A change is what one operation has done to the names: of a rename, both.
type change struct {
	removed string
	added   string
	file    *inode
}

// New returns an empty file system.
func New() *FS {
	f := &FS{}
	f.mu.names, f.mu.durable = make(map[string]*inode), make(map[string]*inode)
	f.mu.locks = make(map[string]bool)
	return f
}

var _ disk.FS = (*FS)(nil)

func notExist(op, path string) error {
	return &iofs.PathError{Op: op, Path: path, Err: iofs.ErrNotExist}
}

// Create implements [disk.Files].
func (f *FS) Create(dir, pattern string) (disk.File, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.stepLocked(Create); err != nil {
		return nil, err
	}
	before, after, _ := strings.Cut(pattern, "*")
	path := filepath.Join(dir, pattern)
	if strings.Contains(pattern, "*") {
		f.mu.temps++
		path = filepath.Join(dir, fmt.Sprintf("%s%d%s", before, f.mu.temps, after))
	}
	if f.mu.names[path] != nil {
		return nil, &iofs.PathError{Op: "create", Path: path, Err: iofs.ErrExist}
	}
	n := &inode{made: time.Now()}
	f.mu.names[path] = n
	f.mu.pending = append(f.mu.pending, change{added: path, file: n})
	f.mu.open++
	f.noteLocked(event{op: Create, path: path, inode: n})
	return &file{fs: f, inode: n, name: path}, nil
}

// Rename implements [disk.Files].
func (f *FS) Rename(from, to string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.stepLocked(Rename); err != nil {
		return err
	}
	n := f.mu.names[from]
	if n == nil {
		return notExist("rename", from)
	}
	delete(f.mu.names, from)
	f.mu.names[to] = n
	f.mu.pending = append(f.mu.pending, change{removed: from, added: to, file: n})
	f.noteLocked(event{op: Rename, path: from, to: to})
	return nil
}

// Remove implements [disk.Files].
func (f *FS) Remove(path string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.stepLocked(Remove); err != nil {
		return err
	}
	if f.mu.names[path] == nil {
		return notExist("remove", path)
	}
	delete(f.mu.names, path)
	f.mu.pending = append(f.mu.pending, change{removed: path})
	f.noteLocked(event{op: Remove, path: path})
	return nil
}

// SyncDir implements [disk.Files].
func (f *FS) SyncDir(string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.stepLocked(SyncDir); err != nil {
		return err
	}
	if f.mu.plan.ignores[SyncDir] {
		return nil
	}
	f.syncNamesLocked()
	f.noteLocked(event{op: SyncDir})
	return nil
}

func (f *FS) syncNamesLocked() {
	f.mu.durable = maps.Clone(f.mu.names)
	f.mu.pending = nil
}

// MakeDir implements [disk.FS]. Every folder is there.
func (f *FS) MakeDir(string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.stepLocked(Create)
}

// List implements [disk.FS].
func (f *FS) List(dir string) (files []disk.Info, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.stepLocked(Read); err != nil {
		return nil, err
	}
	for path, n := range f.mu.names {
		if filepath.Dir(path) == filepath.Clean(dir) {
			files = append(files, disk.Info{Name: filepath.Base(path), Size: int64(len(n.data)), ModTime: n.made})
		}
	}
	return files, nil
}

// Open implements [disk.FS].
func (f *FS) Open(path string) (disk.ReadFile, error) {
	f.sleep(Read)
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.stepLocked(Read); err != nil {
		return nil, err
	}
	n := f.mu.names[path]
	if n == nil {
		return nil, notExist("open", path)
	}
	f.mu.open++
	return &file{fs: f, inode: n, name: path}, nil
}

// Lock implements [disk.FS].
func (f *FS) Lock(path string) (io.Closer, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.mu.locks[path] {
		return nil, disk.ErrLocked
	}
	f.mu.locks[path] = true
	return &held{f, path}, nil
}

type held struct {
	fs   *FS
	path string
}

func (h *held) Close() error {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	delete(h.fs.mu.locks, h.path)
	return nil
}
