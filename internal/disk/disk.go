// Package disk is the little of a file system that the module writes to: files that are
// written once, from front to back, and then read, renamed and removed. It is an interface,
// so that tests put a file system in its place whose faults and crashes they choose
// (package faultfs).
//
// The files: disk.go (what is wanted), file.go (whole files), system.go (the real one),
// lock_*.go, syncdir_*.go and syncread_*.go (what differs between systems).
package disk

import (
	"errors"
	"io"
	"time"
)

// ErrLocked is returned by [FS.Lock] for a lock that another process, or another part of
// this one, holds.
var ErrLocked = errors.New("disk: another has the lock")

// Files is what it takes to write whole files.
type Files interface {
	// Create creates a file that is not there: pattern, with its last * replaced, if it has
	// one, so that it is new.
	Create(dir, pattern string) (File, error)
	Rename(from, to string) error
	Remove(path string) error
	// SyncDir makes the names in a folder durable.
	SyncDir(dir string) error
}

// FS is a file system.
type FS interface {
	Files
	MakeDir(dir string) error // with all above it; nil when it is there
	Open(path string) (ReadFile, error)
	List(dir string) ([]Info, error) // the files, in no particular order
	// Lock takes the lock that the file at path stands for, which it creates. It ends
	// with the process, at the latest.
	Lock(path string) (io.Closer, error)
}

// A File is one that is being written.
type File interface {
	io.Writer
	Name() string
	// Sync makes the file's bytes durable, but not its name. An error is final: the bytes
	// since the last success may be gone, and a later success would not mean them.
	Sync() error
	Close() error
}

// A ReadFile is one that is being read.
type ReadFile interface {
	io.Reader
	io.ReaderAt
	// Sync makes what another process, or an earlier one, has written durable.
	Sync() error
	Close() error
}

// Info describes a file.
type Info struct {
	Name    string // without the folder
	Size    int64
	ModTime time.Time
}
