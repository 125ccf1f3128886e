package kv_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/emberkv/ember/kv"
)

const (
	bankAccounts = 40
	bankTotal    = bankAccounts * 100
)

func account(i int) string { return fmt.Sprintf("account:%d", i) }

// transfer moves a random amount from one account to another. An account without money
// is none, so keys come and go.
func transfer(s *kv.Store, r *rand.Rand) error {
	from, to, share := account(r.IntN(bankAccounts)), account(r.IntN(bankAccounts)), r.Float64()
	return s.Update(func(tx *kv.Tx) error {
		v, err := tx.Get(from)
		if err != nil || from == to {
			if err == kv.ErrNotFound {
				err = nil
			}
			return err
		}
		runtime.Gosched()
		has, err := strconv.Atoi(string(v))
		if err != nil {
			return err
		}
		amount := int64(1 + share*float64(has-1))
		left, err := tx.Add(from, -amount)
		if err != nil {
			return err
		}
		if left == 0 {
			if _, err := tx.Delete(from); err != nil {
				return err
			}
		}
		_, err = tx.Add(to, amount)
		return err
	})
}

// sumKeys adds up all accounts, one by one.
func sumKeys(tx *kv.Tx) (sum int, err error) {
	for i := range bankAccounts {
		v, err := tx.Get(account(i))
		if err == kv.ErrNotFound {
			continue
		}
		n, bad := strconv.Atoi(string(v))
		if err := errors.Join(err, bad); err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}

// sumMulti adds up all accounts, which it reads together.
func sumMulti(tx *kv.Tx) (sum int, err error) {
	var keys []string
	for i := range bankAccounts {
		keys = append(keys, account(i))
	}
	values, err := tx.GetMulti(nil, keys...)
	if err != nil {
		return 0, err
	}
	for _, v := range values {
		if v == nil {
			continue
		}
		n, err := strconv.Atoi(string(v))
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}

// sumSeq adds up what an iterator yields.
func sumSeq(seq func(func(string, []byte) bool)) (sum int) {
	for k, v := range seq {
		if strings.HasPrefix(k, "account:") {
			n, _ := strconv.Atoi(string(v))
			sum += n
		}
	}
	return sum
}

// audit adds up all accounts of a store, in one of the ways that there are.
func audit(s *kv.Store, way int) (sum int, err error) {
	switch way % 4 {
	case 0:
		err = s.View(func(tx *kv.Tx) (err error) { sum, err = sumKeys(tx); return err })
	case 1:
		err = s.View(func(tx *kv.Tx) (err error) { sum, err = sumMulti(tx); return err })
	case 2:
		err = s.View(func(tx *kv.Tx) error { sum = sumSeq(tx.Prefix("account:")); return nil })
	default:
		var n *kv.Snapshot
		if n, err = s.Snapshot(); err == nil {
			sum = sumSeq(n.All())
			n.Close()
		}
	}
	return sum, err
}

// TestBank moves money about on a store, and adds it up all the while: there, on a
// replica that is fed by the log, and on copies that are made meanwhile.
func TestBank(t *testing.T) {
	s, replica := open(t, nil), open(t, &kv.Options{Ordered: true})
	replica.SetFollower(true)
	f := followEmpty(t, s, replica)
	must(t, s.Update(func(tx *kv.Tx) (err error) {
		for i := range bankAccounts {
			err = errors.Join(err, tx.Set(account(i), []byte("100")))
		}
		return err
	}))
	for i := range 3000 {
		set(t, s, key(i), "something else that makes a copy take its time")
	}
	f.catchUp(t)

	transfers := 4000
	if raceEnabled {
		transfers = 800
	}
	var writers, others sync.WaitGroup
	var done atomic.Bool
	var audits, copies atomic.Int64
	enough := func() bool { return audits.Load() >= 20 && copies.Load() > 0 }
	for w := range 2 {
		writers.Go(func() {
			r := rand.New(rand.NewPCG(uint64(w), 11))
			for n := 0; (n < transfers || !enough()) && !t.Failed(); n++ {
				if err := transfer(s, r); err != nil {
					t.Error(err)
				}
			}
		})
	}
	loop := func(what string, once func(n int) (int, error)) {
		others.Go(func() {
			for n := 0; !done.Load() && !t.Failed(); n++ {
				sum, err := once(n)
				if sum != bankTotal || err != nil {
					t.Errorf("%s, audit %d: %d, %v", what, n, sum, err)
				}
				audits.Add(1)
				runtime.Gosched()
			}
		})
	}
	loop("master", func(n int) (int, error) { return audit(s, n) })
	loop("replica", func(n int) (int, error) { return audit(replica, n) })
	others.Go(func() {
		for !done.Load() {
			f.catchUp(t)
			runtime.Gosched()
		}
	})
	loop("copy", func(n int) (int, error) {
		to := kv.New(nil)
		defer to.Close()
		g := fullCopy(t, s, to)
		sum, err := audit(to, n)
		if sum != bankTotal || err != nil {
			return sum, err
		}
		g.catchUp(t)
		copies.Add(1)
		return audit(to, n)
	})
	writers.Wait()
	done.Store(true)
	others.Wait()
	t.Logf("%d audits, %d copies", audits.Load(), copies.Load())
	f.catchUp(t)
	wantSame(t, s, replica)
	for way := range 4 {
		if sum, err := audit(replica, way); sum != bankTotal || err != nil {
			t.Errorf("at the end: %d, %v", sum, err)
		}
	}
}

// A function never sees x and y that do not go together, not even when it is to be run
// again.
func TestFunctionsSeeOneState(t *testing.T) {
	const total = 1000
	// The two writers overtake each other, more than 100 times in a row in one run of forty.
	s := open(t, &kv.Options{MaxRetries: 10_000})
	set(t, s, "x", fmt.Sprint(total))
	set(t, s, "y", "0")
	looks := 300
	if raceEnabled {
		looks = 60
	}
	var writers, readers sync.WaitGroup
	var done atomic.Bool
	var seen, overtaken atomic.Int64
	for w := range 2 {
		writers.Go(func() {
			r := rand.New(rand.NewPCG(uint64(w), 13))
			for !done.Load() {
				n := int64(r.IntN(2*total) - total)
				err := s.Update(func(tx *kv.Tx) error {
					_, err := tx.Add("x", n)
					_, err2 := tx.Add("y", -n)
					return errors.Join(err, err2)
				})
				if err != nil {
					t.Error(err)
				}
				runtime.Gosched()
			}
		})
	}
	number := func(tx *kv.Tx, key string) (int, error) {
		v, err := tx.Get(key)
		if err != nil {
			overtaken.Add(1)
			return 0, err
		}
		return strconv.Atoi(string(v))
	}
	look := func(tx *kv.Tx) error {
		x, err := number(tx, "x")
		if err != nil {
			return err
		}
		runtime.Gosched()
		y, err := number(tx, "y")
		if err != nil {
			return err
		}
		if x+y != total {
			t.Errorf("x = %d, y = %d", x, y)
		}
		sum := 0
		for _, v := range tx.All() {
			n, _ := strconv.Atoi(string(v))
			sum += n
		}
		if sum != total {
			t.Errorf("a sum of %d", sum)
		}
		seen.Add(1)
		return nil
	}
	for _, call := range []func(func(*kv.Tx) error) error{s.View, s.Update} {
		readers.Go(func() {
			for n := 0; (n < looks || overtaken.Load() == 0) && !t.Failed(); n++ {
				if err := call(look); err != nil && !errors.Is(err, kv.ErrConflict) {
					t.Error(err)
				}
			}
		})
	}
	readers.Wait()
	done.Store(true)
	writers.Wait()
	t.Logf("%d looks, %d overtaken", seen.Load(), overtaken.Load())
}

// A transaction may be as large as a record, and no larger; large values are whole here,
// on a follower and after a copy.
func TestLargeTransactions(t *testing.T) {
	s, to, copied := open(t, nil), open(t, nil), open(t, nil)
	to.SetFollower(true)
	f := followEmpty(t, s, to)
	big := []byte(strings.Repeat("0123456789abcdef", 1<<14)) // 256 KiB
	must(t, s.Update(func(tx *kv.Tx) (err error) {
		for i := range 8 {
			err = errors.Join(err, tx.Set(key(i), big[i:]))
		}
		for i := range 5000 {
			err = errors.Join(err, tx.Set(key(100+i), big[:i%200]))
		}
		if v, err := tx.Get(key(7)); string(v) != string(big[7:]) || err != nil {
			t.Errorf("own write: %d bytes, %v", len(v), err)
		}
		return err
	}))
	must(t, s.Update(func(tx *kv.Tx) error {
		_, err := tx.Delete(key(3))
		return errors.Join(err, tx.Set(key(4), big[:100]), tx.Set(key(5), big[1:]))
	}))
	f.catchUp(t)
	fullCopy(t, s, copied)
	wantSame(t, s, to)
	wantSame(t, s, copied)
	wantValue(t, to, key(5), string(big[1:]))
	wantValue(t, to, key(3), "")

	if raceEnabled {
		return // it would take many times the memory
	}
	huge := make([]byte, 100<<20)
	before := digest(t, s)
	err := s.Update(func(tx *kv.Tx) error {
		return errors.Join(tx.Set("a", huge), tx.Set("b", huge), tx.Set("c", huge))
	})
	if !errors.Is(err, kv.ErrTooLarge) || digest(t, s) != before {
		t.Errorf("a transaction of 300 MiB: %v", err)
	}
}
