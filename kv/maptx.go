package kv

// A MapTx is a [Map] as a transaction sees it: what is written by it, by other MapTxs and by the
// [Tx] itself is written at once, or not at all. Like the Tx it ends with the transaction, and is
// for one goroutine.
//
// With a loader it shows and writes values, but loads nothing: where Map.Load would, Get returns
// [ErrNotFound]. A Load that began before the transaction was committed may still return what it
// has fetched, but does not keep it if the transaction has written the key.
type MapTx[K, V any] struct {
	of *Map[K, V]
	tx *Tx
}

// In returns the map as tx sees it. If tx is not a transaction of the map's store, every method
// returns an [*InvalidError].
//
//	err := store.Update(func(tx *kv.Tx) error {
//		users, orders := users.In(tx), orders.In(tx)
//		...
//	})
func (m *Map[K, V]) In(tx *Tx) MapTx[K, V] { return MapTx[K, V]{m, tx} }

// Get returns the value of a key, as [Map.Get] does; any of the store's memory in it must not
// be modified. It returns [ErrNotFound], a [*CodecError], and the errors of [Tx.Get].
func (t MapTx[K, V]) Get(key K) (v V, err error) {
	k, err := t.key(key)
	if err != nil {
		return v, err
	}
	raw, err := t.tx.Get(k)
	if err != nil {
		return v, err
	}
	return t.of.visible(bytesOf(k), raw)
}

// Set gives a key a value, with the options and errors of [Tx.Set], and a [*CodecError]. The
// deadline is only that of the options: MapOptions.TTL does not apply.
func (t MapTx[K, V]) Set(key K, v V, opts ...SetOption) error {
	k, err := t.key(key)
	if err != nil {
		return err
	}
	b := t.of.buffer()
	defer t.of.free(b)
	value, err := t.of.encodeValue(b, k, v)
	if err != nil {
		return err
	}
	if t.of.loading {
		t.void(k)
		if _, err := t.of.read(t.tx, k); err != nil { // there may be what is no value
			return err
		}
	}
	return t.tx.Set(k, value, opts...)
}

// Delete removes a key and reports whether it had a value. It returns a [*CodecError] for the key,
// and the errors of [Tx.Delete].
func (t MapTx[K, V]) Delete(key K) (bool, error) {
	k, err := t.key(key)
	if err != nil {
		return false, err
	}
	if !t.of.loading {
		return t.tx.Delete(k)
	}
	return t.deleteKey(k)
}

// deleteKey is Delete for a key of the store, of a map with a loader.
func (t MapTx[K, V]) deleteKey(k string) (existed bool, err error) {
	t.void(k)
	raw, err := t.tx.Get(k)
	if err != nil {
		return false, ignore(err, ErrNotFound)
	}
	h, err := parseHolding(raw)
	existed = h.kind == holdsValue || err != nil // what is not understood goes, too
	_, err = t.tx.Delete(k)
	return existed && err == nil, err
}

// void sees to it that nothing is kept of a key that was fetched before the transaction was committed:
// it is about to be written.
func (t MapTx[K, V]) void(k string) {
	void := func() { t.of.flights.voidKey(k) }
	void()
	if t.tx.writable && !t.tx.ended.Load() {
		t.tx.after = append(t.tx.after, void) // those that have begun meanwhile
	}
}

func (t MapTx[K, V]) key(key K) (string, error) {
	if t.tx == nil || t.tx.store != t.of.store {
		return "", &InvalidError{Field: "tx", Value: "another store's", Want: "a transaction of the map's"}
	}
	return t.of.key(key)
}
