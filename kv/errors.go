package kv

import (
	"errors"
	"fmt"
	"strings"

	"github.com/emberkv/ember/backlog"
)

// Errors of single operations. Nothing has changed when one is returned. A write
// also returns the error of the log's gate, which says why this node takes no
// writes now, and that of its settler, which does not undo the write.
var (
	// ErrNotFound is returned for a key that does not exist, or whose deadline
	// has passed.
	ErrNotFound = errors.New("kv: key not found")

	// ErrExists is returned by [Store.Set] with [IfAbsent] for a key that exists.
	ErrExists = errors.New("kv: key exists")

	// ErrEmptyKey is returned for a write to the empty key, which no store holds.
	ErrEmptyKey = errors.New("kv: empty key")

	// ErrTooLarge is returned for a key longer than [rdb.MaxKeyBytes] or a value
	// longer than [rdb.MaxValueBytes], and for a write of more than
	// [Options.MaxTxKeys] keys, or of more bytes than fit a record, or than
	// [Options.MaxBytes] has room for in an empty store.
	ErrTooLarge = errors.New("kv: too large")

	// ErrNotInteger is returned by [Store.Add] for a value that is not a decimal
	// number of 64 bits in its shortest form.
	ErrNotInteger = errors.New("kv: value is not an integer")

	// ErrOverflow is returned by [Store.Add] when the result does not fit in 64 bits.
	ErrOverflow = errors.New("kv: integer overflow")

	// ErrFull is returned when there is no room: a write would pass [Options.MaxBytes],
	// and nothing can be evicted for it. Delete something, or try again when snapshots
	// have been closed.
	//
	// What a write depends on is not evicted for it: the key's own value for Add, CompareAndSwap,
	// Expire, Persist, Rename and a Set with IfPresent or KeepTTL; all that it has read or written
	// for an Update. Such a write needs room for the old value, the new one and its place in the
	// log, and always gets ErrFull where these do not fit. A Set without conditions does not: it
	// may evict what it is about to replace.
	//
	// ErrFull is returned, too, when a shard has used up what its slots can address, 117 million
	// keys or 8 TiB, whatever MaxBytes is: use a table of more shards.
	ErrFull = errors.New("kv: full")

	// ErrClosed is returned by every method after [Store.Close], and by those of a
	// [Snapshot] after its own.
	ErrClosed = errors.New("kv: closed")
)

// Errors of transactions. Nothing has changed when one is returned.
var (
	// ErrConflict is returned by the methods of a [Tx] when another writer has
	// changed what was read; the function is then run again. It is returned by
	// [Store.Update] when that happened too often: there is too much to do at
	// once, or there are too many writers.
	ErrConflict = errors.New("kv: overtaken by other writers")

	// ErrTxDone is returned by the methods of a [Tx] after its function has
	// returned.
	ErrTxDone = errors.New("kv: transaction has ended")

	// ErrReadOnlyTx is returned by the writing methods of the [Tx] of a
	// [Store.View].
	ErrReadOnlyTx = errors.New("kv: transaction is for reading")
)

// Errors of a node that follows others, or is followed.
var (
	// ErrLost is returned by [Store.Wait] for a position in an earlier history
	// beyond its end. What was written there is not in this store, and never
	// will be.
	ErrLost = errors.New("kv: position was lost in a fork")

	// ErrStale is returned by reads on a node that follows, when its link to the master is
	// down or its data are older than its options allow to be read (Reading of package
	// repl). It passes; ask another node, or the master, meanwhile. See
	// [Store.SetStaleAfter].
	ErrStale = errors.New("kv: STALE: data may be older than allowed")

	// ErrNotLocal is returned by [Store.Clear] and [Store.DeletePrefix] on a replica that
	// takes local writes (Options.WritableReplica): those would have to hide any number of
	// keys that are replicated. Delete them one by one.
	ErrNotLocal = errors.New("kv: not among the writes that a replica takes")

	// ErrRecord is returned by [Store.Apply], and by a loader, inside a
	// [*RecordError], for bytes that are no record of this package.
	ErrRecord = errors.New("kv: malformed record")

	// ErrReplaced is returned by [Store.Dump] when the store's contents were
	// exchanged under it, by [Store.Restore], [Store.Repair] or the end of a full
	// copy. Begin again.
	ErrReplaced = errors.New("kv: contents were replaced during a dump")

	// ErrDamaged is returned by [Store.Apply], and by methods that give the
	// contents of a position, after a record was logged but could not be applied,
	// which takes an [ErrFull]. Only a full copy repairs it.
	ErrDamaged = errors.New("kv: a logged record was not applied")
)

// Errors of a loader, which [Store.Load] returns, and of [Store.Restore]. The
// state in use is untouched; what was loaded is of no use.
var (
	// ErrBlock is returned for a block that does not fit: of a shard out of range,
	// out of order, with a number of entries other than it says, with a key twice
	// or one that belongs to another shard.
	ErrBlock = errors.New("kv: block does not fit")

	// ErrAside is returned when more than [MaxAsideBytes] of records came for
	// shards whose blocks were not complete.
	ErrAside = errors.New("kv: too many records for incomplete shards")

	// ErrIncomplete is returned by Commit when shards are missing.
	ErrIncomplete = errors.New("kv: shards are missing")

	// ErrDigest is returned by Commit when the number of keys, their sum or the
	// position differ from the sender's.
	ErrDigest = errors.New("kv: contents differ from the sender's")

	// ErrRepair is returned by [Store.Tail], [Store.State] and [Store.Repair] when the end
	// of a log cannot be exchanged for another one by its keys. Then it takes a full copy.
	ErrRepair = errors.New("kv: tail cannot be repaired by its keys")

	// ErrAborted is returned by a loader that was aborted or has committed.
	ErrAborted = errors.New("kv: loader has ended")
)

