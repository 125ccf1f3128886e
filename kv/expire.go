package kv

import (
	"errors"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emberkv/ember/internal/hash"
)

const (
	// expireBatch is how many keys are removed under one hold of a shard's lock,
	// and in one append.
	expireBatch = 64

	// expireInterval is the least time between two rounds. Reads hide a key at its
	// deadline to the millisecond; that it is deleted is only tidiness.
	expireInterval = 10 * time.Millisecond

	// expireRetry is the time until the next round when the gate let no delete in.
	expireRetry = time.Second

	// expireHorizon bounds the sleep: timers do not hear of a wall clock that is
	// set forward.
	expireHorizon = time.Minute
)

// An expirer deletes keys whose deadline has passed, on the store that takes
// writes, and logs each delete. On a store that follows it does nothing: the
// deletes come with the log.
//
// It is a timer, set for the earliest deadline of all. While no key has one there
// is no goroutine, and none sleeps in between.
type expirer struct {
	store *Store

	// armed is the deadline for which the timer is set; math.MaxInt64 when it is
	// not, math.MinInt64 during a round, which looks for the next one itself.
	armed atomic.Int64

	// batch is held while a batch is removed. Before the shards' locks.
	batch sync.Mutex

	mu struct {
		sync.Mutex
		timer  *time.Timer
		closed bool
		round  chan struct{} // closed when the round under way has ended; nil if none is
	}
}

func (x *expirer) init(s *Store) {
	x.store = s
	x.armed.Store(math.MaxInt64)
}

