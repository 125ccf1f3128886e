package kv

// ready makes sure that there is a cut to iterate over. It returns false when there is
// nothing to see, and does not return when what was read before is out of date: the loop
// could not tell an end from that.
func (tx *Tx) ready() bool {
	err := tx.usable()
	if err == nil && tx.store.isStale() {
		err = tx.fail(ErrStale)
	}
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
	if n.now < tx.moment || tx.store.localView() != tx.local || !tx.seen.standIn(n, tx.table) {
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
			var e entry
			ok := f.find(hash, key, &e)
			return e, ok && (e.deadline == 0 || e.deadline > n.now)
		}) {
			return false
		}
	}
	return true
}

// beginWithCut gives an attempt a cut to begin with. It returns the errors of
// [Store.Snapshot].
func (tx *Tx) beginWithCut() error {
	for {
		err := tx.takeCut()
		if err != ErrConflict {
			return err
		}
		if err := tx.begin(); err != nil { // the contents were replaced since then
			return err
		}
	}
}
