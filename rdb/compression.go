package rdb

import (
	"fmt"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/internal/pack"
)

// A Compression says how blocks are compressed: in a snapshot, by
// [NewCompressedWriter], or on a link, by the options of package repl. Both ends of
// a link agree on one; a [Reader] reads snapshots with any.
//
// Measured on one core with entries of 16 bytes of key and some 100 of JSON: S2
// packs 700 MB/s to a third of their size and unpacks 2,200; Zstd packs 195 MB/s
// to a sixth and unpacks 590. Data that do not become smaller are left as they
// are.
type Compression int8

const (
	// None leaves everything as it is. It is the default.
	None Compression = iota

	// S2 is fast: for networks of a gigabit a second and up.
	S2

	// Zstd packs tighter: for slow or paid networks, and for files.
	Zstd
)

// Off is like None, but on a link stricter: a node with None compresses when its
// peer asks for it, one with Off does not.
const Off Compression = -1

var compressions = [...]string{"off", "none", "s2", "zstd"}

// String returns "off", "none", "s2" or "zstd".
func (c Compression) String() string {
	if !c.known() {
		return fmt.Sprintf("Compression(%d)", int8(c))
	}
	return compressions[c+1]
}

// MarshalText returns what String returns, or an error for a value that is not
// one of the constants.
func (c Compression) MarshalText() ([]byte, error) {
	if !c.known() {
		return nil, fmt.Errorf("rdb: unknown %v", c)
	}
	return []byte(c.String()), nil
}

// UnmarshalText reads what MarshalText writes. For anything else it returns
// [backlog.ErrText] and leaves c alone.
func (c *Compression) UnmarshalText(text []byte) error {
	for i, name := range compressions {
		if string(text) == name {
			*c = Compression(i - 1)
			return nil
		}
	}
	return fmt.Errorf("%w: compression %.40q is none of %q", backlog.ErrText, text, compressions)
}

func (c Compression) known() bool { return c >= Off && c <= Zstd }

// algorithm returns what stands for c in a block's flags.
func (c Compression) algorithm() pack.Algorithm { return pack.Algorithm(max(c, None)) }
