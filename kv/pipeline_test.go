package kv_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/internal/heap"
	"github.com/emberkv/ember/kv"
	"github.com/emberkv/ember/rdb"
)

// execAll sets keys by a pipeline.
func execAll(s *kv.Store, keys ...string) error {
	p := s.Pipeline()
	for _, k := range keys {
		if err := p.Set(k, []byte("2")); err != nil {
			return err
		}
	}
	_, err := p.Exec()
	return err
}

// deleteAll deletes keys by a pipeline.
func deleteAll(s *kv.Store, keys ...string) error {
	p := s.Pipeline()
	for _, k := range keys {
		if err := p.Delete(k); err != nil {
			return err
		}
	}
	_, err := p.Exec()
	return err
}

// TestPipelineRefuses: what it does not take leaves it as it was.
func TestPipelineRefuses(t *testing.T) {
	s := open(t, nil)
	p := s.Pipeline()
	must(t, p.Set("a", []byte("1")))
	long := strings.Repeat("k", rdb.MaxKeyBytes+1)
	var invalid *kv.InvalidError
	for name, wrong := range map[string]struct{ got, want error }{
		"empty key":            {p.Set("", nil), kv.ErrEmptyKey},
		"long key":             {p.Set(long, nil), kv.ErrTooLarge},
		"long value":           {p.Set("b", make([]byte, rdb.MaxValueBytes+1)), kv.ErrTooLarge},
		"delete an empty key":  {p.Delete(""), kv.ErrEmptyKey},
		"delete a long key":    {p.Delete(long), kv.ErrTooLarge},
		"a TTL in the past":    {p.Set("b", nil, kv.TTL(-1)), nil},
		"two deadlines":        {p.Set("b", nil, kv.TTL(1), kv.ExpireAt(time.Now())), nil},
		"IfAbsent":             {p.Set("b", nil, kv.IfAbsent()), nil},
		"IfPresent":            {p.Set("b", nil, kv.IfPresent()), nil},
		"KeepTTL":              {p.Set("b", nil, kv.KeepTTL()), nil},
		"a deadline too large": {p.Set("b", nil, kv.TTL(1<<63-1), kv.IfAbsent()), nil},
	} {
		if wrong.want == nil && !errors.As(wrong.got, &invalid) || wrong.want != nil && !errors.Is(wrong.got, wrong.want) {
			t.Errorf("%s: %v, want %v", name, wrong.got, wrong.want)
		}
	}
	if p.Len() != 1 {
		t.Fatalf("%d writes, want 1", p.Len())
	}
	if n, err := p.Exec(); n != 1 || err != nil || s.Len() != 1 {
		t.Errorf("Exec = %d, %v; %d keys", n, err, s.Len())
	}
}

// TestPipelineStopsAtAnError: what comes before it stands, what comes after it is dropped.
func TestPipelineStopsAtAnError(t *testing.T) {
	s := open(t, nil)
	set(t, s, "gone", "1")
	set(t, s, "stays", "1")
	shut, asked := errors.New("shut"), 0
	s.Log().SetGate(func() error {
		if asked++; asked > 3 { // by Exec, for the puts and for the first delete
			return shut
		}
		return nil
	})
	p := s.Pipeline()
	must(t, p.Set("a", []byte("1")))
	must(t, p.Set("b", []byte("1")))
	must(t, p.Delete("gone"))
	must(t, p.Delete("missing"))
	must(t, p.Delete("stays"))
	must(t, p.Set("c", []byte("1")))
	if n, err := p.Exec(); n != 4 || err != shut || p.Len() != 0 {
		t.Errorf("Exec = %d, %v, %d left; want 4, %v, none", n, err, p.Len(), shut)
	}
	s.Log().SetGate(nil)
	if got, want := contents(s), map[string]string{"a": "1", "b": "1", "stays": "1"}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("there are %v, want %v", got, want)
	}
	if n, err := p.Exec(); n != 0 || err != nil {
		t.Errorf("an empty Exec = %d, %v", n, err)
	}
	wantTrueDigest(t, s)
}

// TestPipelineSettlesOnce: many writes wait for what one would wait for, and those of more
// than a mebibyte a few times.
func TestPipelineSettlesOnce(t *testing.T) {
	s := open(t, nil)
	late := errors.New("nobody has acknowledged")
	var ends []int64
	s.Log().SetSettler(func(end int64) error { ends = append(ends, end); return nil })
	p := s.Pipeline()
	for i := range 1000 {
		must(t, p.Set(key(i), []byte("1")))
	}
	if n, err := p.Exec(); n != 1000 || err != nil || !slices.Equal(ends, []int64{s.Position().Offset}) {
		t.Errorf("Exec = %d, %v, settled at %v, log ends at %s", n, err, ends, s.Position())
	}
	ends = nil
	for i := range 30 {
		must(t, p.Set(key(i), make([]byte, 100<<10)))
	}
	if n, err := p.Exec(); n != 30 || err != nil || len(ends) != 3 {
		t.Errorf("Exec = %d, %v, settled %d times, want 3", n, err, len(ends))
	}
	s.Log().SetSettler(func(int64) error { return late })
	for i := range 10 {
		must(t, p.Set(key(i), []byte("2")))
	}
	if n, err := p.Exec(); n != 10 || err != late {
		t.Errorf("Exec = %d, %v, want 10, %v", n, err, late)
	}
	wantValue(t, s, key(9), "2")
}

