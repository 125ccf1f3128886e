package kv

import (
	"bytes"
	"math"
	"time"

	"github.com/emberkv/ember/rdb"
)

// Delete removes a key and reports whether it existed. It returns [ErrClosed] and
// the errors of the log's gate and settler.
func (s *Store) Delete(key string) (bool, error) {
	if s.takesLocally() {
		if existed, taken, err := s.deleteLocally(key); taken {
			return existed, err
		}
	}
	w := s.beginWrite()
	existed, end, err := s.deleteLogged(key)
	if end == 0 {
		return false, s.unchanged(err)
	}
	return existed, w.settle(end)
}

// deleteLogged carries out a Delete that is no local write.
func (s *Store) deleteLogged(key string) (existed bool, end int64, err error) {
	existed, end, err = s.deleteKey(key)
	for resumed(err) {
		existed, end, err = s.deleteKey(key)
	}
	return existed, end, err
}

func (s *Store) deleteKey(key string) (existed bool, end int64, err error) {
	sh, h, err := s.lock(key)
	if err != nil {
		return false, 0, err
	}
	defer sh.mu.Unlock()
	return s.deleteLocked(sh, h, key)
}

// deleteLocked deletes a key in its shard, which must be locked.
func (s *Store) deleteLocked(sh *shard, h uint64, key string) (existed bool, end int64, err error) {
	var at found
	sh.locate(h, key, &at)
	if !at.ok() {
		return false, 0, nil
	}
	kind := byte(kindDelete)
	if s.clock.reached(at.deadline) {
		kind = kindExpired // it was gone already, for all who could read
	}
	end, err = s.delete(sh, h, &at, key, kind)
	return kind == kindDelete, end, err
}

// CompareAndSwap sets a key to a copy of new if it exists and its value is old,
// byte for byte, and reports whether it did. The deadline stays. A nil old is an
// empty value: for a key that does not exist it returns false, and [Store.Set] with
// [IfAbsent] creates one. It returns [ErrTooLarge], [ErrClosed], and the errors of
// the log's gate and settler.
func (s *Store) CompareAndSwap(key string, old, new []byte) (bool, error) {
	if err := checkValue(new); err != nil {
		return false, err
	}
	if s.takesLocally() {
		if swapped, taken, err := s.swapLocally(key, old, new); taken {
			return swapped, err
		}
	}
	w := s.beginWrite()
	end, err := s.compareAndSwap(key, old, new)
	for try := 0; s.again(&err, try, key); try++ {
		end, err = s.compareAndSwap(key, old, new)
	}
	if end == 0 {
		return false, s.unchanged(err)
	}
	return true, w.settle(end)
}

func (s *Store) compareAndSwap(key string, old, new []byte) (end int64, err error) {
	sh, h, err := s.lock(key)
	if err != nil {
		return 0, err
	}
	defer sh.mu.Unlock()
	var at found
	sh.locate(h, key, &at)
	if !at.ok() || s.clock.reached(at.deadline) || !bytes.Equal(at.value, old) {
		return 0, nil
	}
	return s.put(sh, h, &at, key, new, at.deadline, rdb.EntrySum(key, new, at.deadline), nil)
}

// Expire gives a key the deadline d from now and reports whether the key exists.
// It counts in milliseconds, and rounds a fraction up. It copies the value in
// memory, but the log gets only the deadline. It returns an [*InvalidError] for a d
// that is not positive, [ErrClosed], and the errors of the log's gate and settler.
func (s *Store) Expire(key string, d time.Duration) (bool, error) {
	ms, now := milliseconds(d), s.clock.now()
	if ms <= 0 || ms > math.MaxInt64-now {
		return false, &InvalidError{Field: "d", Value: d, Want: wantLifetime}
	}
	return s.expire(key, now+ms)
}

// ExpireAt is Expire for a deadline at t, to the millisecond. If that has passed it deletes the key,
// as Redis does. It returns an [*InvalidError] for a t beyond 64 bits of milliseconds, and the errors
// of Expire.
func (s *Store) ExpireAt(key string, t time.Time) (bool, error) {
	ms, err := deadlineAt(t)
	if err != nil {
		return false, err
	}
	if ms <= s.clock.now() {
		return s.Delete(key)
	}
	return s.expire(key, ms)
}

func (s *Store) expire(key string, deadline int64) (bool, error) {
	if s.takesLocally() {
		if changed, taken, err := s.redateLocally(key, deadline); taken {
			return changed, err
		}
	}
	w := s.beginWrite()
	end, err := s.redate(key, deadline)
	for try := 0; s.again(&err, try, key); try++ {
		end, err = s.redate(key, deadline)
	}
	if end == 0 {
		return false, s.unchanged(err)
	}
	s.expirer.wake(deadline)
	return true, w.settle(end)
}

// Persist removes a key's deadline and reports whether it had one. It returns
// [ErrClosed] and the errors of the log's gate and settler.
func (s *Store) Persist(key string) (bool, error) {
	if s.takesLocally() {
		if changed, taken, err := s.redateLocally(key, 0); taken {
			return changed, err
		}
	}
	w := s.beginWrite()
	end, err := s.redate(key, 0)
	for try := 0; s.again(&err, try, key); try++ {
		end, err = s.redate(key, 0)
	}
	if end == 0 {
		return false, s.unchanged(err)
	}
	return true, w.settle(end)
}

// redate changes a key's deadline. It returns 0 for the log's end when there was
// nothing to change.
func (s *Store) redate(key string, deadline int64) (end int64, err error) {
	sh, h, err := s.lock(key)
	if err != nil {
		return 0, err
	}
	defer sh.mu.Unlock()
	var at found
	sh.locate(h, key, &at)
	if !at.ok() || s.clock.reached(at.deadline) || at.deadline == 0 && deadline == 0 {
		return 0, nil
	}
	size := rdb.EntrySize(len(key), len(at.value), deadline)
	if err := s.admit(sh, h, &at, size); err != nil {
		return 0, err
	}
	r, err := sh.redated(h, &at, deadline)
	sh.admitted()
	if err != nil {
		return 0, err
	}
	var buf [128]byte
	if end, err = s.log.Append(appendDeadlineRecord(buf[:0], deadline, key)); err != nil {
		sh.giveBack(r)
		return 0, err
	}
	sh.publish(h, &at, r, deadline, rdb.EntrySum(key, at.value, deadline))
	s.evictFor(sh, size, &spared{hashes: []uint64{h}})
	return end, nil
}

// Clear removes all keys at once, as one record. It waits for the writes that are
// under way, and holds up others for microseconds. It returns [ErrNotLocal], [ErrClosed] and the
// errors of the log's gate and settler.
func (s *Store) Clear() error {
	if s.takesLocally() {
		return ErrNotLocal
	}
	w := s.beginWrite()
	end, err := s.clear()
	for resumed(err) {
		end, err = s.clear()
	}
	if end == 0 {
		return s.unchanged(err)
	}
	return w.settle(end)
}

func (s *Store) clear() (end int64, err error) {
	t := s.lockAll()
	if t == nil {
		return 0, ErrClosed
	}
	defer t.unlock()
	if keys, _, _ := t.totalsLocked(); keys == 0 {
		return 0, nil
	}
	if end, err = s.log.Append(clearRecord); err != nil {
		return 0, err
	}
	t.clear()
	return end, nil
}
