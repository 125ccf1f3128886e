package disk

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
)

// syncEveryBytes is how much of a large file is written before it is synced, so that a sync
// at its end does not hold up for minutes whoever else writes to the disk, and nobody takes
// the disk for a dead one.
const syncEveryBytes = 32 << 20

// WriteFile makes write's output the contents of the file at path, whole or not at all: it
// writes a temporary file in the same folder, path.*.tmp, syncs and closes it, renames it
// to path and syncs the folder. When it returns nil, the new contents are there after a
// power failure too. When it returns an error the old file is as it was; except that if
// only the last step failed the new one stands at path, and may be gone after a power
// failure. The temporary file is removed when it fails, or write panics.
func WriteFile(fs Files, path string, write func(io.Writer) error) (err error) {
	dir := filepath.Dir(path)
	f, err := fs.Create(dir, filepath.Base(path)+".*.tmp")
	if err != nil {
		return fmt.Errorf("write file: %w", err)
	}
	renamed := false
	defer func() { // also runs when write panics
		if renamed {
			return
		}
		if rerr := fs.Remove(f.Name()); rerr != nil {
			err = errors.Join(err, fmt.Errorf("remove temporary file: %w", rerr))
		}
	}()
	if err := fill(f, write); err != nil {
		return fmt.Errorf("write file: %w", err)
	}
	if err := fs.Rename(f.Name(), path); err != nil {
		return fmt.Errorf("write file: %w", err)
	}
	renamed = true
	// Without this the name may still lead to the old file after a power
	// failure, or, where there was none, nowhere.
	if err := fs.SyncDir(dir); err != nil {
		return fmt.Errorf("sync folder: %w", err)
	}
	return nil
}

// fill writes, syncs and closes f; it closes f in every case.
func fill(f File, write func(io.Writer) error) (err error) {
	defer func() {
		// Some file systems report a failed write only here. An earlier error
		// says more, and a second one about the same disk nothing new.
		if cerr := f.Close(); err == nil {
			err = cerr
		}
	}()
	// The writer shows nothing but Write: if it could close the file, or seek
	// in it, could make what is synced differ from what was written.
	if err := write(&steadyWriter{f: f}); err != nil {
		return err
	}
	// A failed sync is final. The kernel may have dropped the dirty pages, and
	// would then report success to a second attempt.
	return f.Sync()
}

// A steadyWriter syncs what it has written each time that it is much.
type steadyWriter struct {
	f        File
	unsynced int
}

func (w *steadyWriter) Write(b []byte) (int, error) {
	n, err := w.f.Write(b)
	if w.unsynced += n; err == nil && w.unsynced >= syncEveryBytes {
		w.unsynced = 0
		err = w.f.Sync()
	}
	return n, err
}
