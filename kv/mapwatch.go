package kv

import (
	"context"
	"iter"
	"strings"

	"github.com/emberkv/ember/backlog"
)

// A MapEvent is an [Event] of a [Map]. The Event in it has the key as it is in the store,
// and the encoded value.
type MapEvent[K, V any] struct {
	Event
	Key   K // the zero value for EventDeletePrefix, EventReset and EventSynced; see Covers
	Value V // of EventPut
}

// Watch returns an iterator over the changes of the map's keys. It is the typed form of
// [Store.Watch]. What a loader has left in place of a value that does not exist (see
// MapOptions.NegativeTTL) comes as an [EventDelete].
//
// An event that cannot be decoded comes with a [*CodecError] and what could be decoded of
// it; the loop may go on to the next event. After any other error nothing follows.
func (m *Map[K, V]) Watch(ctx context.Context, from backlog.Position) iter.Seq2[MapEvent[K, V], error] {
	return func(yield func(MapEvent[K, V], error) bool) {
		for raw, err := range m.store.Watch(ctx, m.prefix, from) {
			e := MapEvent[K, V]{Event: raw}
			if err == nil {
				err = m.decodeEvent(&e)
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

// decodeEvent fills in what the store's event says.
func (m *Map[K, V]) decodeEvent(e *MapEvent[K, V]) (err error) {
	switch e.Kind {
	case EventDeletePrefix, EventReset, EventSynced:
		return nil
	}
	if e.Key, err = m.decodeKey(e.Event.Key); err != nil || e.Kind != EventPut {
		return err
	}
	if m.loading {
		h, err := m.holding(bytesOf(e.Event.Key), e.Event.Value)
		if err != nil {
			return err
		}
		if e.Event.Value = h.value; h.kind != holdsValue {
			e.Kind, e.Event.Value = EventDelete, nil
			return nil
		}
	}
	e.Value, err = m.decodeValue(bytesOf(e.Event.Key), e.Event.Value)
	return err
}

// Covers reports whether an [EventDeletePrefix] says that a key was deleted.
func (m *Map[K, V]) Covers(e MapEvent[K, V], key K) bool {
	k, err := m.key(key)
	return err == nil && e.Kind == EventDeletePrefix && strings.HasPrefix(k, e.Event.Key)
}
