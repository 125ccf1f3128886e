package kv

import (
	"fmt"
	"math"
	"sync/atomic"
)

const (
	// DefaultMaxRetries is how often [Store.Update] runs its function again, unless
	// Options say otherwise.
	DefaultMaxRetries = 100

	// DefaultMaxTxKeys is how many keys one write may concern, unless Options say
	// otherwise.
	DefaultMaxTxKeys = 10_000

	// viewAttempts is how often a View tries without a cut of the whole store.
	viewAttempts = 3
)

// A Tx is the store as the function of one [Store.Update] or [Store.View] sees it: as it
// is at one moment, with the function's own writes. Only the goroutine that the function
// was called on may use it, until the function returns; then every method returns
// [ErrTxDone], and iterators yield nothing.
//
// What a Tx has read may be overtaken by other writers while the function runs. The next
// read finds out, and returns [ErrConflict], as every method does from then on; so the
// function never sees a part of one state and a part of another. It should then return,
// with any error, and is run again. An iteration cannot return an error: instead it ends
// the function, as a panic would; deferred calls are made.
//
// What the function reads stays valid, and must not be modified, as with [Store.Get].
type Tx struct {
	store    *Store
	writable bool
	ended    atomic.Bool

	// Of one attempt.
	table     *table
	local     *localView
	err       error // what every call returns
	unwinding bool  // an iteration ends the function
	seen      reads
	moment    int64     // by which deadlines pass until there is a cut; 0 before the first is met
	cut       *Snapshot // from which everything is read, once there is one
	writes    []txWrite
	places    map[string]int // in writes, once those are many
	room      []byte         // for further writes' records

	after []func() // called when the writes show

	first *txRoom // where the first writes and their records lie; nil in a View
	shown bool    // some of what lies there was handed out
}

// A txRoom is room for what most Updates write. It is used again: memory that is new costs an
// Update of few keys a fifth of its time.
type txRoom struct {
	writes  [4]txWrite
	records [512]byte
}

// Update runs fn, and then carries out what fn wrote: at once for every reader, every
// follower and every snapshot, as one record of the log. If fn returns an error,
// Update returns that, and nothing was written; nor after a panic, which is passed
// on.
//
// No lock is held while fn runs. When another writer has changed what fn has read, Update
// runs it again, up to [Options.MaxRetries] times, then returns [ErrConflict]; so fn must
// have no other effects that cannot be repeated. fn may also use the store directly, and
// may call Update, of which the outer one knows nothing: a key that both concern is a
// conflict.
//
// While what fn wrote is carried out, writers to the shards of its keys wait: about a
// microsecond for each key, and for many keys that is all writers. Readers never wait.
//
// An Update that writes one key logs a plain record; one that changes nothing logs none.
// Update returns an [*InvalidError] for a nil fn, [ErrTooLarge] when the writes together
// exceed [backlog.MaxRecordBytes], [ErrFull], [ErrClosed], and the errors of the log's
// gate, after which fn is not run, and settler.
func (s *Store) Update(fn func(*Tx) error) error {
	if fn == nil {
		return &InvalidError{Field: "fn", Value: nil, Want: "a function"}
	}
	if err := s.unchanged(nil); err != nil && !s.takesLocally() {
		return err
	}
	tx := &Tx{store: s, writable: true}
	tx.takeRoom()
	defer tx.end()
	for retries := 0; ; retries++ {
		w := s.beginWrite()
		end, err := tx.attempt(fn)
		switch {
		case tx.err == ErrConflict && retries < s.maxRetries:
			continue
		case tx.err == ErrConflict:
			return fmt.Errorf("%w, %d times", ErrConflict, retries+1)
		case err != nil:
			return err
		}
		tx.committed()
		switch end {
		case localEnd:
			return nil
		case 0:
			return s.unchanged(nil)
		}
		if d := tx.earliest(); d != math.MaxInt64 {
			s.expirer.wake(d)
		}
		return w.settle(end)
	}
}

