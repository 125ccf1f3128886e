package disk

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// System is the operating system's file system. Its files are readable and writable for
// their owner only.
type System struct{}

// Create implements [Files].
func (System) Create(dir, pattern string) (File, error) {
	var f *os.File
	var err error
	if strings.Contains(pattern, "*") {
		f, err = os.CreateTemp(dir, pattern) // O_EXCL
	} else {
		f, err = os.OpenFile(filepath.Join(dir, pattern), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	}
	if err != nil {
		return nil, err // not a non-nil interface around a nil *os.File
	}
	return f, nil
}

// Rename implements [Files].
func (System) Rename(from, to string) error { return os.Rename(from, to) }

// Remove implements [Files].
func (System) Remove(path string) error { return os.Remove(path) }

// SyncDir implements [Files].
func (System) SyncDir(dir string) error { return syncDir(dir) }

// MakeDir implements [FS].
func (System) MakeDir(dir string) error { return os.MkdirAll(dir, 0o700) }

// Open implements [FS].
func (System) Open(path string) (ReadFile, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	return readFile{f}, nil
}

// A readFile is an [os.File] that can be synced though it was opened for reading.
type readFile struct{ *os.File }

func (f readFile) Sync() error { return syncRead(f.File) }

// List implements [FS].
func (System) List(dir string) ([]Info, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var files []Info
	for _, e := range entries {
		if !e.Type().IsRegular() {
			continue
		}
		info, err := e.Info()
		if errors.Is(err, os.ErrNotExist) {
			continue // removed, or renamed, meanwhile
		}
		if err != nil {
			return nil, err
		}
		files = append(files, Info{e.Name(), info.Size(), info.ModTime()})
	}
	return files, nil
}

// Lock implements [FS].
func (System) Lock(path string) (io.Closer, error) {
	l, err := lock(path)
	switch {
	case err == nil:
		return l, nil
	case errors.As(err, new(*os.PathError)):
		return nil, err // which says so
	}
	return nil, fmt.Errorf("lock %s: %w", path, err)
}
