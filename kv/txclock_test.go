package kv_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/kv"
)

// TestTxHasOneClock: a transaction sees the deadlines of one moment, however the writer's
// clock is set meanwhile.
func TestTxHasOneClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, nil)
		set(t, s, "one", "1", kv.TTL(time.Minute))
		set(t, s, "two", "1", kv.TTL(time.Minute))
		s.SetFollower(true)
		start := s.Clock()
		for _, iterate := range []bool{false, true} {
			runs := 0
			must(t, s.View(func(tx *kv.Tx) error {
				if runs++; runs > 10 {
					t.Fatal("is run for ever")
				}
				s.SetClock(start + time.Hour.Milliseconds())
				one, err := tx.Has("one")
				if err != nil {
					return err
				}
				s.SetClock(start)
				two, err := tx.Has("two")
				if iterate {
					two, err = false, nil
					for range tx.Range("two", "") {
						two = true
					}
				}
				if err == nil && one != two {
					t.Errorf("iterating %v: one is there: %v, two, with the same deadline: %v", iterate, one, two)
				}
				return err
			}))
		}
	})
}