// TestPipelineOfAllSizes: values that have a slab to themselves go between others, in order.
func TestPipelineOfAllSizes(t *testing.T) {
	for name, o := range map[string]*kv.Options{
		"free": nil, "ordered": {Ordered: true},
		"bounded": {MaxBytes: 64 << 20}, "evicting": {MaxBytes: 64 << 20, Eviction: kv.EvictLRU},
	} {
		t.Run(name, func(t *testing.T) {
			s, to := open(t, o), open(t, nil)
			to.SetFollower(true)
			f := followEmpty(t, s, to)
			r := rand.New(rand.NewPCG(1, 2))
			want := map[string]string{}
			p := s.Pipeline()
			for range 20 {
				for n := range 100 {
					k := key(r.IntN(50))
					if r.IntN(5) == 0 {
						must(t, p.Delete(k))
						delete(want, k)
						continue
					}
					size := 1 + r.IntN(300)
					if n%25 == 0 {
						size = 1 + r.IntN(400<<10)
					}
					value := strings.Repeat(strconv.Itoa(n%10), size)
					must(t, p.Set(k, []byte(value)))
					want[k] = value
				}
				if n, err := p.Exec(); n != 100 || err != nil {
					t.Fatalf("Exec = %d, %v", n, err)
				}
				f.catchUp(t)
			}
			if got := contents(s); len(got) != len(want) {
				t.Errorf("%d keys, want %d", len(got), len(want))
			}
			for k, v := range want {
				wantValue(t, s, k, v)
			}
			wantTrueDigest(t, s)
			wantSame(t, s, to)
		})
	}
}

// TestPipelineExpires: the deadlines that it sets are watched as those of Set.
func TestPipelineExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, nil)
		p := s.Pipeline()
		must(t, p.Set("a", []byte("1"), kv.TTL(time.Hour)))
		must(t, p.Set("b", []byte("1"), kv.TTL(time.Second)))
		n, err := p.Exec()
		if n != 2 || err != nil {
			t.Fatalf("Exec = %d, %v", n, err)
		}
		after := s.Position()
		after.Offset++ // in the record of the expiry
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		must(t, s.Wait(ctx, after))
		wantValue(t, s, "a", "1")
	})
}

// TestPipelineExpiresWhileItWaits: deadlines are watched while the settler holds the pipeline up.
func TestPipelineExpiresWhileItWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, acked := open(t, nil), make(chan struct{})
		s.Log().SetSettler(func(int64) error { <-acked; return nil })
		p := s.Pipeline()
		must(t, p.Set("a", []byte("1"), kv.TTL(time.Second)))
		done := make(chan error, 1)
		go func() { _, err := p.Exec(); done <- err }()
		synctest.Wait()
		written := s.Log().End()
		time.Sleep(time.Minute)
		if s.Log().End() == written || len(done) > 0 {
			t.Errorf("the log ends at %d, as when Exec began to wait", written)
		}
		close(acked)
		must(t, <-done)
	})
}

// TestHeldUpPipelineShowsWhatItHasWritten: while writes are held up in the middle of a pipeline, who waits for
// its first ones hears of them.
func TestHeldUpPipelineShowsWhatItHasWritten(t *testing.T) {
	for name, size := range map[string]int{"together": 1, "alone": 300 << 10} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, asked, resume := open(t, nil), 0, make(chan struct{})
				s.Log().SetGate(func() error {
					if asked++; asked > 2 { // by Exec, and for what goes first
						return &backlog.PausedError{Resume: resume}
					}
					return nil
				})
				first := s.Position()
				first.Offset++ // in its record
				heard, done := make(chan error, 1), make(chan error, 1)
				go func() { heard <- s.Wait(t.Context(), first) }()
				synctest.Wait()
				p := s.Pipeline()
				for i := range 40 {
					must(t, p.Set(key(i), make([]byte, size)))
				}
				go func() { _, err := p.Exec(); done <- err }()
				synctest.Wait()
				if s.Len() == 0 || s.Len() == 40 || len(done) > 0 {
					t.Errorf("%d keys of 40 are there", s.Len())
				}
				if len(heard) == 0 {
					t.Error("who waits for the first does not know that it is there")
				}
				s.Log().SetGate(nil)
				close(resume)
				must(t, errors.Join(<-done, <-heard))
				if s.Len() != 40 {
					t.Errorf("%d keys of 40", s.Len())
				}
			})
		})
	}
}

