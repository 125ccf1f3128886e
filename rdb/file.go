package rdb

import (
	"fmt"
	"io"

	"github.com/emberkv/ember/internal/disk"
)

// WriteFile makes write's output the contents of the file at path, whole or not
// at all: it writes a temporary file in the same folder, syncs and closes it,
// renames it to path and syncs the folder. When WriteFile returns nil, the new
// contents are there after a power failure too. When it returns an error, the
// old file is as it was; except that if only the last step failed, the new one
// is at path, but a power failure may bring the old one back.
//
// The file is readable and writable for its owner only, whatever the old one
// was. A symbolic link at path is replaced, not followed. Two calls for one path
// may run at once; the later rename wins.
//
// The temporary file is removed when WriteFile fails, and when write panics. A
// process that is killed leaves it behind, as path.*.tmp; it is safe to remove
// when no WriteFile for path is running.
//
// The error wraps what write returned, or the [*os.PathError] or [*os.LinkError]
// of the step that failed, so that errors.Is(err, syscall.ENOSPC), for example,
// works.
func WriteFile(path string, write func(io.Writer) error) error {
	return writeFile(disk.System{}, path, write)
}

func writeFile(fs disk.Files, path string, write func(io.Writer) error) error {
	if err := disk.WriteFile(fs, path, write); err != nil {
		return fmt.Errorf("rdb: %w", err)
	}
	return nil
}
