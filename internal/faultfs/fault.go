package faultfs

import (
	"syscall"
	"time"
)

// An Op is a kind of operation.
type Op int

const (
	Create Op = iota
	Write
	Sync
	Rename
	Remove
	SyncDir
	Read
	ops
)

func (o Op) String() string {
	return [...]string{"create", "write", "sync", "rename", "remove", "sync folder", "read"}[o]
}

// A plan says what goes wrong. It is guarded by the file system's mutex.
type plan struct {
	count   int // of operations, but reads
	spent   int // operations, and bytes
	crashAt int // spent; 0 never

	failAt  int // of count; 0 none
	forever bool
	err     error

	room    int // bytes that may still be written; negative for no bound
	bounded bool

	delays  [ops]time.Duration
	fails   [ops]error
	ignores [ops]bool
}

// CrashAfter lets the file system crash after so many bytes and operations from now on,
// reads not counted, if n is positive.
func (f *FS) CrashAfter(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mu.plan.crashAt = f.mu.plan.spent + n
}

// Spent returns the bytes and operations so far, and Count the operations alone.
func (f *FS) Spent() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.mu.plan.spent
}

// Count returns the number of operations so far, reads not counted.
func (f *FS) Count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.mu.plan.count
}

// FailAt lets the n-th operation from now on fail with err, and, if forever is set, all that
// follow; reads are not counted and do not fail. Of a write, half is written.
func (f *FS) FailAt(n int, forever bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := &f.mu.plan
	p.failAt, p.forever, p.err = p.count+n, forever, err
}

// Fail lets all operations of a kind fail with err, until it is called with nil.
func (f *FS) Fail(op Op, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mu.plan.fails[op] = err
}

// Ignore lets Sync or SyncDir return nil and do nothing: the disk, or the program's bug,
// that a test has to find.
func (f *FS) Ignore(op Op) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mu.plan.ignores[op] = true
}

// Delay lets all operations of a kind take so long. Writes, syncs and reads of a
// file, and the opening of one to read it, can be delayed.
func (f *FS) Delay(op Op, d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mu.plan.delays[op] = d
}

// sleep waits as long as an operation takes.
func (f *FS) sleep(op Op) {
	f.mu.Lock()
	d := f.mu.plan.delays[op]
	f.mu.Unlock()
	if d > 0 {
		time.Sleep(d)
	}
}

// SetRoom bounds the bytes that can be written from now on: what does not fit fails with
// ENOSPC, after a short write. Negative is no bound.
func (f *FS) SetRoom(bytes int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mu.plan.room, f.mu.plan.bounded = bytes, bytes >= 0
}

// stepLocked counts an operation other than a write, and says whether it fails.
func (f *FS) stepLocked(op Op) error {
	p := &f.mu.plan
	if f.mu.crashed {
		return ErrCrashed
	}
	if op != Read {
		p.count++
		p.spent++
		if p.crashAt > 0 && p.spent > p.crashAt {
			f.mu.crashed = true
			return ErrCrashed
		}
		if p.failAt > 0 && (p.count == p.failAt || p.forever && p.count > p.failAt) {
			return p.err
		}
	}
	return p.fails[op]
}

// writeLocked returns how many of n bytes are written.
func (f *FS) writeLocked(n int) (int, error) {
	p := &f.mu.plan
	if err := f.stepLocked(Write); err != nil {
		if err == ErrCrashed {
			return 0, err
		}
		return n / 2, err
	}
	if left := p.crashAt - p.spent; p.crashAt > 0 && left < n {
		p.spent += left
		f.mu.crashed = true
		return left, ErrCrashed
	}
	if p.bounded && p.room < n {
		n, p.room = p.room, 0
		p.spent += n
		return n, syscall.ENOSPC
	}
	p.room -= n
	p.spent += n
	return n, nil
}
