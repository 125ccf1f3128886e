package kv_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/emberkv/ember/kv"
)

// Transactions that write what they have not read fetch it before they lock anything, while
// others empty the shards and fill the same places anew: under the race detector nobody reads
// a place that is being written. All keys of one are there, or none.
func TestBlindWritesBesideClear(t *testing.T) {
	const writers, keys, clears = 2, 8, 300
	s := open(t, nil)
	fill := func(w int) error {
		return s.Update(func(tx *kv.Tx) error {
			for i := range keys {
				if err := tx.Set(fmt.Sprint(w, "-", i), make([]byte, 300)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for w := range writers {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := fill(w); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for n := 0; n < clears && !t.Failed(); n++ {
		if err := s.Clear(); err != nil {
			t.Error(err)
		}
		for w := range writers {
			if err := fill(w); err != nil {
				t.Error(err)
			}
		}
	}
	close(stop)
	wg.Wait()
	if n := s.Len(); n != writers*keys {
		t.Errorf("%d keys, want %d", n, writers*keys)
	}
	wantTrueDigest(t, s)
}
