package kv

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/emberkv/ember/rdb"
)

// fewWrites is up to how many writes of a transaction are searched one after the other.
const fewWrites = 8

// A txWrite is what a transaction has made of a key: a new entry, none, or the one that
// it has read with another deadline.
type txWrite struct {
	key      string
	kind     byte // rdb.KindPut, rdb.KindPutDeadline, kindDelete or kindDeadline
	gone     bool
	value    []byte
	deadline int64
	record   []byte // that says so
	owned    bool   // the record can become a slab
}

// Set gives a key a value, of which the transaction keeps a copy, as [Store.Set] does
// and with its errors, or [ErrConflict], [ErrTxDone], [ErrReadOnlyTx], and [ErrTooLarge]
// also for more than [Options.MaxTxKeys] keys. After an error the transaction is as it
// was before.
func (tx *Tx) Set(key string, value []byte, opts ...SetOption) error {
	if err := tx.writingKey(key); err != nil {
		return err
	}
	if err := checkValue(value); err != nil {
		return err
	}
	c, err := combine(opts)
	if err != nil {
		return err
	}
	deadline, err := tx.store.deadline(c)
	if err != nil {
		return err
	}
	if c != (conditions{kind: c.kind, ms: c.ms}) || c.kind == setKeepTTL {
		_, old, exists, err := tx.read(key)
		switch {
		case err != nil:
			return err
		case exists && c.ifAbsent:
			return ErrExists
		case !exists && c.ifPresent:
			return ErrNotFound
		case exists && c.kind == setKeepTTL:
			deadline = old
		}
	}
	if deadline < 0 {
		return tx.remove(key)
	}
	return tx.put(key, value, deadline)
}

// Delete removes a key and reports whether it existed. It returns [ErrConflict],
// [ErrTxDone], [ErrReadOnlyTx], [ErrTooLarge] for too many keys, and [ErrClosed].
func (tx *Tx) Delete(key string) (bool, error) {
	if err := tx.writing(); err != nil {
		return false, err
	}
	_, _, exists, err := tx.read(key)
	if err != nil || !exists {
		return false, err
	}
	err = tx.remove(key)
	return err == nil, err
}

// Add adds delta to a key's value, as [Store.Add] does, with its errors and those
// of [Tx.Set].
func (tx *Tx) Add(key string, delta int64) (int64, error) {
	if err := tx.writingKey(key); err != nil {
		return 0, err
	}
	value, deadline, exists, err := tx.read(key)
	if err != nil {
		return 0, err
	}
	if !exists {
		value, deadline = nil, 0
	}
	sum, err := addTo(value, exists, delta)
	if err != nil {
		return 0, err
	}
	var digits [20]byte
	if err := tx.put(key, strconv.AppendInt(digits[:0], sum, 10), deadline); err != nil {
		return 0, err
	}
	return sum, nil
}

// Expire gives a key the deadline d from now and reports whether the key exists, as
// [Store.Expire] does. It returns an [*InvalidError] for a d that is not positive, and
// the errors of [Tx.Delete].
func (tx *Tx) Expire(key string, d time.Duration) (bool, error) {
	if err := tx.writing(); err != nil {
		return false, err
	}
	ms, now := milliseconds(d), tx.store.clock.now()
	if ms <= 0 || ms > math.MaxInt64-now {
		return false, &InvalidError{Field: "d", Value: d, Want: wantLifetime}
	}
	return tx.expire(key, now+ms)
}

// ExpireAt is Expire for a deadline at t, as [Store.ExpireAt] is.
func (tx *Tx) ExpireAt(key string, t time.Time) (bool, error) {
	if err := tx.writing(); err != nil {
		return false, err
	}
	ms, err := deadlineAt(t)
	if err != nil {
		return false, err
	}
	if ms <= tx.store.clock.now() {
		return tx.Delete(key)
	}
	return tx.expire(key, ms)
}

func (tx *Tx) expire(key string, deadline int64) (bool, error) {
	value, _, exists, err := tx.read(key)
	if err != nil || !exists {
		return false, err
	}
	err = tx.redate(key, value, deadline)
	return err == nil, err
}

