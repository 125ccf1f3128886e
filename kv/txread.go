package kv

import (
	"math"
	"slices"
	"time"

	"github.com/emberkv/ember/internal/hash"
	"github.com/emberkv/ember/internal/spin"
)

// Get returns the value of a key, as [Store.Get] does. It returns [ErrNotFound],
// [ErrConflict], [ErrTxDone], [ErrStale] or [ErrClosed].
func (tx *Tx) Get(key string) ([]byte, error) {
	value, _, ok, err := tx.read(key)
	switch {
	case err != nil:
		return nil, err
	case !ok:
		return nil, ErrNotFound
	}
	return value, nil
}

// GetMulti appends the values of keys to dst, as [Store.GetMulti] does, but all of one moment, and
// with what the transaction has written. It returns [ErrConflict], [ErrTxDone], [ErrStale] or
// [ErrClosed], and dst as it was.
func (tx *Tx) GetMulti(dst [][]byte, keys ...string) ([][]byte, error) {
	if err := tx.usable(); err != nil {
		return dst, err
	}
	var w warmer
	values := slices.Grow(dst, len(keys))
	for len(keys) > 0 {
		some := keys[:min(len(keys), scanAhead)]
		keys = keys[len(some):]
		w.warmKeys(tx.table, some)
		for _, key := range some {
			value, _, ok, err := tx.read(key)
			if err != nil {
				return dst, err
			}
			if !ok {
				value = nil
			}
			values = append(values, value)
		}
	}
	return values, nil
}

// Has reports whether a key exists. It returns [ErrConflict], [ErrTxDone],
// [ErrStale] or [ErrClosed].
func (tx *Tx) Has(key string) (bool, error) {
	_, _, ok, err := tx.read(key)
	return ok, err
}

// TTL returns how long a key has left, as [Store.TTL] does, with the errors of
// [Tx.Get].
func (tx *Tx) TTL(key string) (time.Duration, error) {
	_, deadline, ok, err := tx.read(key)
	switch {
	case err != nil:
		return 0, err
	case !ok:
		return 0, ErrNotFound
	case deadline == 0:
		return NoTTL, nil
	}
	return span(max(deadline-tx.now(), 1)), nil
}

// now returns the clock by which deadlines pass for the transaction: what it showed at one
// moment, because a clock can be set back.
func (tx *Tx) now() int64 {
	if tx.cut != nil {
		return tx.cut.now
	}
	if tx.moment == 0 {
		tx.moment = tx.store.clock.now()
	}
	return tx.moment
}

// passed reports whether a deadline has passed.
func (tx *Tx) passed(deadline int64) bool { return deadline != 0 && deadline <= tx.now() }

// read returns what a key has for the transaction, its own writes included, and
// whether it has that still.
func (tx *Tx) read(key string) (value []byte, deadline int64, ok bool, err error) {
	if err := tx.usable(); err != nil {
		return nil, 0, false, err
	}
	if tx.store.isStale() {
		return nil, 0, false, tx.fail(ErrStale)
	}
	if w := tx.written(key); w != nil {
		tx.shown = true
		return w.value, w.deadline, !w.gone && !tx.passed(w.deadline), nil
	}
	if own, local := tx.local.get(key); local {
		ok = own.shows(tx.passed)
		if ok && own.deadline != 0 {
			tx.seen.until = min(tx.seen.until, own.deadline)
		}
		if tx.cut == nil {
			if err := tx.check(); err != nil {
				return nil, 0, false, tx.fail(err)
			}
		}
		return own.value, own.deadline, ok, nil
	}
	t := tx.table
	h := hash.String(t.seed, key)
	n := t.number(h)
	var at found
	if tx.cut != nil {
		ok = tx.cut.views[n].find(h, key, &at.entry)
		return at.value, at.deadline, ok && !tx.passed(at.deadline), nil
	}
	sh := &t.shards[n]
	spin.Lock(&sh.mu.Mutex)
	sh.locate(h, key, &at)
	version := sh.version.Load()
	sh.mu.Unlock()
	ok = at.ok() && !tx.passed(at.deadline)
	tx.seen.add(n, version, h, key, &at.entry, ok)
	if err := tx.check(); err != nil {
		return nil, 0, false, tx.fail(err)
	}
	return at.value, at.deadline, ok, nil
}

// check returns ErrConflict unless everything that was read is so still, at one and the
// same moment, and ErrClosed after Close.
func (tx *Tx) check() error {
	err := tx.checkTable()
	// The local writes last: until those are taken away that were written over, nobody
	// gets to look at them.
	if err == nil && tx.store.localView() != tx.local {
		err = ErrConflict
	}
	return err
}

// checkTable is check without the local writes.
func (tx *Tx) checkTable() error {
	switch now := tx.store.table.Load(); {
	case now == nil:
		return ErrClosed
	case now != tx.table:
		return ErrConflict
	}
	r := &tx.seen
	for range maxRechecks {
		changed := false
		for i := range r.shards {
			v := &r.shards[i]
			sh := &tx.table.shards[v.number]
			if sh.version.Load() == v.version {
				continue
			}
			changed = true
			sh.mu.Lock()
			same := tx.recheck(v.number, sh)
			v.version = sh.version.Load()
			sh.mu.Unlock()
			if !same {
				return ErrConflict
			}
		}
		// Versions that are all unchanged say that everything was so when the first
		// of them was looked at. After one that was not, they are looked at again.
		if !changed {
			if r.until != math.MaxInt64 && r.until <= tx.store.clock.now() {
				return ErrConflict
			}
			return nil
		}
	}
	return ErrConflict
}

// recheck reports whether what was read in shard n, which is locked, is so still.
func (tx *Tx) recheck(n int, sh *shard) bool {
	return tx.seen.same(tx.table, n, func(hash uint64, key string) (entry, bool) {
		var at found
		sh.locate(hash, key, &at)
		return at.entry, at.ok() && !tx.passed(at.deadline)
	})
}
