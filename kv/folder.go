package kv

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/emberkv/ember/internal/disk"
	"github.com/emberkv/ember/rdb"
)

// The names in a store's folder. See part 7 of rdb/FORMAT.md.
const (
	lockName     = "lock"
	stopName     = "stopped"
	snapshotName = "snapshot-%08x-%08x.rdb"
	segmentName  = "journal-%08x-%08x.log"
	tempSuffix   = ".tmp"
)

// maxStopBytes bounds what is read of a marker.
const maxStopBytes = 1 << 10

// A folder is where a store is kept.
type folder struct {
	fs   disk.FS
	path string
	lock io.Closer
}

// A storedFile is a snapshot or a segment in a folder.
type storedFile struct {
	rdb.Segment
	name string
	size int64
	made time.Time
}

// stored is what a folder has, each kind in ascending order.
type stored struct {
	snapshots, segments []storedFile
	temps               []string
}

// openFolder makes a folder, if it is not there, and locks it.
func openFolder(fs disk.FS, path string) (*folder, error) {
	if err := fs.MakeDir(path); err != nil {
		return nil, fmt.Errorf("kv: open folder: %w", err)
	}
	lock, err := fs.Lock(filepath.Join(path, lockName))
	if errors.Is(err, disk.ErrLocked) {
		return nil, fmt.Errorf("%w: %s", ErrLocked, path)
	}
	if err != nil {
		return nil, fmt.Errorf("kv: open folder: %w", err)
	}
	return &folder{fs: fs, path: path, lock: lock}, nil
}

func (f *folder) join(name string) string { return filepath.Join(f.path, name) }

func snapshotFile(s rdb.Segment) string { return fmt.Sprintf(snapshotName, s.Generation, s.Sequence) }
func segmentFile(s rdb.Segment) string  { return fmt.Sprintf(segmentName, s.Generation, s.Sequence) }

// list returns what the folder has. It passes by what has other names.
func (f *folder) list() (stored, error) {
	files, err := f.fs.List(f.path)
	if err != nil {
		return stored{}, err
	}
	var s stored
	for _, info := range files {
		file := storedFile{name: info.Name, size: info.Size, made: info.ModTime}
		switch {
		case strings.HasSuffix(info.Name, tempSuffix):
			s.temps = append(s.temps, info.Name)
		case file.parse(snapshotName):
			s.snapshots = append(s.snapshots, file)
		case file.parse(segmentName):
			s.segments = append(s.segments, file)
		}
	}
	slices.SortFunc(s.snapshots, storedFile.compare)
	slices.SortFunc(s.segments, storedFile.compare)
	return s, nil
}

// parse reads the file's name by a pattern and reports whether it is one of it.
func (s *storedFile) parse(pattern string) bool {
	_, err := fmt.Sscanf(s.name, pattern, &s.Generation, &s.Sequence)
	return err == nil && fmt.Sprintf(pattern, s.Generation, s.Sequence) == s.name
}

func (s storedFile) compare(o storedFile) int {
	return cmp.Or(cmp.Compare(s.Generation, o.Generation), cmp.Compare(s.Sequence, o.Sequence))
}

// openSegment opens a segment and reads its header.
func (f *folder) openSegment(s storedFile) (*rdb.SegmentReader, io.ReadCloser, error) {
	path := f.join(s.name)
	file, err := f.fs.Open(path)
	if err != nil {
		return nil, nil, err
	}
	sr, err := rdb.NewSegmentReader(file, s.Segment)
	if err != nil {
		file.Close()
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	return sr, file, nil
}

// stop returns the marker of a clean stop; false when there is none.
func (f *folder) stop() (s rdb.Stop, ok bool, err error) {
	in, err := f.fs.Open(f.join(stopName))
	if errors.Is(err, iofs.ErrNotExist) {
		return s, false, nil
	}
	if err != nil {
		return s, false, err
	}
	defer in.Close()
	b, err := io.ReadAll(io.LimitReader(in, maxStopBytes))
	if err != nil {
		return s, false, err
	}
	if s, err = rdb.ParseStop(b); err != nil {
		if errors.Is(err, rdb.ErrVersion) {
			return s, false, err
		}
		return s, false, &CorruptError{File: f.join(stopName), Err: err}
	}
	return s, true, nil
}

// writeStop writes the marker.
func (f *folder) writeStop(s rdb.Stop) error {
	return disk.WriteFile(f.fs, f.join(stopName), func(w io.Writer) error {
		_, err := w.Write(rdb.AppendStop(nil, s))
		return err
	})
}

// removeStop removes the marker for good: it returns nil when no crash brings it back.
func (f *folder) removeStop() error {
	if err := f.fs.Remove(f.join(stopName)); err != nil && !errors.Is(err, iofs.ErrNotExist) {
		return err
	}
	return f.fs.SyncDir(f.path)
}

// remove removes files that nothing needs. What cannot be removed now is removed by the
// next Open.
func (f *folder) remove(names ...string) {
	for _, name := range names {
		_ = f.fs.Remove(f.join(name))
	}
}

// close lets go of the folder.
func (f *folder) close() error { return f.lock.Close() }
