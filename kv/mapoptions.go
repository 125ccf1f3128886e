package kv

import (
	"context"
	"fmt"
	"time"

	"github.com/emberkv/ember/backlog"
)

const (
	// DefaultMaxLoads is how many loads a [Map] has under way at most, unless
	// MapOptions say otherwise.
	DefaultMaxLoads = 64

	// DefaultLoadTimeout bounds a load, unless MapOptions say otherwise.
	DefaultLoadTimeout = 10 * time.Second

	// DefaultForwardTimeout bounds a question to the master's node, unless MapOptions
	// say otherwise.
	DefaultForwardTimeout = time.Second

	// NoCache is returned by [MapOptions.Load], in place of a lifetime, for a
	// value that is not to be kept.
	NoCache time.Duration = -2
)

// MapOptions configure a [Map]. The zero value, and a nil pointer, are the defaults: a map
// without a loader.
type MapOptions[K, V any] struct {
	// Keys encodes the keys. nil means [Strings], [Bytes] or [Integers] for string,
	// []byte and the integer types; any other type needs a codec.
	Keys KeyCodec[K]

	// Values encodes the values. nil means [Strings] and [Bytes] for string and []byte,
	// and [JSON] for all other types.
	Values Codec[V]

	// Load fetches what the map lacks from its source; see [Map.Load]. Every map of the prefix needs a
	// loader, on replicas, too, or none may have one: a map without takes what one with a loader
	// puts before each value for a part of it.
	//
	// It returns the value and how long it may be kept: 0 means TTL, [NoTTL] for ever,
	// [NoCache] not at all. [ErrNotFound], which may be wrapped, or a nil pointer, slice,
	// map or interface says that there is no such value. Afterwards it must not modify the
	// value, which all who have waited for it get.
	//
	// It is called in a goroutine of the map's, for several keys concurrently. Its ctx
	// carries no values of the callers' contexts, and ends after LoadTimeout and with
	// [Map.Close]; then it must return, since Close waits for it. It may use the map and
	// the store, but not close them. When it panics, those who wait get a [*PanicError].
	Load func(ctx context.Context, key K) (V, time.Duration, error)

	// Forward asks the master's node to load a key, in place of Load, while this node
	// takes no writes: say, by an HTTP request, which the master's node answers after
	// [Map.Load] with its [Store.Position]. It returns that Position, for which the map
	// waits, or ErrNotFound, which may be wrapped. After any other error the value is
	// loaded here, and returned without being kept; for a second Forward is not called,
	// and then for one key before the others. Its ctx is like Load's. nil means that
	// replicas load by themselves.
	Forward func(ctx context.Context, key K) (backlog.Position, error)

	// TTL is how long a value is kept when Load does not say. 0 means for ever.
	TTL time.Duration

	// RefreshAfter is the age at which a value is loaded anew when it is asked for.
	// Everybody gets the old one at once until there is a new one. It must be less than
	// TTL if there is one. 0 means never.
	RefreshAfter time.Duration

	// NegativeTTL is how long the map remembers that there is no such value, and
	// ErrorTTL that Load failed otherwise, with the error's text. 0 means that the
	// next caller has it tried again. Neither drops an old value whose refresh failed.
	NegativeTTL, ErrorTTL time.Duration

	// LoadTimeout bounds how long a load takes, and before that how long it waits
	// for its turn. 0 means [DefaultLoadTimeout], negative no bound.
	LoadTimeout time.Duration

	// ForwardTimeout bounds how long Forward and the wait for its Position may take. 0
	// means [DefaultForwardTimeout], negative no bound but LoadTimeout.
	ForwardTimeout time.Duration

	// MaxLoads bounds the loads that are under way at once; the others wait, in the
	// order in which they came. 0 means [DefaultMaxLoads], negative no bound.
	MaxLoads int
}

// checked returns the options with all defaults filled in.
func (o *MapOptions[K, V]) checked() (MapOptions[K, V], error) {
	c := MapOptions[K, V]{}
	if o != nil {
		c = *o
	}
	if c.Keys == nil {
		c.Keys = defaultKeys[K]()
	}
	if c.Keys == nil {
		return c, &InvalidError{Field: "MapOptions.Keys", Value: nil, Want: fmt.Sprintf("a codec for keys of type %T", *new(K))}
	}
	if c.Values == nil {
		c.Values = defaultValues[V]()
	}
	for _, f := range []struct {
		name  string
		value time.Duration
	}{{"TTL", c.TTL}, {"RefreshAfter", c.RefreshAfter}, {"NegativeTTL", c.NegativeTTL}, {"ErrorTTL", c.ErrorTTL}} {
		if f.value < 0 {
			return c, &InvalidError{Field: "MapOptions." + f.name, Value: f.value, Want: "0 or more"}
		}
	}
	if c.TTL > 0 && c.RefreshAfter >= c.TTL {
		return c, &InvalidError{Field: "MapOptions.RefreshAfter", Value: c.RefreshAfter, Want: fmt.Sprintf("less than the TTL of %v", c.TTL)}
	}
	if c.LoadTimeout == 0 {
		c.LoadTimeout = DefaultLoadTimeout
	}
	if c.ForwardTimeout == 0 {
		c.ForwardTimeout = DefaultForwardTimeout
	}
	if c.MaxLoads == 0 {
		c.MaxLoads = DefaultMaxLoads
	}
	return c, nil
}

// loads reports whether the map has a loader, so that its values have a header.
func (o *MapOptions[K, V]) loads() bool { return o.Load != nil || o.Forward != nil }