// View runs fn, which sees the store as it is at one moment, and returns fn's error. It
// holds up no writer. When others write what fn has read, fn is run again, a few times
// at most: the last time on a snapshot of the store, see [Snapshot]. View returns an
// [*InvalidError] for a nil fn, [ErrStale], also when reads are refused while fn runs,
// [ErrClosed], and, where it takes a snapshot, [ErrDamaged].
func (s *Store) View(fn func(*Tx) error) error {
	if fn == nil {
		return &InvalidError{Field: "fn", Value: nil, Want: "a function"}
	}
	tx := &Tx{store: s}
	defer tx.end()
	for try := 1; ; try++ {
		if err := tx.begin(); err != nil {
			return err
		}
		if try > viewAttempts {
			if err := tx.beginWithCut(); err != nil {
				return err
			}
		}
		err := tx.run(fn)
		if tx.err == ErrConflict {
			continue
		}
		if err == nil {
			err = tx.err
		}
		return err
	}
}

// begin begins an attempt. It returns ErrClosed or ErrStale.
func (tx *Tx) begin() (err error) {
	tx.closeCut()
	tx.err, tx.unwinding, tx.moment = nil, false, 0
	tx.local = tx.store.localView() // first; see lookUp
	tx.table, err = tx.store.readable()
	tx.seen.reset()
	clear(tx.writes)
	tx.writes, tx.places, tx.after = tx.writes[:0], nil, nil
	return err
}

// attempt runs fn and commits what it wrote. When tx.err is ErrConflict afterwards,
// everything else it returns means nothing.
func (tx *Tx) attempt(fn func(*Tx) error) (end int64, err error) {
	if err := tx.begin(); err != nil {
		return 0, err
	}
	if err = tx.run(fn); err == nil {
		err = tx.err
	}
	if err != nil || tx.err != nil {
		return 0, err
	}
	if tx.store.takesLocally() {
		if taken, err := tx.commitLocally(); taken {
			if err == ErrConflict {
				tx.err = err
			}
			return localEnd, err
		}
	}
	end, err = tx.commit()
	for try := 0; isShort(err) || resumed(err); try++ {
		if isShort(err) {
			if err = tx.store.makeRoom(err, try, tx.sparing()); err != nil {
				continue
			}
		}
		end, err = tx.commit()
	}
	if err == ErrConflict {
		tx.err = err
	}
	return end, err
}

// localEnd is the end, in place of the log's, of what was not logged.
const localEnd = -1

// unwound is what an iteration panics with that has no other way to say ErrConflict.
type unwound struct{ tx *Tx }

// run calls fn, and ends at unwound. Another panic is none of its business.
func (tx *Tx) run(fn func(*Tx) error) error {
	defer func() {
		if tx.unwinding {
			if r := recover(); r != nil && r != (unwound{tx}) {
				panic(r) // from a deferred call of fn's, in its place
			}
		}
	}()
	return fn(tx)
}

// end ends the transaction, however its function ended.
func (tx *Tx) end() {
	tx.ended.Store(true)
	tx.closeCut()
	tx.giveRoomBack()
}

// committed calls what is to be called when the writes show, before anybody is waited for.
func (tx *Tx) committed() {
	for _, f := range tx.after {
		f()
	}
}

// takeRoom takes room for writes from those that the store has.
func (tx *Tx) takeRoom() {
	r, ok := tx.store.txRooms.Get().(*txRoom)
	if !ok {
		r = new(txRoom)
	}
	tx.first, tx.writes, tx.room = r, r.writes[:0], r.records[:]
}

// giveRoomBack lets others use the room that was taken, unless what was handed out lies there. Nothing
// else refers to it: what was committed was copied to slabs and to the log.
func (tx *Tx) giveRoomBack() {
	r := tx.first
	tx.first, tx.writes, tx.places, tx.room = nil, nil, nil, nil
	if r != nil && !tx.shown {
		clear(r.writes[:])
		tx.store.txRooms.Put(r)
	}
}

func (tx *Tx) closeCut() {
	if tx.cut != nil {
		tx.cut.Close()
		tx.cut = nil
	}
}

// usable returns the error that every method returns now, if any.
func (tx *Tx) usable() error {
	if tx.ended.Load() {
		return ErrTxDone
	}
	return tx.err
}

// fail makes err the one that every call returns.
func (tx *Tx) fail(err error) error {
	tx.err = err
	return err
}
