package main

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/emberkv/ember/repl"
	"github.com/emberkv/ember/repl/sentinel"
)

// keptID returns the id that a node has kept in the folder dir, which nobody else uses, or a new one,
// which is there from now on. With another id after a restart a node would be a stranger to the sentinels:
// one more replica, beside the old one, which they would have to forget; and a master that was
// started again would be one that nobody has chosen.
//
// It is kept as a sentinel keeps its vote, which lasts through a power failure, too.
func keptID(dir string) (id repl.NodeID, err error) {
	path := filepath.Join(dir, "node", "id") // a folder of its own: that of the store belongs to package kv
	kept, err := sentinel.OpenFileStore(path)
	if err != nil {
		return id, err
	}
	defer kept.Close()
	text, err := kept.Load()
	if err != nil {
		return id, err
	}
	if text == nil {
		id = repl.NewNodeID()
		return id, kept.Save([]byte(id.String() + "\n"))
	}
	if id, err = repl.ParseNodeID(strings.TrimSpace(string(text))); err != nil || id == (repl.NodeID{}) {
		return id, fmt.Errorf("%s has no node id: %.40q", path, text)
	}
	return id, nil
}
