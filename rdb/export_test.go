package rdb

import (
	"io"

	"github.com/emberkv/ember/internal/disk"
)

// Disk and DiskFile let tests stand in for the file system.
type (
	Disk     = disk.Files
	DiskFile = disk.File
)

// OSDisk is the disk that WriteFile uses.
var OSDisk Disk = disk.System{}

// WriteFileOn is WriteFile on another disk.
func WriteFileOn(d Disk, path string, write func(io.Writer) error) error {
	return writeFile(d, path, write)
}
