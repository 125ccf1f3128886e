package sentinel

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"

	"github.com/emberkv/ember/internal/disk"
)

// A Store keeps what a sentinel must not forget: its id, its vote, and what it knows of the
// group. One store is for one sentinel at a time. Its methods are called by one goroutine.
type Store interface {
	// Load returns what was last saved, or nil if nothing was. The caller owns it.
	Load() ([]byte, error)

	// Save returns nil when state is kept, whatever happens to the process and the
	// machine; afterwards state is the caller's. After an error the sentinel gives no
	// vote, goes on, and tries again. Before the first success it grants no lease,
	// either. Save should take milliseconds: the sentinel waits for it.
	Save(state []byte) error
}

// ErrState is returned by [New], as a [*StateError], for a state that is damaged, or
// another sentinel's.
var ErrState = errors.New("sentinel: unusable state")

// A StateError says why a state cannot be used. A sentinel does not start without its
// vote: remove the state only if it has not been running for as long as an election lasts.
type StateError struct {
	File   string // where it is, if the Store has a method Path, as a [FileStore] has; or empty
	Reason string
}

func (e *StateError) Error() string {
	if e.File == "" {
		return ErrState.Error() + ": " + e.Reason
	}
	return ErrState.Error() + " in " + e.File + ": " + e.Reason
}

// Unwrap returns [ErrState].
func (e *StateError) Unwrap() error { return ErrState }

// maxSavedBytes bounds a saved state: all nodes and peers with the longest addresses.
const maxSavedBytes = 1 << 20

// A MemoryStore is a Store that lasts as long as the program. A sentinel that is restarted
// without what it saved may vote twice in an epoch, and so let two masters be promoted in
// one: a MemoryStore is for tests, and for programs that keep it beyond the sentinel. The
// zero MemoryStore is ready for use.
type MemoryStore struct {
	mu struct {
		sync.Mutex
		state []byte
	}
}

// Load implements [Store].
func (m *MemoryStore) Load() ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]byte(nil), m.mu.state...), nil
}

// Save implements [Store].
func (m *MemoryStore) Save(state []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mu.state = append([]byte(nil), state...)
	return nil
}

// A FileStore is a Store in a file, which is replaced whole, and so that it survives a
// power failure. The sentinel's id is in it, so a copy is no state for another sentinel: both would
// vote in one epoch.
type FileStore struct {
	fs     disk.FS
	path   string
	unlock func() error // the first call does it, and all return what came of that
}

// OpenFileStore returns the store in the file at path; neither that nor its folder
// need exist. A lock, path.lock, keeps others out, until Close or the end of the
// process: it returns an error if another sentinel has it.
func OpenFileStore(path string) (*FileStore, error) { return openFileStore(disk.System{}, path) }

func openFileStore(files disk.FS, path string) (*FileStore, error) {
	f := &FileStore{fs: files, path: filepath.Clean(path)}
	dir := filepath.Dir(f.path)
	if err := files.MakeDir(dir); err != nil {
		return nil, fmt.Errorf("sentinel: store: %w", err)
	}
	// Or a power failure takes a folder that is new, with all votes in it. A folder above
	// that may not be read is an old one.
	if err := files.SyncDir(filepath.Dir(dir)); err != nil && !errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("sentinel: store: %w", err)
	}
	lock, err := files.Lock(f.path + ".lock")
	if err != nil {
		return nil, fmt.Errorf("sentinel: store: %w", err)
	}
	f.unlock = sync.OnceValue(lock.Close)
	if err := f.sweep(); err != nil {
		lock.Close()
		return nil, fmt.Errorf("sentinel: store: %w", err)
	}
	return f, nil
}

// sweep removes the files of saves that a crash cut short.
func (f *FileStore) sweep() error {
	dir, base := filepath.Split(f.path)
	files, err := f.fs.List(filepath.Clean(dir))
	if err != nil {
		return err
	}
	for _, file := range files {
		if strings.HasPrefix(file.Name, base+".") && strings.HasSuffix(file.Name, ".tmp") {
			if err := f.fs.Remove(filepath.Join(dir, file.Name)); err != nil {
				return err
			}
		}
	}
	return nil
}

// Path returns where the state is: what OpenFileStore was given, cleaned.
func (f *FileStore) Path() string { return f.path }

// Load implements [Store].
func (f *FileStore) Load() ([]byte, error) {
	r, err := f.fs.Open(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("sentinel: store: %w", err)
	}
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, maxSavedBytes+1))
	if err != nil {
		return nil, fmt.Errorf("sentinel: store: %w", err)
	}
	return b, nil
}

// Save implements [Store].
func (f *FileStore) Save(state []byte) error {
	err := disk.WriteFile(f.fs, f.path, func(w io.Writer) error {
		_, err := w.Write(state)
		return err
	})
	if err != nil {
		return fmt.Errorf("sentinel: store: %w", err)
	}
	return nil
}

// Close lets go of the file, and returns what the system returned. It must not be called
// before the sentinel is closed, and may be called more than once.
func (f *FileStore) Close() error { return f.unlock() }
