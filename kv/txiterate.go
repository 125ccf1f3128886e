package kv

import (
	"iter"
	"strings"
)

// All returns an iterator over the keys and values that the transaction sees, as they
// are when the loop begins: exactly those of one moment, with the transaction's own
// writes up to there. The loop's body may write.
//
// The first iteration takes a cut of the store, from which everything is read from then
// on. In an Update it counts as having read every key: a write to any is a conflict.
// After the transaction's end there is nothing to see.
func (tx *Tx) All() iter.Seq2[string, []byte] { return tx.Prefix("") }

// Prefix is like All for the keys that begin with prefix.
func (tx *Tx) Prefix(prefix string) iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		if !tx.iterate() {
			return
		}
		own := tx.own(prefix)
		for key, value := range tx.cut.All() {
			if !strings.HasPrefix(key, prefix) {
				continue
			}
			if w, ok := own[key]; ok {
				delete(own, key)
				if w.gone || tx.passed(w.deadline) {
					continue
				}
				value = w.value
			}
			if !yield(key, value) {
				return
			}
		}
		for key, w := range own {
			if !w.gone && !tx.passed(w.deadline) && !yield(key, w.value) {
				return
			}
		}
	}
}

// own returns a copy of the transaction's writes to keys with a prefix.
func (tx *Tx) own(prefix string) map[string]txWrite {
	own := make(map[string]txWrite)
	for _, w := range tx.writes {
		if strings.HasPrefix(w.key, prefix) {
			own[w.key] = w
		}
	}
	return own
}

// iterate makes sure that there is a cut. It returns false when there is nothing to see,
// and does not return when what was read before is out of date.
func (tx *Tx) iterate() bool {
	err := tx.usable()
	if err == nil && tx.cut == nil {
		err = tx.takeCut()
	}
	if err == ErrConflict {
		tx.fail(err)
		tx.unwinding = true
		panic(unwound{tx})
	}
	return err == nil
}

// takeCut takes a cut of the store. It returns ErrConflict when that is not the state
// from which something was read before.
func (tx *Tx) takeCut() error {
	n, err := tx.store.Snapshot()
	if err != nil {
		return tx.fail(err)
	}
	if !tx.seen.standIn(n, tx.table) {
		n.Close()
		return ErrConflict
	}
	tx.cut = n
	if tx.writable {
		tx.seen.shards = make([]shardRead, len(n.views))
		for i, f := range n.views {
			tx.seen.shards[i] = shardRead{i, f.version}
		}
		tx.seen.whole = true
	}
	return nil
}

// standIn reports whether what was read, in a table, is what a snapshot has.
func (r *reads) standIn(n *Snapshot, t *table) bool {
	if n.views[0].shard != &t.shards[0] || r.until <= n.now {
		return false
	}
	for _, v := range r.shards {
		f := n.views[v.number]
		if f.version != v.version && !r.same(t, v.number, func(hash uint64, key string) (entry, bool) {
			e, ok := f.find(hash, key)
			return e, ok && (e.deadline == 0 || e.deadline > n.now)
		}) {
			return false
		}
	}
	return true
}

// beginWithCut gives an attempt a cut to begin with. It returns false when the store is
// closed.
func (tx *Tx) beginWithCut() bool {
	for {
		switch err := tx.takeCut(); err {
		case nil:
			return true
		case ErrConflict: // the contents were replaced since begin
			if !tx.begin() {
				return false
			}
		default:
			return false
		}
	}
}
