package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/emberkv/ember/repl"
)

// keptID returns the id that a node has kept in the folder dir, which nobody else uses, or a new one,
// which is there from now on. With another id after a restart a node would be a stranger to the sentinels:
// one more replica, beside the old one, which they would have to forget; and a master that was
// started again would be one that nobody has chosen.
func keptID(dir string) (repl.NodeID, error) {
	path := filepath.Join(dir, "node", "id") // a folder of its own: that of the store belongs to package kv
	var id repl.NodeID
	text, err := os.ReadFile(path)
	switch {
	case err == nil:
		if err := id.UnmarshalText([]byte(strings.TrimSpace(string(text)))); err != nil || id == (repl.NodeID{}) {
			return id, fmt.Errorf("%s has no node id: %.40q", path, text)
		}
		return id, nil
	case !errors.Is(err, fs.ErrNotExist):
		return id, err
	}
	id = repl.NewNodeID()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return id, err
	}
	return id, replace(path, id.String()+"\n")
}

// replace writes a file whole: whoever reads it after a crash finds what was there before, or this.
func replace(path, text string) error {
	f, err := os.Create(path + ".tmp")
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
