package kv

import "context"

// refresh begins to load a value anew, in the background, if this node can do so, nobody
// else does, and there is room.
func (m *Map[K, V]) refresh(key K, k string) {
	if m.store.log.Refusing() != nil && (m.opts.Forward == nil || !m.store.following.Load()) {
		m.rest()
		return
	}
	if !m.flights.start(k, func(ctx context.Context, f *flight[V]) (V, error) { return m.renew(ctx, key, f) }) {
		m.counters.skipped.Add(1)
	}
}

// renew is what a flight does whose value is old.
func (m *Map[K, V]) renew(ctx context.Context, key K, f *flight[V]) (v V, err error) {
	was, err := m.store.peek(f.key)
	if err == ErrNotFound { // gone meanwhile: somebody may be waiting
		return m.load(ctx, key, f)
	}
	if err != nil {
		return v, err
	}
	h, err := m.holding(was.key, was.value)
	if err != nil {
		return v, err
	}
	if h.kind != holdsValue || !m.due(&h) {
		return m.answer(f.key, h)
	}
	m.counters.refreshes.Add(1)
	if m.store.closed() != nil {
		if m.opts.Forward != nil && m.store.following.Load() {
			m.forward(ctx, key, f.key) // which has it refreshed there
		}
		if h, err = m.lookUp(f.key); err != nil {
			return v, err
		}
		return m.answer(f.key, h)
	}
	renewed := false
	defer func() {
		if !renewed {
			m.postpone(f, was, h) // also when the loader panics
		}
	}()
	l, err := m.call(ctx, key, f.key)
	if err == nil {
		err = ctx.Err()
	}
	if err == nil && (l.err == nil || l.err == ErrNotFound) {
		err = m.keep(f, was.value, l)
		renewed = err == nil
	}
	if err != nil {
		return v, err
	}
	return l.v, l.err
}

// postpone puts off the next attempt to refresh a value.
func (m *Map[K, V]) postpone(f *flight[V], was entry, h holding) {
	value := appendHeader(make([]byte, 0, len(was.value)), refreshAt(m.store.clock.now(), max(m.opts.RefreshAfter/refreshTries, 1)))
	value = append(value, h.value...)
	m.store.replace(f.key, was.value, value, was.deadline, func() bool { return !f.void.Load() })
}
