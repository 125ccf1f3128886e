package rdb

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// WriteFile makes write's output the contents of the file at path, whole or not
// at all: it writes a temporary file in the same folder, syncs and closes it,
// renames it to path and syncs the folder. When WriteFile returns nil, the new
// contents are there after a power failure too. When it returns an error, the
// old file is as it was; except that if only the last step failed, the new
// one stands at path but may be gone after a power failure, and then the old one
// is back.
//
// The file is readable and writable for its owner only, whatever the old one
// was. A symbolic link at path is replaced, not followed. Two calls for one path
// may run at once; the later rename wins.
//
// The temporary file is removed when WriteFile fails, and also when write
// panics. A process that is killed leaves it behind, as path.*.tmp; it is safe
// to remove when no WriteFile for path is running.
//
// The error wraps what write returned, or the [*os.PathError] or [*os.LinkError]
// of the step that failed, so that for example errors.Is(err, syscall.ENOSPC)
// works.
func WriteFile(path string, write func(io.Writer) error) error {
	return writeFile(osDisk{}, path, write)
}

// A disk is what writeFile needs of a file system. The tests put one in its
// place on which each step fails in turn.
type disk interface {
	Create(dir, pattern string) (diskFile, error) // exclusively, under a new name
	Rename(from, to string) error
	Remove(path string) error
	SyncDir(dir string) error
}

type diskFile interface {
	io.Writer
	Name() string
	Sync() error
	Close() error
}

type osDisk struct{}

func (osDisk) Create(dir, pattern string) (diskFile, error) {
	f, err := os.CreateTemp(dir, pattern) // O_EXCL
	if err != nil {
		return nil, err // not a non-nil interface around a nil *os.File
	}
	return f, nil
}

func (osDisk) Rename(from, to string) error { return os.Rename(from, to) }
func (osDisk) Remove(path string) error     { return os.Remove(path) }
func (osDisk) SyncDir(dir string) error     { return syncDir(dir) }

func writeFile(d disk, path string, write func(io.Writer) error) (err error) {
	dir := filepath.Dir(path)
	f, err := d.Create(dir, filepath.Base(path)+".*.tmp")
	if err != nil {
		return fmt.Errorf("rdb: write file: %w", err)
	}
	renamed := false
	defer func() { // also runs when write panics
		if renamed {
			return
		}
		if rerr := d.Remove(f.Name()); rerr != nil {
			err = errors.Join(err, fmt.Errorf("rdb: remove temporary file: %w", rerr))
		}
	}()
	if err := fill(f, write); err != nil {
		return fmt.Errorf("rdb: write file: %w", err)
	}
	if err := d.Rename(f.Name(), path); err != nil {
		return fmt.Errorf("rdb: write file: %w", err)
	}
	renamed = true
	// Without this the name may still lead to the old file after a power
	// failure, or, where there was none, nowhere.
	if err := d.SyncDir(dir); err != nil {
		return fmt.Errorf("rdb: sync folder: %w", err)
	}
	return nil
}

// fill writes, syncs and closes f; it closes f in every case.
func fill(f diskFile, write func(io.Writer) error) (err error) {
	defer func() {
		// Some file systems report a failed write only here. An earlier error
		// says more, and a second one about the same disk nothing new.
		if cerr := f.Close(); err == nil {
			err = cerr
		}
	}()
	// The writer shows nothing but Write: who could close the file, or seek in
	// it, could make what is synced differ from what was written.
	if err := write(struct{ io.Writer }{f}); err != nil {
		return err
	}
	// A failed sync is final. The kernel may have dropped the dirty pages, and
	// would then report success to a second attempt.
	return f.Sync()
}
