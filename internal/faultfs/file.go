package faultfs

import (
	"io"
	iofs "io/fs"
)

// A file is an open one.
type file struct {
	fs     *FS
	inode  *inode
	name   string
	at     int // of the next Read
	closed bool
}

func (h *file) Name() string { return h.name }

// Write appends b: files are written from front to back, and by one writer.
func (h *file) Write(b []byte) (int, error) {
	f := h.fs
	f.sleep(Write)
	f.mu.Lock()
	defer f.mu.Unlock()
	if h.closed {
		return 0, iofs.ErrClosed
	}
	n, err := f.writeLocked(len(b))
	h.inode.data = append(h.inode.data, b[:n]...)
	if n > 0 {
		f.noteLocked(event{op: Write, inode: h.inode, data: b[:n]})
	}
	return n, err
}

func (h *file) Sync() error {
	f := h.fs
	f.sleep(Sync)
	f.mu.Lock()
	defer f.mu.Unlock()
	if h.closed {
		return iofs.ErrClosed
	}
	n := h.inode
	if err := f.stepLocked(Sync); err != nil {
		if err != ErrCrashed {
			n.lost = append(n.lost, span{n.durable, len(n.data)})
		}
		return err
	}
	if !f.mu.plan.ignores[Sync] {
		n.durable = len(n.data)
		f.noteLocked(event{op: Sync, inode: n})
	}
	return nil
}

func (h *file) Close() error {
	f := h.fs
	f.mu.Lock()
	defer f.mu.Unlock()
	if h.closed {
		return iofs.ErrClosed
	}
	h.closed = true
	f.mu.open--
	return nil
}

func (h *file) Read(b []byte) (int, error) {
	h.fs.sleep(Read)
	n, err := h.ReadAt(b, int64(h.at))
	h.at += n
	if n > 0 {
		err = nil
	}
	return n, err
}

func (h *file) ReadAt(b []byte, at int64) (int, error) {
	f := h.fs
	f.mu.Lock()
	defer f.mu.Unlock()
	if h.closed {
		return 0, iofs.ErrClosed
	}
	if err := f.stepLocked(Read); err != nil {
		return 0, err
	}
	if at >= int64(len(h.inode.data)) {
		return 0, io.EOF
	}
	n := copy(b, h.inode.data[at:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}
