package kv

import (
	"iter"
	"slices"
)

// A keyRange is what an iterator goes through.
type keyRange struct {
	from, to string // the first key, and the one behind the last; "" leaves the end open
	backward bool
}

// prefixRange returns the range of the keys that begin with prefix.
func prefixRange(prefix string) keyRange {
	to := []byte(prefix)
	for len(to) > 0 && to[len(to)-1] == 0xff {
		to = to[:len(to)-1] // no last byte comes behind this one
	}
	if len(to) > 0 {
		to[len(to)-1]++
	}
	return keyRange{from: prefix, to: string(to)}
}

func (r *keyRange) contains(key string) bool {
	return key >= r.from && (r.to == "" || key < r.to)
}

// sorted returns the range's keys among those that all yields, in the range's order.
func (r *keyRange) sorted(all iter.Seq2[string, []byte]) (keys []string) {
	for key := range all {
		if r.contains(key) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	if r.backward {
		slices.Reverse(keys)
	}
	return keys
}

// extremeOf returns the first key in order, or the last one, of those that all yields in
// any order.
func extremeOf(all iter.Seq2[string, []byte], last bool) (key string, value []byte, err error) {
	err = ErrNotFound
	for k, v := range all {
		if err != nil || (k > key) == last {
			key, value, err = k, v, nil
		}
	}
	return key, value, err
}
