package kv_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emberkv/ember/kv"
	"github.com/emberkv/ember/rdb"
)

func TestRenameAndCopy(t *testing.T) {
	s, to := open(t, nil), open(t, nil)
	to.SetFollower(true)
	f := followEmpty(t, s, to)
	big := strings.Repeat("b", 1<<20)
	set(t, s, "a", "1", kv.TTL(time.Hour))
	set(t, s, "b", "2")
	set(t, s, "big", big)
	before := s.Position()
	must(t, s.Rename("a", "b"))
	if n, kind := records(t, s, before.Offset); n != 1 || kind != 7 {
		t.Errorf("Rename: %d records, the last of kind %d", n, kind)
	}
	wantValue(t, s, "a", "")
	wantValue(t, s, "b", "1")
	if left, err := s.TTL("b"); left < time.Minute || err != nil {
		t.Errorf("TTL %v, %v", left, err)
	}
	before = s.Position()
	must(t, s.Copy("b", "c"))
	if n, kind := records(t, s, before.Offset); n != 1 || kind != 2 {
		t.Errorf("Copy: %d records, the last of kind %d", n, kind)
	}
	must(t, s.Copy("big", "c"))
	must(t, s.Rename("big", "b"))
	wantValue(t, s, "b", big)
	wantValue(t, s, "c", big)
	if left, err := s.TTL("b"); left != kv.NoTTL || err != nil {
		t.Errorf("TTL %v, %v", left, err)
	}
	f.catchUp(t)
	wantSame(t, s, to)

	d := digest(t, s)
	set(t, s, "gone", "x", kv.TTL(time.Nanosecond))
	for has := true; has; {
		has, _ = s.Has("gone")
	}
	for name, c := range map[string]struct {
		key, to string
		want    error
	}{
		"itself":    {"b", "b", nil},
		"missing":   {"missing", "b", kv.ErrNotFound},
		"to itself": {"missing", "missing", kv.ErrNotFound},
		"expired":   {"gone", "b", kv.ErrNotFound},
		"no key":    {"", "b", kv.ErrNotFound},
		"to no key": {"b", "", kv.ErrEmptyKey},
		"to a long": {"b", strings.Repeat("k", rdb.MaxKeyBytes+1), kv.ErrTooLarge},
	} {
		if err := s.Rename(c.key, c.to); !errors.Is(err, c.want) {
			t.Errorf("Rename, %s: %v", name, err)
		}
		if err := s.Copy(c.key, c.to); !errors.Is(err, c.want) {
			t.Errorf("Copy, %s: %v", name, err)
		}
	}
	s.Delete("gone")
	if after := digest(t, s); after.Sum != d.Sum {
		t.Error("something has changed")
	}
}

func TestDeletePrefix(t *testing.T) {
	t.Parallel()
	for _, ordered := range []bool{false, true} {
		testDeletePrefix(t, ordered)
	}
}

func testDeletePrefix(t *testing.T, ordered bool) {
	for _, keys := range []int{0, 1, 5, 3000} {
		s, to := open(t, &kv.Options{MaxTxKeys: 3000, Ordered: ordered}), open(t, &kv.Options{Ordered: !ordered})
		to.SetFollower(true)
		f := followEmpty(t, s, to)
		for i := range keys {
			set(t, s, key(i), "v")
			set(t, s, "other:"+key(i), "v")
		}
		if keys == 5 {
			set(t, s, key(7), "v", kv.TTL(time.Nanosecond))
			for has := true; has; {
				has, _ = s.Has(key(7))
			}
		}
		before := s.Position()
		n, err := s.DeletePrefix("key:")
		if n != keys || err != nil {
			t.Errorf("%d keys: %d, %v", keys, n, err)
		}
		if n, kind := records(t, s, before.Offset); keys > 0 && keys != 5 && (n != 1 || kind != 8) || keys == 0 && n != 0 {
			t.Errorf("%d keys: %d records, the last of kind %d", keys, n, kind)
		}
		f.catchUp(t)
		wantSame(t, s, to)
		if s.Len() != keys {
			t.Errorf("%d keys: %d are left", keys, s.Len())
		}
		set(t, s, "one more", "v")
		d := digest(t, s)
		if n, err := s.DeletePrefix(""); keys == 3000 {
			if n != 0 || !errors.Is(err, kv.ErrTooLarge) || digest(t, s) != d {
				t.Errorf("too many: %d, %v", n, err)
			}
		} else if n != keys+1 || err != nil || s.Len() != 0 {
			t.Errorf("all of %d keys: %d, %v", keys, n, err)
		}
	}
	s := open(t, &kv.Options{Ordered: ordered})
	long := strings.Repeat("k", rdb.MaxKeyBytes-20)
	for i := range 1100 {
		set(t, s, long+key(i), "v")
	}
	d := digest(t, s)
	if n, err := s.DeletePrefix("k"); n != 0 || !errors.Is(err, kv.ErrTooLarge) || digest(t, s) != d {
		t.Errorf("too many bytes: %d, %v", n, err)
	}
}

