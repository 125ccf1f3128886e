package kv

import (
	"math"

	"github.com/emberkv/ember/rdb"
)

// Set gives a key a value, of which it keeps a copy, and removes the key's
// deadline unless an option says otherwise. It returns [ErrEmptyKey],
// [ErrTooLarge], [ErrExists] or [ErrNotFound] for an option's condition that is not
// met, [ErrFull] at [Options.MaxBytes], like every write that takes memory, an
// [*InvalidError] for options that make no sense, [ErrClosed], and the errors of the
// log's gate and settler.
func (s *Store) Set(key string, value []byte, opts ...SetOption) error {
	if err := checkKey(key); err != nil {
		return err
	}
	if err := checkValue(value); err != nil {
		return err
	}
	var c conditions
	if len(opts) > 0 {
		var err error
		if c, err = combine(opts); err != nil {
			return err
		}
	}
	deadline, err := s.deadline(c)
	if err != nil {
		return err
	}
	if s.takesLocally() {
		if taken, err := s.setLocally(key, value, deadline, c); taken {
			return err
		}
	}
	w := s.beginWrite()
	end, err := s.setLogged(key, value, deadline, c)
	if err != nil || end == 0 {
		return s.unchanged(err)
	}
	if deadline > 0 {
		s.expirer.wake(deadline)
	}
	return w.settle(end)
}

// setLogged carries out a Set that is no local write. It returns the log's end after it, or 0
// when there was nothing to do.
func (s *Store) setLogged(key string, value []byte, deadline int64, c conditions) (end int64, err error) {
	end, err = s.set(key, value, deadline, c)
	for try := 0; s.again(&err, try, c.goesBy(key)...); try++ {
		end, err = s.set(key, value, deadline, c)
	}
	return end, err
}

// deadline returns the deadline that c asks for: 0 for none, or for the key's own,
// and a negative one for one that has passed.
func (s *Store) deadline(c conditions) (int64, error) {
	switch c.kind {
	case setTTL:
		now := s.clock.now()
		if c.ms > math.MaxInt64-now {
			return 0, &InvalidError{Field: "TTL", Value: span(c.ms), Want: wantLifetime}
		}
		return now + c.ms, nil
	case setExpireAt:
		if c.ms <= s.clock.now() {
			return -1, nil
		}
		return c.ms, nil
	}
	return 0, nil
}

// set is one try of setLogged.
func (s *Store) set(key string, value []byte, deadline int64, c conditions) (end int64, err error) {
	// What can be done before the lock is: the sum reads the whole value, and a
	// big slab has to be cleared.
	sum := rdb.EntrySum(key, value, deadline)
	var big []byte
	if size := rdb.EntrySize(len(key), len(value), deadline); size > bigEntryBytes && deadline >= 0 {
		big = newBigSlab(size)
	}
	sh, h, err := s.lock(key)
	if err != nil {
		return 0, err
	}
	defer sh.mu.Unlock()
	sh.fetch(h, len(key)+len(value))
	var at found
	sh.locate(h, key, &at)
	exists := at.ok() && !s.clock.reached(at.deadline)
	switch {
	case exists && c.ifAbsent:
		return 0, ErrExists
	case !exists && c.ifPresent:
		return 0, ErrNotFound
	case deadline < 0:
		if !at.ok() {
			return 0, nil
		}
		return s.delete(sh, h, &at, key, kindDelete)
	case c.kind == setKeepTTL && exists && at.deadline != 0:
		return s.put(sh, h, &at, key, value, at.deadline, rdb.EntrySum(key, value, at.deadline), nil)
	}
	return s.put(sh, h, &at, key, value, deadline, sum, big)
}

// put encodes an entry, logs it and shows it. The shard must be locked; at is
// where the key stands in it.
func (s *Store) put(sh *shard, h uint64, at *found, key string, value []byte, deadline int64, sum uint64, big []byte) (end int64, err error) {
	size := rdb.EntrySize(len(key), len(value), deadline)
	if err := s.admit(sh, h, at, size); err != nil {
		return 0, err
	}
	r, err := sh.prepare(h, at, size, big)
	sh.admitted()
	if err != nil {
		return 0, err
	}
	rdb.PutEntry(r.bytes, key, value, deadline)
	// First the log, then the table: nothing can be read whose offset is not
	// yet in Position.
	if end, err = s.log.Append(r.bytes); err != nil {
		sh.giveBack(r)
		return 0, err
	}
	sh.publish(h, at, r, deadline, sum)
	s.evictFor(sh, size, &spared{hashes: []uint64{h}})
	return end, nil
}

// delete logs that a key is gone, for the reason that kind says, and removes it.
// The shard must be locked; at is where the key stands in it.
func (s *Store) delete(sh *shard, h uint64, at *found, key string, kind byte) (end int64, err error) {
	var buf [128]byte
	if end, err = s.log.Append(appendKeyRecord(buf[:0], kind, key)); err != nil {
		return 0, err
	}
	sh.remove(h, at)
	if kind == kindExpired {
		s.counts.expiries.Add(1)
	}
	return end, nil
}
