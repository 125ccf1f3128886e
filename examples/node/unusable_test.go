package main

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"testing"

	"github.com/emberkv/ember/kv"
)

// TestUnusableDir: whoever names a folder that cannot be used is told which, why, and what to do.
func TestUnusableDir(t *testing.T) {
	at := func(err error) error {
		return fmt.Errorf("kv: open folder: %w", &fs.PathError{Op: "mkdir", Path: "/data", Err: err})
	}
	for _, c := range []struct {
		err  error
		want string
	}{
		{at(fs.ErrPermission), "-dir: kv: open folder: mkdir /data: " + fs.ErrPermission.Error() + "; let this process write there, or name another folder"},
		{at(syscall.EACCES), "; let this process write there, or name another folder"},
		{at(syscall.EROFS), "; name a folder on a disk that can be written to"},
		{at(syscall.ENOSPC), "; make room there, or name a folder on another disk"},
		{at(syscall.EDQUOT), "; make room there, or name a folder on another disk"},
		{at(syscall.ENOTDIR), "; name a folder"},
		{fmt.Errorf("%w: /data", kv.ErrLocked), "-dir: kv: folder is in use: /data; end the process that has it, or name another folder"},
		{&kv.CorruptError{File: "/data/x", Err: errors.New("torn")}, "; bring a copy of the folder, or name an empty one and -follow a node that has the data"},
		{errors.New("something else"), "-dir: something else"},
	} {
		if got := unusable(c.err); !strings.HasSuffix(got.Error(), c.want) || !errors.Is(got, c.err) {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}
