package kv_test

import (
	"errors"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/emberkv/ember/kv"
)

// An ownWriter makes writes in a store so small that what was just written is often what the
// policy would come to next.
type ownWriter struct {
	store *kv.Store
	rand  *rand.Rand
	value []byte
}

func (w *ownWriter) key() string { return key(w.rand.IntN(5000)) }

func (w *ownWriter) ttl() time.Duration { return time.Duration(1+w.rand.IntN(100)) * time.Minute }

// size is that of one in twenty values that have a slab to themselves, or of a small one.
func (w *ownWriter) size() int {
	if w.rand.IntN(20) == 0 {
		return w.rand.IntN(len(w.value))
	}
	return 20 + w.rand.IntN(200)
}

func (w *ownWriter) set(t *testing.T) string {
	t.Helper()
	k := w.key()
	must(t, w.store.Set(k, w.value[:w.size()], kv.TTL(w.ttl())))
	w.wantAll(t, "Set", k)
	return k
}

func (w *ownWriter) wantAll(t *testing.T, how string, keys ...string) {
	t.Helper()
	for _, k := range keys {
		if ok, err := w.store.Has(k); !ok || err != nil {
			t.Fatalf("after %s, %s: %v, %v", how, k, ok, err)
		}
	}
}

// expire gives a key that is there another deadline.
func (w *ownWriter) expire(t *testing.T) {
	t.Helper()
	k := w.set(t)
	ok, err := w.store.Expire(k, w.ttl())
	if !ok || err != nil {
		t.Fatalf("Expire of %s, which is there: %v, %v", k, ok, err)
	}
	w.wantAll(t, "Expire", k)
}

// keep overwrites a key that is there, and asks that it is, and keeps its deadline.
func (w *ownWriter) keep(t *testing.T) {
	t.Helper()
	k := w.set(t)
	must(t, w.store.Set(k, w.value[:w.size()], kv.IfPresent(), kv.KeepTTL()))
	if ttl, err := w.store.TTL(k); ttl <= 0 || err != nil {
		t.Fatalf("the deadline of %s was not kept: %v, %v", k, ttl, err)
	}
}

func (w *ownWriter) update(t *testing.T) {
	t.Helper()
	keys := make([]string, 3)
	must(t, w.store.Update(func(tx *kv.Tx) error {
		for i := range keys {
			keys[i] = w.key()
			if err := tx.Set(keys[i], w.value[:w.size()/len(keys)], kv.TTL(w.ttl())); err != nil {
				return err
			}
		}
		return nil
	}))
	w.wantAll(t, "Update", keys...)
}

func (w *ownWriter) add(t *testing.T) {
	t.Helper()
	k := "counter" + strconv.Itoa(w.rand.IntN(10))
	was := 0
	if v, err := w.store.Get(k); err == nil {
		was, err = strconv.Atoi(string(v))
		must(t, err)
	}
	if sum, err := w.store.Add(k, 1); sum != int64(was)+1 || err != nil {
		t.Fatalf("%s was %d, and with one more %d, %v", k, was, sum, err)
	}
	w.wantAll(t, "Add", k)
}

// What goes by a value needs room for the old one and the new one, and its place in the log, whatever is evicted
// beside it: a value of a fifth of the bound can be changed in every way, a larger one only by a Set that asks for nothing.
func TestRoomForBothValues(t *testing.T) {
	for _, c := range []struct {
		bound int64
		share float64 // of it
		fits  bool
	}{
		{kv.MinMaxBytes, 0.05, true}, {kv.MinMaxBytes, 0.2, true}, {kv.MinMaxBytes, 0.35, false}, {kv.MinMaxBytes, 0.43, false},
		{1 << 20, 0.2, true}, {1 << 20, 0.35, false},
	} {
		for _, policy := range evicting {
			large := make([]byte, int(c.share*float64(c.bound)))
			s := open(t, &kv.Options{MaxBytes: c.bound, Eviction: policy})
			fill(t, s, kv.TTL(time.Hour))
			for range 3 {
				must(t, s.Set("k", large, kv.TTL(time.Hour)))
			}
			for name, change := range map[string]func() error{
				"if it is there":      func() error { return s.Set("k", large, kv.IfPresent(), kv.TTL(time.Hour)) },
				"with its deadline":   func() error { return s.Set("k", large, kv.KeepTTL()) },
				"its deadline alone":  func() error { _, err := s.Expire("k", time.Hour); return err },
				"no deadline":         func() error { _, err := s.Persist("k"); return err },
				"in a transaction":    func() error { return s.Update(func(tx *kv.Tx) error { return tx.Set("k", large, kv.TTL(time.Hour)) }) },
				"compared beforehand": func() error { _, err := s.CompareAndSwap("k", large, large); return err },
			} {
				err := change()
				if c.fits && err != nil || !c.fits && !errors.Is(err, kv.ErrFull) {
					t.Errorf("%v, a value of %.0f %% of %d, %s: %v", policy, 100*c.share, c.bound, name, err)
				}
				must(t, s.Set("k", large, kv.TTL(time.Hour))) // for the next one
			}
		}
	}
}

// A write evicts neither what it has written nor what it goes by, however little room there
// is and whatever goes first.
func TestWriteSparesItsOwnKeys(t *testing.T) {
	steps := 20_000
	if raceEnabled {
		steps = 4000
	}
	for _, policy := range evicting {
		t.Run(policy.String(), func(t *testing.T) {
			w := &ownWriter{
				store: open(t, &kv.Options{MaxBytes: kv.MinMaxBytes, Eviction: policy}),
				rand:  rand.New(rand.NewPCG(1, uint64(policy))),
				value: make([]byte, kv.MinMaxBytes/8),
			}
			for range steps {
				switch w.rand.IntN(6) {
				case 0:
					w.expire(t)
				case 1:
					w.keep(t)
				case 2:
					w.update(t)
				case 3:
					w.add(t)
				default:
					w.set(t)
				}
			}
			withinBound(t, w.store)
			if st := w.store.Stats(); st.Evictions < int64(steps)/4 {
				t.Errorf("only %d evictions", st.Evictions)
			}
		})
	}
}
