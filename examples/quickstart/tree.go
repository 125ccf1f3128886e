package main

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// toolchainRoot asks the go command, which has just run this program, where its
// sources are.
func toolchainRoot() string {
	out, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return "."
	}
	return strings.TrimSpace(string(out))
}

// readTree returns the contents of the regular files below dir by their paths,
// and how many bytes they are.
func readTree(dir string) (map[string][]byte, int64, error) {
	dir, err := filepath.EvalSymlinks(dir) // WalkDir does not follow a link at the root
	if err != nil {
		return nil, 0, err
	}
	files := make(map[string][]byte)
	var total int64
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		files[filepath.ToSlash(name)] = content
		total += int64(len(content))
		return nil
	})
	return files, total, err
}
