package kv

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"time"
)

// afterFailure is for how long no other node is asked after that has failed, and nothing is
// refreshed on a node that cannot.
const afterFailure = time.Second

// refreshTries is in how many parts of RefreshAfter a value is tried again that could not be
// refreshed.
const refreshTries = 8

// Load returns a key's value like [Map.Get], and if the map has none, loads it with
// MapOptions.Load, and keeps it. However many ask for a key, only one load of it is under
// way at a time. All of them get its result, the same value, which must not be modified. A
// value that was kept is decoded for each caller.
//
// It blocks as long as that takes; ctx ends the wait, not the load. A value that has
// reached the age of RefreshAfter is returned at once, and loaded anew in the background;
// when that fails it is tried again after an eighth of RefreshAfter.
//
// When Load returns, others find what was loaded, unless the node takes no writes, or is
// full ([ErrFull]), or the key was written to while it was loaded: then the value is
// returned without being kept. A Set, Delete, Update or Clear of this map makes a load that
// began before it void: those who already wait for it get what it brings, and nobody else.
//
// Load returns [ErrNotFound] when there is no such value, a [*LoadError] when the load has failed, a [*CodecError],
// ctx.Err, [ErrStale] (it does not load what can soon be read again) and [ErrClosed]; and the store's error for a key
// that it never takes, or, inside a LoadError, for such a value. Without a loader it is Get.
func (m *Map[K, V]) Load(ctx context.Context, key K) (v V, err error) {
	if !m.loading {
		return m.Get(key)
	}
	b := m.buffer()
	k, err := m.encodeKey(b, key)
	if err != nil {
		return v, err
	}
	h, err := m.lookUp(k)
	if err != nil {
		return v, err
	}
	if h.kind == 0 {
		return m.miss(ctx, key, strings.Clone(k))
	}
	if m.due(&h) && !m.paused() {
		m.refresh(key, strings.Clone(k))
	}
	v, err = m.answer(k, h)
	m.free(b)
	return v, err
}

// lookUp returns what the store has of a key.
func (m *Map[K, V]) lookUp(k string) (holding, error) {
	var e entry
	if err := m.store.get(k, &e); err != nil {
		return holding{}, ignore(err, ErrNotFound)
	}
	return m.holding(e.key, e.value)
}

// answer returns what those who ask for a key get.
func (m *Map[K, V]) answer(k string, h holding) (v V, err error) {
	switch h.kind {
	case holdsValue:
		return m.decodeValue(bytesOf(k), h.value)
	case holdsError:
		return v, &LoadError{Key: strings.Clone(k), Err: errors.New(string(h.value)), Cached: true}
	}
	return v, ErrNotFound
}

// due reports whether a value is to be loaded anew.
func (m *Map[K, V]) due(h *holding) bool {
	return h.refresh != never && h.refresh <= m.store.clock.now()
}

// miss loads a key that the store does not have.
func (m *Map[K, V]) miss(ctx context.Context, key K, k string) (v V, err error) {
	if err := checkKey(k); err != nil {
		return v, err
	}
	m.counters.misses.Add(1)
	v, joined, err := m.flights.do(ctx, k, func(ctx context.Context, f *flight[V]) (V, error) {
		return m.load(ctx, key, f)
	})
	if joined {
		m.counters.joined.Add(1)
	}
	return v, err
}

// load is what a flight does that somebody waits for.
func (m *Map[K, V]) load(ctx context.Context, key K, f *flight[V]) (v V, err error) {
	was, err := m.store.peek(f.key)
	if err == nil { // another flight has landed meanwhile
		h, err := m.holding(was.key, was.value)
		if err != nil {
			return v, err
		}
		return m.answer(f.key, h)
	}
	if err != ErrNotFound {
		return v, err
	}
	if m.opts.Forward != nil && m.store.isElsewhere() {
		v, done, err := m.forward(ctx, key, f.key)
		if done || m.opts.Load == nil {
			return v, err
		}
	}
	l, err := m.call(ctx, key, f.key)
	if err != nil {
		return v, err
	}
	if err := ctx.Err(); err != nil {
		return v, err // those who have waited were told
	}
	if err := m.keep(f, nil, l); err != nil {
		return v, err
	}
	return l.v, l.err
}

