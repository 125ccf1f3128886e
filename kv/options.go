package kv

import (
	"math"
	"time"
)

// Options configure a [Store]. The zero value, and a nil pointer, are the
// defaults. Every value is valid for [New], which cannot fail.
type Options struct {
	// LogBytes bounds the records that the store's log holds, in bytes: what a
	// follower may miss and still go on without a full copy. 0 means
	// [backlog.DefaultMaxBytes], which is a minute of some ten thousand small
	// writes a second. Negative means that nothing is held, for a store that
	// nobody follows.
	LogBytes int64

	// LogAge drops records that are older than this from the log, when others
	// come. 0 and negative mean no bound by age.
	LogAge time.Duration

	// Ordered keeps an index of the keys in the order of their bytes, which Range,
	// Prefix, Backward, Min and Max use. Without it they give the same, by a pass over
	// all keys. The package's documentation says what the index costs. A store and
	// those that follow it need not agree on it.
	Ordered bool

	// MaxRetries is how often [Store.Update] runs its function again when other
	// writers got in between. 0 means [DefaultMaxRetries], negative never.
	MaxRetries int

	// MaxTxKeys bounds the keys that one Update writes, or one DeletePrefix
	// removes; so it bounds how long other writers wait for it, here and on every
	// follower: about a microsecond for each key. 0 and negative mean
	// [DefaultMaxTxKeys]; more than 65,536, which is what a record holds, means
	// 65,536.
	MaxTxKeys int

	// MaxBytes bounds what the store takes: the table, the slabs with the dead bytes in
	// them, the index, the deadlines, and the log's window, as [Stats] has them. Eviction
	// says what becomes of a write that would pass the bound. 0 and negative mean no
	// bound. A store that follows another keeps what it is sent, whatever that takes; as
	// soon as it takes writes, each brings it closer to the bound.
	//
	// LogBytes counts against it, whether or not the log holds that much. If that is 0,
	// it means a sixteenth of MaxBytes, [backlog.DefaultMaxBytes] at most. When MaxBytes is less
	// than [MinMaxBytes], or the log leaves less than half of that, every write that takes memory
	// returns an [*InvalidError]. An entry should take no more than a fifth of MaxBytes, or no
	// write that depends on the key's present value can change it, not even Expire: see [ErrFull].
	MaxBytes int64

	// Eviction says what happens at MaxBytes.
	Eviction Eviction

	// Durability is how [Open] keeps the store on disk. A literal names the group:
	// Options{Durability: Durability{Fsync: FsyncAlways}}.
	Durability

	// WritableReplica lets a store that follows another take writes that stay local: they
	// go neither into the log nor to the store's own followers. The package's
	// documentation says what becomes of them. It costs nothing while it is off, or while
	// the store takes ordinary writes.
	WritableReplica bool

	// MaxLocalBytes bounds the writes that WritableReplica lets in: keys, values and 128
	// bytes for each. One that would pass the bound returns [ErrFull]. 0 and negative
	// mean [DefaultMaxLocalBytes]. It is not part of MaxBytes.
	MaxLocalBytes int64

	// OnLostTail is called when the store, as a follower, is about to take over a
	// state that lacks changes it had logged: once the state is complete and
	// verified, or, with DropFirst of package repl, before the old one is dropped. It
	// may read the store, which still has its old contents. The copy waits for it.
	OnLostTail func(LostTail)
}

// maxRetries and maxTxKeys return what the fields say.
func (o *Options) maxRetries() int {
	if o.MaxRetries == 0 {
		return DefaultMaxRetries
	}
	return max(o.MaxRetries, 0)
}

func (o *Options) maxTxKeys() int {
	if o.MaxTxKeys <= 0 {
		return DefaultMaxTxKeys
	}
	return min(o.MaxTxKeys, maxRecordKeys)
}

// NoTTL is what [Store.TTL] returns for a key without a deadline.
const NoTTL time.Duration = -1

// A SetOption changes what [Store.Set] does. It is a plain value: passing some
// allocates nothing.
type SetOption struct {
	kind setKind
	ms   int64
}

type setKind uint8

const (
	setTTL setKind = iota + 1
	setExpireAt
	setKeepTTL
	setIfAbsent
	setIfPresent
)

// TTL gives the key a deadline at d from now, on the clock of the node that
// writes. It counts in milliseconds; a fraction of one is rounded up. Set
// refuses a d that is not positive with an [*InvalidError].
func TTL(d time.Duration) SetOption { return SetOption{setTTL, milliseconds(d)} }

// ExpireAt gives the key a deadline at t, to the millisecond. If that has passed,
// Set deletes the key instead, as Redis does
// (https://redis.io/docs/latest/commands/expireat). Set refuses a t beyond 64 bits
// of milliseconds with an [*InvalidError].
func ExpireAt(t time.Time) SetOption {
	ms, err := deadlineAt(t)
	if err != nil {
		ms = -1
	}
	return SetOption{setExpireAt, ms}
}

// deadlineAt returns t in Unix milliseconds, 0 for what was before.
func deadlineAt(t time.Time) (int64, error) {
	switch {
	case t.After(time.UnixMilli(math.MaxInt64)):
		return 0, &InvalidError{Field: "t", Value: t, Want: wantTime}
	case t.Before(time.UnixMilli(0)):
		return 0, nil // further back UnixMilli overflows, too
	}
	return t.UnixMilli(), nil
}

// KeepTTL leaves the key's deadline as it is. Without it, or another deadline,
// Set removes the deadline.
func KeepTTL() SetOption { return SetOption{kind: setKeepTTL} }

// IfAbsent makes Set return [ErrExists], and change nothing, if the key exists.
func IfAbsent() SetOption { return SetOption{kind: setIfAbsent} }

// IfPresent makes Set return [ErrNotFound], and change nothing, unless the key
// exists.
func IfPresent() SetOption { return SetOption{kind: setIfPresent} }

// milliseconds returns d in milliseconds, rounded away from 0.
func milliseconds(d time.Duration) int64 {
	ms := d.Milliseconds()
	switch rest := d % time.Millisecond; {
	case rest > 0:
		ms++
	case rest < 0:
		ms--
	}
	return ms
}

// conditions are the options of one Set, put together.
type conditions struct {
	kind                setKind // of the deadline: setTTL, setExpireAt, setKeepTTL, or 0 for none
	ms                  int64
	ifAbsent, ifPresent bool
}

// combine checks options against each other.
func combine(opts []SetOption) (c conditions, err error) {
	for _, o := range opts {
		switch o.kind {
		case setIfAbsent:
			c.ifAbsent = true
		case setIfPresent:
			c.ifPresent = true
		default:
			if c.kind != 0 {
				return c, &InvalidError{Field: "opts", Value: "several", Want: "one of TTL, ExpireAt and KeepTTL"}
			}
			if o.kind == setTTL && o.ms <= 0 {
				return c, &InvalidError{Field: "TTL", Value: time.Duration(o.ms) * time.Millisecond, Want: wantLifetime}
			}
			if o.kind == setExpireAt && o.ms < 0 {
				return c, &InvalidError{Field: "ExpireAt", Value: "a time", Want: wantTime}
			}
			c.kind, c.ms = o.kind, o.ms
		}
	}
	if c.ifAbsent && c.ifPresent {
		return c, &InvalidError{Field: "opts", Value: "both", Want: "one of IfAbsent and IfPresent"}
	}
	return c, nil
}

// goesBy returns the key if what it has decides what a Set of it does.
func (c *conditions) goesBy(key string) []string {
	if c.ifPresent || c.kind == setKeepTTL {
		return []string{key}
	}
	return nil
}