// Persist removes a key's deadline and reports whether it had one. It returns the
// errors of [Tx.Delete].
func (tx *Tx) Persist(key string) (bool, error) {
	if err := tx.writing(); err != nil {
		return false, err
	}
	value, deadline, exists, err := tx.read(key)
	if err != nil || !exists || deadline == 0 {
		return false, err
	}
	err = tx.redate(key, value, 0)
	return err == nil, err
}

// redate gives a key that was read with a value another deadline. A key that the transaction has
// not written keeps its value in the log.
func (tx *Tx) redate(key string, value []byte, deadline int64) error {
	if w := tx.written(key); w != nil && w.kind != kindDeadline {
		return tx.put(key, value, deadline)
	}
	record := appendDeadlineRecord(tx.make(16 + len(key))[:0], deadline, key)
	w, err := tx.write(key, kindDeadline, record)
	if err == nil {
		w.value, w.deadline = value, deadline
	}
	return err
}

// writing returns an error unless the transaction takes writes.
func (tx *Tx) writing() error {
	if err := tx.usable(); err != nil {
		return err
	}
	if !tx.writable {
		return ErrReadOnlyTx
	}
	return nil
}

// writingKey is writing for a write that may make a key.
func (tx *Tx) writingKey(key string) error {
	if err := tx.writing(); err != nil {
		return err
	}
	return checkKey(key)
}

// put writes an entry, encoded as it will be logged and stored.
func (tx *Tx) put(key string, value []byte, deadline int64) error {
	size, kind := rdb.EntrySize(len(key), len(value), deadline), byte(rdb.KindPut)
	if deadline != 0 {
		kind = rdb.KindPutDeadline
	}
	var record []byte
	owned := size > bigEntryBytes
	if owned {
		record = newBigSlab(size)[:size]
	} else {
		record = tx.make(size)
	}
	rdb.PutEntry(record, key, value, deadline)
	var e entry
	e.parse(record)
	w, err := tx.write(text(e.key), kind, record)
	if err == nil {
		w.value, w.deadline, w.owned = e.value, deadline, owned
	}
	return err
}

// remove writes that a key is no more.
func (tx *Tx) remove(key string) error {
	w, err := tx.write(key, kindDelete, appendKeyRecord(tx.make(8 + len(key))[:0], kindDelete, key))
	if err == nil {
		w.gone = true
	}
	return err
}

// make returns room for n bytes. What was given out before stays where it is.
func (tx *Tx) make(n int) []byte {
	if len(tx.room) < n {
		tx.room = make([]byte, max(n, min(2*cap(tx.room), 64<<10), 512))
	}
	b := tx.room[:n:n]
	tx.room = tx.room[n:]
	return b
}

// written returns the transaction's write to a key, or nil.
func (tx *Tx) written(key string) *txWrite {
	if tx.places != nil {
		if i, ok := tx.places[key]; ok {
			return &tx.writes[i]
		}
		return nil
	}
	for i := range tx.writes {
		if tx.writes[i].key == key {
			return &tx.writes[i]
		}
	}
	return nil
}

// write notes what becomes of a key, except for the fields that the caller sets, which it does
// in place.
func (tx *Tx) write(key string, kind byte, record []byte) (*txWrite, error) {
	w := tx.written(key)
	if w != nil {
		*w = txWrite{}
	} else {
		n := len(tx.writes)
		if limit := tx.store.maxTxKeys; n >= limit {
			return nil, fmt.Errorf("%w: transaction of more than %d keys", ErrTooLarge, limit)
		}
		tx.writes = append(tx.writes, txWrite{key: key})
		w = &tx.writes[n]
		if len(tx.writes) > fewWrites {
			if tx.places == nil {
				tx.places = make(map[string]int)
				for i := range tx.writes {
					tx.places[tx.writes[i].key] = i
				}
			}
			tx.places[key] = n
		}
	}
	w.key, w.kind, w.record = key, kind, record
	return w, nil
}

// earliest returns the earliest deadline that was written, or math.MaxInt64.
func (tx *Tx) earliest() int64 {
	first := int64(math.MaxInt64)
	for i := range tx.writes {
		if d := tx.writes[i].deadline; d != 0 {
			first = min(first, d)
		}
	}
	return first
}