// Errors of a store that is kept on disk.
var (
	// ErrLocked is returned by [Open] for a folder that another store uses, in this process
	// or in another.
	ErrLocked = errors.New("kv: folder is in use")

	// ErrCorrupt is returned by [Open], inside a [*CorruptError], for files that are damaged
	// where a crash does not damage them. They are left as they are. Restore a copy of the
	// folder, begin with an empty one as a replica, or set Durability.Repair.
	ErrCorrupt = errors.New("kv: files are damaged")

	// ErrDisk is returned, with the reason, by a write while the journal cannot be written;
	// the write has changed nothing. Reads and replication go on; writes are taken again
	// when the journal has been written.
	ErrDisk = errors.New("kv: journal cannot be written")

	// ErrDiskSlow is returned inside a [*NotDurableError] when the disk has not caught up
	// within Durability.DiskTimeout; and then inside an ErrDisk to later writes, until it has.
	ErrDiskSlow = errors.New("kv: disk is too slow")

	// ErrInMemory is returned by [Store.Durable] and [Store.Save] of a store in memory.
	ErrInMemory = errors.New("kv: store is in memory only")
)

// A CorruptError says where a file is damaged. It is an [ErrCorrupt].
type CorruptError struct {
	File   string
	Offset int64 // in the file; 0 if it is the whole that is wrong
	Err    error // what is wrong there
}

func (e *CorruptError) Error() string {
	if e.Offset == 0 {
		return fmt.Sprintf("%v: %s: %v", ErrCorrupt, e.File, e.Err)
	}
	at := fmt.Sprintf("at byte %d", e.Offset)
	return fmt.Sprintf("%v: %s, %s: %s", ErrCorrupt, e.File, at, strings.TrimSuffix(e.Err.Error(), " ("+at+")"))
}

// Unwrap returns ErrCorrupt and e.Err.
func (e *CorruptError) Unwrap() []error { return []error{ErrCorrupt, e.Err} }

// A NotDurableError is returned by a write that stands, here and perhaps on others, but is
// not on disk as Durability.Fsync promises. It will be, unless the process ends first.
// [Store.Durable] waits for it.
type NotDurableError struct {
	Position backlog.Position // after the write
	Err      error            // wraps ErrDisk, ErrDiskSlow or ErrClosed
}

func (e *NotDurableError) Error() string {
	return fmt.Sprintf("kv: write up to %s is not durable: %v", e.Position, e.Err)
}

// Unwrap returns e.Err.
func (e *NotDurableError) Unwrap() error { return e.Err }

// ErrInvalid is returned, as an [*InvalidError], for an argument or an option that makes no sense.
// Nothing has changed.
var ErrInvalid = errors.New("kv: invalid argument")

// An InvalidError says which argument or option makes no sense, and what would. It is an
// [ErrInvalid].
type InvalidError struct {
	Field string // the parameter, or the option
	Value any
	Want  string
}

// wantLifetime is of what a key is given to live.
const wantLifetime = "more than 0, and an end within 64 bits of milliseconds since 1970"

// wantTime is of the deadline that a key is given.
const wantTime = "one within 64 bits of milliseconds since 1970"

func (e *InvalidError) Error() string {
	value := e.Value
	if s, ok := value.(string); ok {
		value = fmt.Sprintf("%.100q", s)
	}
	return fmt.Sprintf("%v: %s is %v, want %s", ErrInvalid, e.Field, value, e.Want)
}

// Unwrap returns ErrInvalid.
func (e *InvalidError) Unwrap() error { return ErrInvalid }

// A RecordError is returned for a record that cannot be taken. None of the
// records that came with it were taken either.
type RecordError struct {
	Offset int64 // of the record, in the log
	Err    error // wraps ErrRecord, or the decoder's error
}

func (e *RecordError) Error() string { return fmt.Sprintf("%v (at offset %d)", e.Err, e.Offset) }

// Unwrap returns e.Err.
func (e *RecordError) Unwrap() error { return e.Err }

// ErrLoadTimeout is returned by [Map.Load], inside a [*LoadError], when a load has taken
// longer than MapOptions.LoadTimeout, or has waited that long for its turn.
var ErrLoadTimeout = errors.New("kv: load takes too long")

// A LoadError is returned by [Map.Load] when the loader has failed. Nothing has changed,
// except that the error is remembered for MapOptions.ErrorTTL.
type LoadError struct {
	Key    string // in the store, with the map's prefix
	Err    error  // the loader's, ErrLoadTimeout or a *PanicError; when remembered, one with its text
	Cached bool   // it was remembered
}

func (e *LoadError) Error() string {
	why := strings.TrimPrefix(e.Err.Error(), "kv: ")
	if e.Cached {
		return fmt.Sprintf("kv: load of %.100q failed before: %s", e.Key, why)
	}
	return fmt.Sprintf("kv: load of %.100q: %s", e.Key, why)
}

// Unwrap returns e.Err.
func (e *LoadError) Unwrap() error { return e.Err }

// A PanicError is returned by [Map.Load], inside a [*LoadError], when the loader panics.
type PanicError struct {
	Value any    // of the panic
	Stack []byte // of the loader's goroutine, as runtime/debug.Stack returns it
}

func (e *PanicError) Error() string { return fmt.Sprintf("kv: panic: %v", e.Value) }

// Unwrap returns the value of the panic if it is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}
