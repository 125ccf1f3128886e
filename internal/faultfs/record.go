package faultfs

import (
	"path/filepath"
	"slices"
)

// A Recording is what was done to a file system, so that a test can look at every state
// in between without doing it again for each.
type Recording struct {
	fs     *FS
	begin  *FS
	events []event
}

type event struct {
	op       Op
	path, to string
	inode    *inode // as the recorded file system has it
	data     []byte
}

// Record begins to record what is done to f.
func (f *FS) Record() *Recording {
	r := &Recording{fs: f, begin: f.Clone()}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mu.recording = r
	return r
}

func (f *FS) noteLocked(e event) {
	if r := f.mu.recording; r != nil {
		e.data = slices.Clone(e.data)
		r.events = append(r.events, e)
	}
}

// Events returns how many operations were recorded so far.
func (r *Recording) Events() int {
	r.fs.mu.Lock()
	defer r.fs.mu.Unlock()
	return len(r.events)
}

// Each calls visit with the file system as it was at the beginning, and then after each
// operation, and each byte of a write; events says how many of them had ended. It ends when
// visit returns false. It must have begun without files; visit must not change fs. What is
// done to the recorded file system meanwhile is not looked at.
func (r *Recording) Each(visit func(events int, fs *FS) bool) {
	r.fs.mu.Lock()
	all := r.events
	r.fs.mu.Unlock()
	fs := r.begin
	inodes := make(map[*inode]*inode)
	if !visit(0, fs) {
		return
	}
	for i, e := range all {
		fs.mu.Lock()
		switch e.op {
		case Create:
			inodes[e.inode] = &inode{}
			fs.mu.names[e.path] = inodes[e.inode]
			fs.mu.temps = i + 1
			fs.mu.pending = append(fs.mu.pending, change{added: e.path, file: inodes[e.inode]})
		case Rename:
			n := fs.mu.names[e.path]
			delete(fs.mu.names, e.path)
			fs.mu.names[e.to] = n
			fs.mu.pending = append(fs.mu.pending, change{removed: e.path, added: e.to, file: n})
		case Remove:
			delete(fs.mu.names, e.path)
			fs.mu.pending = append(fs.mu.pending, change{removed: e.path})
		case Sync:
			inodes[e.inode].durable = len(inodes[e.inode].data)
		case SyncDir:
			fs.syncNamesLocked()
		case Write:
			for n := range len(e.data) - 1 {
				inodes[e.inode].data = append(inodes[e.inode].data, e.data[n])
				fs.mu.Unlock()
				more := visit(i, fs)
				fs.mu.Lock()
				if !more {
					fs.mu.Unlock()
					return
				}
			}
			inodes[e.inode].data = append(inodes[e.inode].data, e.data[len(e.data)-1:]...)
		}
		fs.mu.Unlock()
		if !visit(i+1, fs) {
			return
		}
	}
}

// In returns the paths that name files in the folder dir that match pattern.
func In(dir, pattern string, paths []string) (matches []string) {
	for _, p := range paths {
		if ok, _ := filepath.Match(filepath.Join(dir, pattern), p); ok {
			matches = append(matches, p)
		}
	}
	return matches
}
