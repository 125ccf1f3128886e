package kv

import (
	"cmp"
	"iter"
	"slices"
)

// All returns an iterator over the keys and values that the transaction sees, in no
// particular order: exactly those of one moment, with the transaction's own writes from
// before the loop. Both are slices of the store's memory, as [Store.Get] returns them. The
// loop's body may read and write.
//
// The first iteration takes a snapshot of the store, from which everything is read from
// then on. In an Update it counts as having read every key, whatever the range: a write
// to any is a conflict. [Store.Range] says what an iteration costs without
// [Options.Ordered]. After the transaction's end there is nothing to see.
func (tx *Tx) All() iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		if tx.ready() {
			tx.loose(yield)
		}
	}
}

// Range is like [Tx.All] for the keys k with from <= k < to, in the order of their
// bytes. An empty from or to leaves that end open.
func (tx *Tx) Range(from, to string) iter.Seq2[string, []byte] {
	return tx.iterate(keyRange{from: from, to: to})
}

// Prefix is like [Tx.Range] for the keys that begin with prefix.
func (tx *Tx) Prefix(prefix string) iter.Seq2[string, []byte] {
	return tx.iterate(prefixRange(prefix))
}

// Backward is like [Tx.Range], with the same bounds, from the last key to the first.
func (tx *Tx) Backward(from, to string) iter.Seq2[string, []byte] {
	return tx.iterate(keyRange{from: from, to: to, backward: true})
}

func (tx *Tx) iterate(r keyRange) iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		if tx.ready() {
			tx.merge(r, yield)
		}
	}
}

// merge yields what the cut has of a range, with the transaction's own writes between.
func (tx *Tx) merge(r keyRange, yield func(string, []byte) bool) {
	own := tx.own(r)
	for key, value := range tx.local.merge(r, tx.passed, tx.cut.iterate(r)) {
		for len(own) > 0 && r.before(own[0].key, key) {
			if !tx.yield(&own[0], yield) {
				return
			}
			own = own[1:]
		}
		if len(own) > 0 && own[0].key == key {
			if !tx.yield(&own[0], yield) {
				return
			}
			own = own[1:]
		} else if !yield(key, value) {
			return
		}
	}
	for i := range own {
		if !tx.yield(&own[i], yield) {
			return
		}
	}
}

// loose yields everything: the own writes first.
func (tx *Tx) loose(yield func(string, []byte) bool) {
	own := tx.own(keyRange{})
	for i := range own {
		if !tx.yield(&own[i], yield) {
			return
		}
	}
	for key, value := range tx.local.over(tx.passed, tx.cut.All()) {
		if _, written := slices.BinarySearchFunc(own, key, func(w txWrite, key string) int { return cmp.Compare(w.key, key) }); written {
			continue
		}
		if !yield(key, value) {
			return
		}
	}
}

// yield yields an own write, if there is something to be seen of it.
func (tx *Tx) yield(w *txWrite, yield func(string, []byte) bool) bool {
	return w.gone || tx.passed(w.deadline) || yield(w.key, w.value)
}

// own returns a copy of the transaction's writes to a range, in its order. What the loop's
// body writes is not in it.
func (tx *Tx) own(r keyRange) (own []txWrite) {
	for i := range tx.writes {
		if r.contains(tx.writes[i].key) {
			own = append(own, tx.writes[i])
			tx.shown = true
		}
	}
	slices.SortFunc(own, func(x, y txWrite) int {
		if r.backward {
			x, y = y, x
		}
		return cmp.Compare(x.key, y.key)
	})
	return own
}

// before reports whether a comes before b in the range's order.
func (r *keyRange) before(a, b string) bool {
	if r.backward {
		return a > b
	}
	return a < b
}
