package kv

import "github.com/emberkv/ember/backlog"

// Drop lets go of the store's contents and begins a new history, which has nothing
// to do with the old one, at offset 0. Nothing is logged: readers of the log get
// [backlog.ErrReset]. It is for a node that is about to take a full copy and has no
// room for both; [Store.Clear] is the write that removes all keys. Values that were
// read before stay valid. It asks no gate and returns [ErrClosed].
func (s *Store) Drop() error {
	return s.exchange(s.emptyTable(), func() (*backlog.Log, error) { return backlog.NewLog(&s.opts), nil })
}
