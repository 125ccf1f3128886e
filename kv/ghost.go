package kv

const (
	// A ghost table is sets of so many fingerprints; each set forgets its oldest.
	ghostWays = 8

	// minGhosts is the size of the smallest one.
	minGhosts = 64
)

// Ghosts remember the hashes of keys that were evicted on probation. One that comes back
// soon after was evicted too early, and is not put on probation again. There are as many as
// the shard has keys, about, at two bytes each.
type ghosts struct {
	sets [][ghostWays]uint16
}

// place returns a hash's set and its fingerprint, which is not 0. The bits are not those
// that choose the shard.
func (g *ghosts) place(hash uint64) (set *[ghostWays]uint16, print uint16) {
	return &g.sets[hash>>16&uint64(len(g.sets)-1)], max(uint16(hash), 1)
}

func (g *ghosts) add(hash uint64) {
	if len(g.sets) == 0 {
		return
	}
	set, print := g.place(hash)
	copy(set[1:], set[:ghostWays-1])
	set[0] = print
}

// has reports whether the hash is among them.
func (g *ghosts) has(hash uint64) bool {
	if len(g.sets) == 0 {
		return false
	}
	set, print := g.place(hash)
	for _, p := range set {
		if p == print {
			return true
		}
	}
	return false
}

// grow makes room for so many keys, and forgets what there was, if that is more than there
// is room for. It returns by how many bytes the table has grown.
func (g *ghosts) grow(keys int64) int64 {
	n := max(len(g.sets)*ghostWays, minGhosts)
	for int64(n)*4/3 < keys {
		n *= 2
	}
	if n /= ghostWays; n == len(g.sets) {
		return 0
	}
	before := len(g.sets)
	g.sets = make([][ghostWays]uint16, n)
	return int64(n-before) * 2 * ghostWays
}
