package kv

import (
	"math"
	"strconv"

	"github.com/emberkv/ember/rdb"
)

// Add adds delta to a key's value, a decimal number, and returns the sum, which
// becomes the value. A key that does not exist counts as 0. The deadline stays. The
// log gets the sum, not delta, so applying the record twice does no harm.
//
// A number is written as Redis writes it, in its shortest form: "-5" or "0", not
// "+5", "05" or " 5" (https://redis.io/docs/latest/commands/incrby). Add returns
// [ErrNotInteger], [ErrOverflow], [ErrEmptyKey], [ErrTooLarge], [ErrClosed], and the
// errors of the log's gate and settler; with the settler's, the sum.
func (s *Store) Add(key string, delta int64) (int64, error) {
	if err := checkKey(key); err != nil {
		return 0, err
	}
	if s.takesLocally() {
		if sum, taken, err := s.addLocally(key, delta); taken {
			return sum, err
		}
	}
	w := s.beginWrite()
	sum, end, err := s.add(key, delta)
	for try := 0; s.again(&err, try, key); try++ {
		sum, end, err = s.add(key, delta)
	}
	if err != nil {
		return 0, s.unchanged(err)
	}
	return sum, w.settle(end)
}

func (s *Store) add(key string, delta int64) (sum, end int64, err error) {
	sh, h, err := s.lock(key)
	if err != nil {
		return 0, 0, err
	}
	defer sh.mu.Unlock()
	var at found
	sh.locate(h, key, &at)
	var deadline int64
	exists := at.ok() && !s.clock.reached(at.deadline)
	if exists {
		deadline = at.deadline
	}
	if sum, err = addTo(at.value, exists, delta); err != nil {
		return 0, 0, err
	}
	var digits [20]byte
	value := strconv.AppendInt(digits[:0], sum, 10)
	end, err = s.put(sh, h, &at, key, value, deadline, rdb.EntrySum(key, value, deadline), nil)
	return sum, end, err
}

// addTo returns the sum of delta and the number that a value is, 0 if there is none.
func addTo(value []byte, exists bool, delta int64) (sum int64, err error) {
	if exists {
		if sum, err = parseInteger(value); err != nil {
			return 0, err
		}
	}
	if delta > 0 && sum > math.MaxInt64-delta || delta < 0 && sum < math.MinInt64-delta {
		return 0, ErrOverflow
	}
	return sum + delta, nil
}

// parseInteger reads what strconv.AppendInt writes, and nothing else.
func parseInteger(b []byte) (int64, error) {
	n, err := strconv.ParseInt(text(b), 10, 64)
	var digits [20]byte
	if err != nil || string(strconv.AppendInt(digits[:0], n, 10)) != string(b) {
		return 0, ErrNotInteger
	}
	return n, nil
}
