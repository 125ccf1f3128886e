package rdb

import "io"

// Disk and DiskFile let tests stand in for the file system.
type (
	Disk     = disk
	DiskFile = diskFile
)

// OSDisk is the disk that WriteFile uses.
var OSDisk Disk = osDisk{}

// WriteFileOn is WriteFile on another disk.
func WriteFileOn(d Disk, path string, write func(io.Writer) error) error {
	return writeFile(d, path, write)
}