// TestPipelineLetsGo: of many bytes of writes an empty pipeline keeps none.
func TestPipelineLetsGo(t *testing.T) {
	const size = 16 << 20
	s, shut := open(t, nil), errors.New("shut")
	heap.Try(t, func() error {
		asked := 0
		s.Log().SetGate(func() error {
			if asked++; asked > 1 { // by Exec: it gets as far as to decode the writes
				return shut
			}
			return nil
		})
		before := heap.Live()
		p := s.Pipeline()
		for i := range 1000 {
			must(t, p.Set(key(i), make([]byte, size/1000)))
		}
		if n, err := p.Exec(); n != 0 || err != shut {
			t.Fatalf("Exec = %d, %v", n, err)
		}
		if kept := heap.Live() - before; kept > size/2 {
			return fmt.Errorf("%d bytes are kept of %d", kept, size)
		}
		runtime.KeepAlive(p)
		return nil
	})
}

// TestPipelineEvicts: a bounded store makes room for each write, as for a Set.
func TestPipelineEvicts(t *testing.T) {
	s := open(t, &kv.Options{MaxBytes: 1 << 20, Eviction: kv.EvictLRU, LogBytes: 64 << 10})
	p := s.Pipeline()
	for i := range 20_000 {
		must(t, p.Set(key(i), make([]byte, 100)))
	}
	if n, err := p.Exec(); n != 20_000 || err != nil {
		t.Errorf("Exec = %d, %v", n, err)
	}
	if !mustHave(t, s, key(19_999)) || mustHave(t, s, key(0)) {
		t.Error("the newest keys should be there, and the oldest gone")
	}
	withinBound(t, s)
	wantTrueDigest(t, s)
}

func mustHave(t *testing.T, s *kv.Store, key string) bool {
	t.Helper()
	ok, err := s.Has(key)
	must(t, err)
	return ok
}

// TestPipelinesBesideEachOther: other pipelines, writes, transactions, snapshots, and the
// exchange of all contents may come between two runs of one.
func TestPipelinesBesideEachOther(t *testing.T) {
	s, to := open(t, nil), open(t, nil)
	set(t, s, "first", "1")
	var file bytes.Buffer
	n, err := s.Snapshot()
	must(t, err)
	_, err = n.WriteTo(&file)
	must(t, errors.Join(err, n.Close()))

	rounds := 300
	if raceEnabled {
		rounds = 60
	}
	var writers sync.WaitGroup
	write := func(do func(r *rand.Rand) error) {
		r := rand.New(rand.NewPCG(rand.Uint64(), 1))
		writers.Go(func() {
			for range rounds {
				if err := do(r); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range 3 {
		write(func(r *rand.Rand) error {
			p := s.Pipeline()
			for range r.IntN(100) {
				k := key(r.IntN(200))
				if err := p.Set(k, []byte("piped")); err != nil || r.IntN(10) == 0 && p.Delete(k) != nil {
					return err
				}
			}
			_, err := p.Exec()
			return err
		})
	}
	write(func(r *rand.Rand) error { return s.Set(key(r.IntN(200)), []byte("set")) })
	write(func(r *rand.Rand) error {
		return s.Update(func(tx *kv.Tx) error {
			return errors.Join(tx.Set(key(r.IntN(200)), []byte("x")), tx.Set(key(r.IntN(200)), nil))
		})
	})
	write(func(r *rand.Rand) error {
		if r.IntN(20) == 0 {
			return s.Restore(bytes.NewReader(file.Bytes()))
		}
		n, err := s.Snapshot()
		if err != nil {
			return err
		}
		if have, want := recount(t, n), n.Digest(); have != want {
			return fmt.Errorf("a snapshot has %v, and says %v", have, want)
		}
		return n.Close()
	})
	writers.Wait()
	wantTrueDigest(t, s)
	fullCopy(t, s, to)
	wantSame(t, s, to)
}

// TestReadersSeePipelinesInOrder: whoever finds a write finds those before it.
func TestReadersSeePipelinesInOrder(t *testing.T) {
	const keys, rounds, checks = 100, 20, 2000
	s := open(t, nil)
	key := func(i int) string { return fmt.Sprint("key ", i) }
	p := s.Pipeline()
	exec := func(round int) {
		for i := range keys {
			must(t, p.Set(key(i), []byte(strconv.Itoa(round))))
		}
		_, err := p.Exec()
		must(t, err)
	}
	exec(0)
	var checked atomic.Int64
	over, done := make(chan struct{}), make(chan error, 1)
	go func() { done <- checkOrder(s, key, keys, &checked, over) }()
	for round := 1; round < rounds || checked.Load() < checks; round++ {
		if exec(round); len(done) > 0 {
			break // the reader has found something
		}
	}
	close(over)
	if err := <-done; err != nil {
		t.Error(err)
	}
}
