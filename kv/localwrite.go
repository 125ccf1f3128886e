package kv

import (
	"bytes"
	"strconv"

	"github.com/emberkv/ember/rdb"
)

// takesLocally reports whether writes are local now.
func (s *Store) takesLocally() bool { return s.local != nil && s.local.taking.Load() }

// locally carries out fn, which makes local writes, at once, if the store takes such. It
// returns taken as false if it does not, and has done nothing then. If fn returns an error
// nothing has changed.
func (s *Store) locally(fn func(*localChange) error) (taken bool, err error) {
	l := s.local
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.taking.Load() {
		return false, nil // it was promoted meanwhile
	}
	t, err := s.readable()
	if err != nil {
		return true, err
	}
	c := s.changeLocked(t)
	if err := fn(c); err != nil {
		return true, err
	}
	return true, c.show()
}

// The local forms of the store's writes. They are called when takesLocally says so.

func (s *Store) setLocally(key string, value []byte, deadline int64, o conditions) (taken bool, err error) {
	return s.locally(func(c *localChange) error {
		e, exists := c.get(key)
		switch {
		case exists && o.ifAbsent:
			return ErrExists
		case !exists && o.ifPresent:
			return ErrNotFound
		case deadline < 0:
			c.remove(key)
			return nil
		case o.kind == setKeepTTL && exists:
			deadline = e.deadline
		}
		c.put(key, value, deadline)
		return nil
	})
}

func (s *Store) deleteLocally(key string) (existed, taken bool, err error) {
	taken, err = s.locally(func(c *localChange) error {
		if _, existed = c.get(key); existed {
			c.remove(key)
		}
		return nil
	})
	return existed && err == nil, taken, err
}

func (s *Store) addLocally(key string, delta int64) (sum int64, taken bool, err error) {
	taken, err = s.locally(func(c *localChange) (err error) {
		e, exists := c.get(key)
		if sum, err = addTo(e.value, exists, delta); err != nil {
			return err
		}
		if !exists {
			e.deadline = 0
		}
		c.put(key, strconv.AppendInt(nil, sum, 10), e.deadline)
		return nil
	})
	if err != nil {
		sum = 0
	}
	return sum, taken, err
}

func (s *Store) swapLocally(key string, old, new []byte) (swapped, taken bool, err error) {
	taken, err = s.locally(func(c *localChange) error {
		e, exists := c.get(key)
		if swapped = exists && bytes.Equal(e.value, old); swapped {
			c.put(key, new, e.deadline)
		}
		return nil
	})
	return swapped && err == nil, taken, err
}

func (s *Store) redateLocally(key string, deadline int64) (changed, taken bool, err error) {
	taken, err = s.locally(func(c *localChange) error {
		e, exists := c.get(key)
		if changed = exists && (e.deadline != 0 || deadline != 0); changed {
			c.put(key, e.value, deadline)
		}
		return nil
	})
	return changed && err == nil, taken, err
}

func (s *Store) transferLocally(key, to string, remove bool) (taken bool, err error) {
	return s.locally(func(c *localChange) error {
		e, exists := c.get(key)
		if !exists {
			return ErrNotFound
		}
		if key == to {
			return nil
		}
		c.put(to, e.value, e.deadline)
		if remove {
			c.remove(key)
		}
		return nil
	})
}

// commitLocally carries out what the transaction wrote as local writes, if everything that
// it read is so still.
func (tx *Tx) commitLocally() (taken bool, err error) {
	return tx.store.locally(func(c *localChange) error {
		if c.old != tx.local || c.table != tx.table {
			return ErrConflict
		}
		if err := tx.checkTable(); err != nil {
			return err
		}
		for i := range tx.writes {
			if w := &tx.writes[i]; w.gone {
				c.remove(w.key)
			} else {
				c.put(w.key, w.value, w.deadline)
			}
		}
		return nil
	})
}

// promotionBytes is about how much of local writes is logged at once.
const promotionBytes = 1 << 20

// publishLocals makes the local writes ordinary ones, of a store that is about to write: they
// are what could be read here, and from now on everywhere. It asks no gate. A store that is closed
// or damaged, which takes no writes either, loses them.
func (s *Store) publishLocals() {
	l := s.local
	l.mu.Lock()
	l.taking.Store(false) // nothing is written locally from here on
	v, t := l.view.Load(), s.table.Load()
	l.mu.Unlock()
	if v == nil || t == nil {
		return
	}
	var records []byte
	flush := func() bool {
		// Applied, each takes the place of the local write that it comes from.
		err := s.Apply(s.log.Position(), records)
		records = records[:0]
		return err == nil
	}
	v.tree.Ascend(func(e localEntry) bool {
		if e.shows(s.clock.reached) {
			size := rdb.EntrySize(len(e.key), len(e.value), e.deadline)
			n := len(records)
			records = append(records, make([]byte, size)...)
			rdb.PutEntry(records[n:], e.key, e.value, e.deadline)
		} else if _, ok := t.find(e.key); ok {
			records = appendKeyRecord(records, kindDelete, e.key)
		}
		return len(records) < promotionBytes || flush()
	})
	if len(records) > 0 {
		flush()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	s.setLocked(nil) // those that had expired
}