// Whatever others write while a prefix is removed is removed whole or stays whole.
func TestDeletePrefixIsOneMoment(t *testing.T) {
	for _, ordered := range []bool{false, true} {
		testDeletePrefixIsOneMoment(t, ordered)
	}
}

func testDeletePrefixIsOneMoment(t *testing.T, ordered bool) {
	s, to := open(t, &kv.Options{Ordered: ordered}), open(t, nil)
	to.SetFollower(true)
	f := followEmpty(t, s, to)
	for i := range 5000 {
		set(t, s, "other:"+key(i), "v")
	}
	rounds := 200
	if raceEnabled {
		rounds = 30
	}
	var writers sync.WaitGroup
	done := make(chan struct{})
	for w := range 2 {
		writers.Go(func() {
			r := rand.New(rand.NewPCG(uint64(w), 3))
			for {
				select {
				case <-done:
					return
				default:
				}
				// Pairs that are both there or both gone.
				i := r.IntN(50)
				err := s.Update(func(tx *kv.Tx) error {
					return errors.Join(tx.Set(fmt.Sprintf("pair:%d:%d", w, i), nil), tx.Set(fmt.Sprintf("pair:%d:%d'", w, i), nil))
				})
				if err != nil {
					t.Error(err)
				}
				runtime.Gosched()
			}
		})
	}
	removed := 0
	for n := 0; n < rounds || removed == 0 && n < 1000*rounds; n++ {
		runtime.Gosched()
		n, err := s.DeletePrefix("pair:")
		must(t, err)
		removed += n
		f.catchUp(t)
		if n%2 != 0 {
			t.Fatalf("%d keys, which is half a pair", n)
		}
	}
	close(done)
	writers.Wait()
	if removed == 0 {
		t.Error("nothing was there to be removed")
	}
	f.catchUp(t)
	wantSame(t, s, to)
}

// TestDeletePrefixAtItsBound: as many keys as may be removed are, though others rename
// them meanwhile, so that one may be met under both of its names.
func TestDeletePrefixAtItsBound(t *testing.T) {
	withAndWithout(t, func(t *testing.T, opts *kv.Options) {
		o := kv.Options{MaxTxKeys: 200}
		if opts != nil {
			o.Ordered = opts.Ordered
		}
		s := open(t, &o)
		for range 20 {
			for i := range o.MaxTxKeys {
				set(t, s, fmt.Sprintf("p%03d.0", i), "")
			}
			done := make(chan struct{})
			go func() {
				defer close(done)
				for n := 0; ; n++ {
					for i := range o.MaxTxKeys {
						if s.Rename(fmt.Sprintf("p%03d.%d", i, n), fmt.Sprintf("p%03d.%d", i, n+1)) != nil {
							return
						}
					}
				}
			}()
			runtime.Gosched()
			n, err := s.DeletePrefix("p")
			if n != o.MaxTxKeys || err != nil {
				t.Errorf("removed %d, %v, want %d", n, err, o.MaxTxKeys)
				s.Clear()
			}
			<-done
		}
	})
}
