package kv

import (
	"io"

	"github.com/emberkv/ember/rdb"
)

const (
	// spareBlocks is how many blocks' memory is kept to be read into again. More are hardly
	// on their way from those who insert to the one who reads.
	spareBlocks = 4

	// spareBytes is the largest such memory. That of a block of one large entry would go
	// round under blocks of the usual size, as much of it as was ever queued.
	spareBytes = 4 * rdb.DefaultBlockBytes
)

// Restore replaces the store's contents by those of a snapshot, as
// [Snapshot.WriteTo] wrote it. That happens at once, after the whole snapshot was
// read and verified; on any error the contents stay. Until then the store goes on,
// and what is written meanwhile is lost with the rest.
//
// The log begins anew, in a new history, after the old one's end: readers of the log
// cannot go on, and get [backlog.ErrReset]; followers need a full copy. Positions of
// the old history up to its end stay valid for [Store.Wait].
//
// Restore blocks as r does. It returns r's errors and those of [rdb.Reader], the
// loader's ([ErrBlock], [ErrDigest]), [ErrClosed], and the error of the log's gate on a store
// that takes no writes.
func (s *Store) Restore(r io.Reader) error {
	// Asked now, to spare the work, and again at the end.
	if err := s.closed(); err != nil {
		return err
	}
	l, _, err := s.loadAll(r)
	if err != nil {
		return err
	}
	defer l.Abort()
	l.index()
	for {
		if err := s.exchange(l.table, s.log.Restart); !resumed(err) {
			return l.end(err)
		}
	}
}

// loadAll reads a whole snapshot into a loader, whose state it verifies and which nobody
// else knows yet.
func (s *Store) loadAll(r io.Reader) (*loader, rdb.Header, error) {
	l, in, err := s.loadFrom(r)
	if err != nil {
		return nil, rdb.Header{}, err
	}
	return l, in.Header(), l.takeAll(in)
}

// loadFrom reads the header of a snapshot, and returns a loader for the rest.
func (s *Store) loadFrom(r io.Reader) (*loader, *rdb.Reader, error) {
	in, err := rdb.NewReader(r)
	if err != nil {
		return nil, nil, err
	}
	l, err := s.load(in.Header())
	if err != nil {
		return nil, nil, err
	}
	l.spare = make(chan []byte, spareBlocks)
	return l, in, nil
}

// takeAll takes all that a snapshot has, and verifies the state. An error aborts the loader.
func (l *loader) takeAll(in *rdb.Reader) (err error) {
	defer func() {
		if err != nil {
			l.Abort()
		}
	}()
	for {
		select {
		case data := <-l.spare:
			in.Reuse(data)
		default:
		}
		b, err := in.NextUnread() // those who insert the entries read them
		if err == io.EOF {
			return l.verify(in.Footer())
		}
		if err == nil {
			err = l.Block(b)
		}
		if err != nil {
			return err
		}
	}
}

var (
	_ rdb.Loader  = (*loader)(nil)
	_ rdb.Doubter = (*loader)(nil)
)