// wake takes notice of a deadline that was set. It must be called after the
// shard's lock was let go of.
func (x *expirer) wake(deadline int64) {
	if deadline >= x.armed.Load() || x.store.following.Load() {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if deadline < x.armed.Load() {
		x.armLocked(deadline, 0)
	}
}

// armLocked sets the timer for a deadline, but not before delay has passed.
func (x *expirer) armLocked(deadline int64, delay time.Duration) {
	if x.mu.closed {
		return
	}
	x.armed.Store(deadline)
	if deadline == math.MaxInt64 {
		return
	}
	d := span(max(deadline-x.store.clock.now(), 0))
	d = min(max(d, delay), max(expireHorizon, delay))
	if x.mu.timer == nil {
		x.mu.timer = time.AfterFunc(d, x.run)
	} else {
		x.mu.timer.Reset(d)
	}
}

// run is a round, on the timer's goroutine.
func (x *expirer) run() {
	x.mu.Lock()
	if x.mu.closed || x.mu.round != nil {
		x.mu.Unlock()
		return
	}
	round := make(chan struct{})
	x.mu.round = round
	x.armed.Store(math.MinInt64)
	x.mu.Unlock()

	delay := expireInterval
	if err := x.expireAll(); err != nil {
		delay = expireRetry
	}

	// From here on deadlines that are set arm the timer again, so none is missed
	// by the search that follows.
	x.armed.Store(math.MaxInt64)
	next := x.earliest()
	x.mu.Lock()
	x.mu.round = nil
	// A timer that was armed since has perhaps fired, and found this round: it is
	// set again in any case.
	x.armLocked(min(next, x.armed.Load()), delay)
	x.mu.Unlock()
	close(round)
}

// earliest returns the earliest deadline of all keys, or math.MaxInt64.
func (x *expirer) earliest() int64 {
	t := x.store.table.Load()
	if t == nil || x.store.following.Load() {
		return math.MaxInt64
	}
	next := int64(math.MaxInt64)
	for i := range t.shards {
		m := &t.shards[i].mu
		m.Lock()
		if d, ok := m.deadlines.earliest(); ok {
			next = min(next, d.at)
		}
		m.Unlock()
	}
	return next
}

// errFollowing ends a round on a store that has begun to follow.
var errFollowing = errors.New("kv: following")

// expireAll removes what is due now. It returns the gate's error.
func (x *expirer) expireAll() error {
	s := x.store
	t := s.table.Load()
	if t == nil {
		return nil
	}
	defer s.waiters.wake() // also when the gate lets no more in
	now := s.clock.now()
	for i := range t.shards {
		for {
			more, err := x.expireSome(t, &t.shards[i], now)
			if err != nil {
				return err
			}
			if !more {
				break
			}
		}
		s.waiters.wake()
	}
	return nil
}

// expireSome removes a batch of a shard's keys and reports whether there may be
// more.
func (x *expirer) expireSome(t *table, sh *shard, now int64) (more bool, err error) {
	s := x.store
	x.batch.Lock()
	defer x.batch.Unlock()
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if s.table.Load() != t {
		return false, nil
	}
	if s.following.Load() {
		return false, errFollowing
	}
	due := sh.due(now, expireBatch)
	if len(due) == 0 {
		return false, nil
	}
	var records []byte
	for i := range due {
		records = appendKeyRecord(records, kindExpired, text(due[i].key))
	}
	if _, err := s.log.Append(records); err != nil {
		return false, err
	}
	for i := range due {
		// Located again: removing one may have moved another.
		var at found
		sh.locate(due[i].hash, text(due[i].key), &at)
		sh.remove(due[i].hash, &at)
	}
	s.counts.expiries.Add(int64(len(due)))
	return len(due) >= expireBatch, nil
}

// A dueKey is a key whose deadline has passed.
type dueKey struct {
	hash uint64
	key  []byte // of a slab
}

// due returns about n keys, those whose deadlines passed first.
func (sh *shard) due(now int64, n int) (keys []dueKey) {
	tree := sh.mu.deadlines.tree
	if tree == nil {
		return nil
	}
	d, slabs := sh.dir.Load(), sh.slabs.Load()
	tree.AscendLessThan(deadline{at: now + 1}, func(item deadline) bool {
		var p probe
		for p.begin(d, item.hash); ; {
			_, _, ref, ok := p.next()
			if !ok {
				break
			}
			if e := slabs.entryAt(ref); e.deadline == item.at && hash.Bytes(sh.seed, e.key) == item.hash {
				if keys == nil {
					keys = make([]dueKey, 0, n) // once, and not before there is one
				}
				keys = append(keys, dueKey{item.hash, e.key})
			}
		}
		return len(keys) < n
	})
	return keys
}

// restart looks for the earliest deadline anew, after following has ended or the
// contents were replaced.
func (x *expirer) restart() {
	next := x.earliest()
	if next != math.MaxInt64 {
		x.wake(next)
	}
}

// startAfter looks for the earliest deadline, and acts on none before delay has passed.
func (x *expirer) startAfter(delay time.Duration) {
	next := x.earliest()
	x.mu.Lock()
	defer x.mu.Unlock()
	x.armLocked(next, delay)
}

// pause returns when no batch is under way that began before following was set.
func (x *expirer) pause() {
	x.batch.Lock()
	//lint:ignore SA2001 to have held the lock is all that is wanted
	x.batch.Unlock()
}

// close stops the timer and waits for the round under way.
func (x *expirer) close() {
	x.mu.Lock()
	x.mu.closed = true
	if x.mu.timer != nil {
		x.mu.timer.Stop()
	}
	round := x.mu.round
	x.mu.Unlock()
	if round != nil {
		<-round
	}
}

// SetFollower says whether the store follows another one from now on. A store
// that follows deletes no key by itself, and takes its clock from SetClock. When
// it returns, no expiry that would not begin now is still under way.
//
// It neither opens nor closes the store for writes; the log's gate does. But under
// [Options.WritableReplica] a store that follows takes local writes, and makes them
// ordinary ones when it stops following.
func (s *Store) SetFollower(following bool) {
	if s.local != nil {
		if !following {
			s.publishLocals()
		}
		s.local.taking.Store(following)
	}
	s.following.Store(following)
	if following {
		s.expirer.pause()
	} else {
		s.expirer.restart()
	}
	s.waiters.wake()
}

// Clock returns the clock by which the store's deadlines pass, in Unix
// milliseconds: the wall clock, or, on a store that follows or has followed
// another, the clock of the node that wrote, as far as it is known.
func (s *Store) Clock() int64 { return s.clock.now() }

// SetClock sets the clock of the node that writes, in Unix milliseconds. The
// store's clock goes on from there, and stays there when following ends. It is
// ignored unless the store follows. A reading less than a second behind the
// clock is taken for a delayed one, and ignored as well.
func (s *Store) SetClock(unixMilli int64) {
	if s.following.Load() {
		s.clock.set(unixMilli)
	}
	s.waiters.wake()
}
