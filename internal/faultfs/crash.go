package faultfs

import (
	"fmt"
	"math/rand/v2"
	"slices"
)

// A Keep says what a crash keeps of what is not synced.
type Keep struct {
	name func() bool
	// bytes returns how many of n unsynced bytes are there, and which of those are zeros.
	bytes func(n int) (kept int, zeros []span)
}

// Nothing keeps only what was synced: the strictest disk.
func Nothing() Keep {
	return Keep{func() bool { return false }, func(int) (int, []span) { return 0, nil }}
}

// Everything keeps all, as when the process is killed and the machine goes on.
func Everything() Keep {
	return Keep{func() bool { return true }, func(n int) (int, []span) { return n, nil }}
}

// Some keeps what rng chooses: each name or not, of each file a part, and of that all, or all
// but a stretch of zeros.
func Some(rng *rand.Rand) Keep {
	return Keep{
		func() bool { return rng.IntN(2) == 0 },
		func(n int) (int, []span) {
			kept := rng.IntN(n + 1)
			if kept == 0 || rng.IntN(2) == 0 {
				return kept, nil
			}
			from := rng.IntN(kept)
			return kept, []span{{from, from + 1 + rng.IntN(kept-from)}}
		},
	}
}

// Crashed returns the file system as it is after a crash now, with nothing planned and
// nothing locked. It leaves f as it is.
func (f *FS) Crashed(keep Keep) *FS {
	f.mu.Lock()
	defer f.mu.Unlock()
	after := New()
	names := make(map[string]*inode)
	for path, n := range f.mu.durable {
		names[path] = n
	}
	for _, c := range f.mu.pending {
		if !keep.name() {
			continue
		}
		if c.removed != "" {
			delete(names, c.removed)
		}
		if c.added != "" {
			names[c.added] = c.file
		}
	}
	paths := make([]string, 0, len(names)) // in order: the random choices repeat
	for path := range names {
		paths = append(paths, path)
	}
	slices.Sort(paths)
	for _, path := range paths {
		after.mu.names[path] = names[path].crashed(keep)
		after.mu.durable[path] = after.mu.names[path]
	}
	after.mu.temps = f.mu.temps
	return after
}

// crashed returns what a crash leaves of a file.
func (n *inode) crashed(keep Keep) *inode {
	kept, zeros := keep.bytes(len(n.data) - n.durable)
	after := &inode{data: slices.Clone(n.data[:n.durable+kept]), made: n.made}
	for _, z := range zeros {
		clear(after.data[n.durable+z.from : n.durable+z.to])
	}
	for _, l := range n.lost {
		clear(after.data[min(l.from, len(after.data)):min(l.to, len(after.data))])
	}
	after.durable = len(after.data)
	return after
}

// Clone returns a copy of the file system as it is, unsynced state included, with nothing
// planned and nothing locked.
func (f *FS) Clone() *FS {
	f.mu.Lock()
	defer f.mu.Unlock()
	c, copies := New(), make(map[*inode]*inode)
	copyOf := func(n *inode) *inode {
		if n == nil {
			return nil
		}
		if copies[n] == nil {
			copies[n] = &inode{data: slices.Clone(n.data), durable: n.durable, lost: slices.Clone(n.lost), made: n.made}
		}
		return copies[n]
	}
	for path, n := range f.mu.names {
		c.mu.names[path] = copyOf(n)
	}
	for path, n := range f.mu.durable {
		c.mu.durable[path] = copyOf(n)
	}
	for _, p := range f.mu.pending {
		c.mu.pending = append(c.mu.pending, change{p.removed, p.added, copyOf(p.file)})
	}
	c.mu.temps = f.mu.temps
	return c
}

// Contents returns the bytes of the file at path, nil if there is none.
func (f *FS) Contents(path string) []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	if n := f.mu.names[path]; n != nil {
		return slices.Clone(n.data)
	}
	return nil
}

// Paths returns the paths of all files, in order.
func (f *FS) Paths() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var paths []string
	for path := range f.mu.names {
		paths = append(paths, path)
	}
	slices.Sort(paths)
	return paths
}

// FlipBit turns over one bit of the file at path. It panics when there is no such bit.
func (f *FS) FlipBit(path string, bit int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.mu.names[path]
	if n == nil || bit >= 8*len(n.data) {
		panic(fmt.Sprintf("faultfs: no bit %d in %s", bit, path))
	}
	n.data[bit/8] ^= 1 << (bit % 8)
}

// Truncate cuts the file at path off behind size bytes.
func (f *FS) Truncate(path string, size int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.mu.names[path]
	n.data = n.data[:size]
	n.durable = min(n.durable, size)
}

// OpenFiles returns how many files are open: those those that were created or opened and not closed.
func (f *FS) OpenFiles() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.mu.open
}