// A loadResult is what the loader has said.
type loadResult[V any] struct {
	v   V
	ttl time.Duration
	err error // ErrNotFound, or a *LoadError; v is the zero value then
}

// call calls the loader. Its own errors are in what it returns; the error is that of a loader
// that there is not.
func (m *Map[K, V]) call(ctx context.Context, key K, k string) (l loadResult[V], err error) {
	if m.opts.Load == nil {
		return l, &LoadError{Key: k, Err: &InvalidError{Field: "MapOptions.Load", Value: nil, Want: "a loader, on a node that takes writes"}}
	}
	m.counters.loads.Add(1)
	failed := true
	defer func() {
		if failed {
			m.counters.failures.Add(1) // also if it panics
		}
	}()
	l.v, l.ttl, l.err = m.opts.Load(ctx, key)
	switch {
	case l.err == nil && isNil(&l.v), errors.Is(l.err, ErrNotFound):
		m.counters.notFound.Add(1)
		failed, l.err, l.ttl = false, ErrNotFound, m.opts.NegativeTTL
	case l.err != nil:
		l.err, l.ttl = &LoadError{Key: k, Err: l.err}, m.opts.ErrorTTL
	case l.ttl < 0 && l.ttl != NoTTL && l.ttl != NoCache:
		l.err, l.ttl = &LoadError{Key: k, Err: &InvalidError{Field: "lifetime from MapOptions.Load", Value: l.ttl, Want: "0 or more, NoTTL or NoCache"}}, 0
	default:
		failed = false
		if l.ttl == 0 && m.opts.TTL > 0 {
			l.ttl = m.opts.TTL
		} else if l.ttl == 0 {
			l.ttl = NoTTL
		}
	}
	if l.err != nil {
		var none V
		if l.v = none; l.ttl == 0 {
			l.ttl = NoCache
		}
	}
	return l, nil
}

// isNil reports whether a value is of a kind that can be nil, and is.
func isNil[V any](v *V) bool {
	switch r := reflect.ValueOf(v).Elem(); r.Kind() {
	case reflect.Pointer, reflect.Map, reflect.Slice, reflect.Interface, reflect.Func, reflect.Chan:
		return r.IsNil()
	}
	return false
}

// keep puts into the store what was loaded, unless the key has changed from was. It returns
// an error only for what can never be kept.
func (m *Map[K, V]) keep(f *flight[V], was []byte, l loadResult[V]) error {
	var b mapBuffer
	var value []byte // nil for none
	var err error
	switch {
	case l.ttl == NoCache:
	case l.err == ErrNotFound:
		value = []byte{holdsNothing}
	case l.err != nil:
		value = appendError(nil, errors.Unwrap(l.err).Error())
	default:
		if value, err = m.encodeValue(&b, f.key, l.v); err != nil {
			return err
		}
	}
	if value == nil && was == nil {
		if l.err == nil {
			m.counters.uncached.Add(1)
		}
		return nil
	}
	deadline, err := m.deadline(l.ttl)
	kept := false
	if err == nil {
		kept, err = m.store.replace(f.key, was, value, deadline, func() bool { return !f.void.Load() })
	}
	if !kept && (errors.Is(err, ErrTooLarge) || isInvalid(err)) {
		return &LoadError{Key: f.key, Err: err}
	}
	if (!kept || value == nil) && l.err == nil {
		m.counters.uncached.Add(1)
	}
	return nil
}

// deadline returns the deadline of what is kept for ttl.
func (m *Map[K, V]) deadline(ttl time.Duration) (int64, error) {
	if ttl < 0 {
		return 0, nil
	}
	return m.store.deadline(conditions{kind: setTTL, ms: milliseconds(ttl)})
}

func isInvalid(err error) bool {
	var i *InvalidError
	return errors.As(err, &i)
}
