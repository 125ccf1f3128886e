package kv

import (
	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/rdb"
)

// Drop lets go of the store's contents and begins a new history, which has nothing
// to do with the old one, at offset 0. Nothing is logged: readers of the log get
// [backlog.ErrReset]. It is for a node that is about to take a full copy and has no
// room for both; [Store.Clear] is the write that removes all keys. Values that were
// read before stay valid. What the state that will follow, next, does not have is
// handed to Options.OnLostTail; the zero Header says that none will follow. Drop asks
// no gate and returns [ErrClosed].
func (s *Store) Drop(next rdb.Header) error {
	s.leave(next)
	return s.exchange(s.emptyTable(), func() error {
		s.log.Adopt(backlog.NewLog(&s.opts))
		return nil
	})
}
