package main

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"github.com/emberkv/ember/kv"
)

// unusable returns err, for which the folder of -dir cannot be used, with what to do about it.
func unusable(err error) error {
	advice := ""
	switch {
	case errors.Is(err, kv.ErrLocked):
		advice = "end the process that has it, or name another folder"
	case errors.Is(err, kv.ErrCorrupt):
		advice = "bring a copy of the folder, or name an empty one and -follow a node that has the data"
	case errors.Is(err, fs.ErrPermission):
		advice = "let this process write there, or name another folder"
	case errors.Is(err, syscall.EROFS):
		advice = "name a folder on a disk that can be written to"
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		advice = "make room there, or name a folder on another disk"
	case errors.Is(err, syscall.ENOTDIR):
		advice = "name a folder"
	default:
		return fmt.Errorf("-dir: %w", err)
	}
	return fmt.Errorf("-dir: %w; %s", err, advice)
}
