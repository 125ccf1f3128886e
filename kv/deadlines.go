package kv

import "github.com/google/btree"

// Deadlines is a shard's index of the deadlines of its keys. A key without one
// is not in it, and a shard without any has no tree.
//
// It holds no keys and no pointers to them: the hash finds the key, and two that
// share hash and deadline are counted.
type deadlines struct {
	tree *btree.BTreeG[deadline]

	// due is the number of keys whose deadline is at or before dueAt, kept up to
	// date so that a count of the visible keys walks only over the deadlines that
	// have passed since the last one.
	due   int64
	dueAt int64
}

// A deadline is the moment at which keys end, in Unix milliseconds.
type deadline struct {
	at   int64
	hash uint64
	keys int64
}

func (d deadline) less(o deadline) bool {
	return d.at < o.at || d.at == o.at && d.hash < o.hash
}

// deadlineDegree gives nodes of a few cache lines; larger ones cost more in
// insertions than they save in depth.
const deadlineDegree = 24

// add adds a key's deadline, unless it is 0.
func (d *deadlines) add(at int64, hash uint64) {
	if at == 0 {
		return
	}
	if d.tree == nil {
		d.tree = btree.NewG(deadlineDegree, deadline.less)
	}
	item := deadline{at: at, hash: hash, keys: 1}
	if old, ok := d.tree.ReplaceOrInsert(item); ok {
		item.keys += old.keys
		d.tree.ReplaceOrInsert(item)
	}
	if at <= d.dueAt {
		d.due++
	}
}

// remove takes out what add has added.
func (d *deadlines) remove(at int64, hash uint64) {
	if at == 0 {
		return
	}
	item, _ := d.tree.Get(deadline{at: at, hash: hash})
	if item.keys--; item.keys > 0 {
		d.tree.ReplaceOrInsert(item)
	} else if d.tree.Delete(item); d.tree.Len() == 0 {
		d.tree = nil
	}
	if at <= d.dueAt {
		d.due--
	}
}

// passed returns the number of keys whose deadline is at or before now.
func (d *deadlines) passed(now int64) int64 {
	if d.tree != nil && now != d.dueAt {
		from, to, sign := d.dueAt, now, int64(1)
		if now < d.dueAt { // the clock was set back
			from, to, sign = now, d.dueAt, -1
		}
		d.tree.AscendRange(deadline{at: from + 1}, deadline{at: to + 1}, func(item deadline) bool {
			d.due += sign * item.keys
			return true
		})
	}
	d.dueAt = now
	return d.due
}

// earliest returns the next deadline, or false when there is none.
func (d *deadlines) earliest() (deadline, bool) {
	if d.tree == nil {
		return deadline{}, false
	}
	return d.tree.Min()
}
