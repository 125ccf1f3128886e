package kv_test

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/kv"
)

func key(i int) string { return fmt.Sprintf("key:%012d", i) }

// A model is what a store should be: a map, and the clock of the bubble.
type model map[string]modelEntry

type modelEntry struct {
	value    string
	deadline time.Time // zero for none
}

// live removes what has passed.
func (m model) live() model {
	maps.DeleteFunc(m, func(_ string, e modelEntry) bool {
		return !e.deadline.IsZero() && !time.Now().Before(e.deadline)
	})
	return m
}

// TestModel does the same random things to a store and to a map, lets time pass, and
// compares them; and a follower that is given the log in pieces.
func TestModel(t *testing.T) {
	t.Parallel()
	for seed := range uint64(6) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { runModel(t, seed) })
		})
	}
}

func runModel(t *testing.T, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 1))
	s, to := open(t, nil), open(t, nil)
	to.SetFollower(true)
	f := followEmpty(t, s, to)
	m := model{}
	keys := []int{3, 100, 3000}[seed%3]
	steps := 6000
	if raceEnabled {
		steps = 1500
	}
	for range steps {
		k := key(r.IntN(keys))
		step(t, r, s, m.live(), k)
		if r.IntN(50) == 0 {
			time.Sleep(time.Duration(r.IntN(3000)) * time.Millisecond)
		}
		wantModel(t, s, m.live(), k)
		if r.IntN(10) == 0 && s.Len() != len(m) {
			t.Fatalf("Len = %d, want %d", s.Len(), len(m))
		}
		if r.IntN(200) == 0 {
			f.catchUp(t)
			to.SetClock(time.Now().UnixMilli())
			wantAll(t, s, m.live())
			wantAll(t, to, m.live())
		}
		if r.IntN(1000) == 0 {
			restoreFromSnapshot(t, s)
			f = fullCopy(t, s, to)
		}
	}
	f.catchUp(t)
	wantSame(t, s, to)
}

// step does one random thing to the store and the model.
func step(t *testing.T, r *rand.Rand, s *kv.Store, m model, k string) {
	t.Helper()
	old, exists := m[k]
	value := strings.Repeat(strconv.Itoa(r.IntN(100)), r.IntN(100))
	ttl := time.Duration(1+r.IntN(10_000)) * time.Millisecond
	check := func(ok bool, err error, want bool) {
		t.Helper()
		if err != nil || ok != want {
			t.Fatalf("%v, %v, want %v", ok, err, want)
		}
	}
	switch r.IntN(15) {
	case 0, 1, 2:
		must(t, s.Set(k, []byte(value)))
		m[k] = modelEntry{value: value}
	case 3, 4:
		must(t, s.Set(k, []byte(value), kv.TTL(ttl)))
		m[k] = modelEntry{value, time.Now().Add(ttl)}
	case 5:
		must(t, s.Set(k, []byte(value), kv.KeepTTL()))
		m[k] = modelEntry{value, old.deadline}
	case 6:
		at := time.Now().Add(ttl - 2*time.Second)
		must(t, s.Set(k, []byte(value), kv.ExpireAt(at)))
		m[k] = modelEntry{value, at}
	case 7:
		err := s.Set(k, []byte(value), kv.IfAbsent())
		if exists != (err == kv.ErrExists) {
			t.Fatalf("IfAbsent: %v, exists: %v", err, exists)
		}
		if !exists {
			m[k] = modelEntry{value: value}
		}
	case 8:
		err := s.Set(k, []byte(value), kv.IfPresent(), kv.TTL(ttl))
		if exists != (err == nil) {
			t.Fatalf("IfPresent: %v, exists: %v", err, exists)
		}
		if exists {
			m[k] = modelEntry{value, time.Now().Add(ttl)}
		}
	case 9:
		ok, err := s.Delete(k)
		check(ok, err, exists)
		delete(m, k)
	case 10:
		ok, err := s.Expire(k, ttl)
		check(ok, err, exists)
		if exists {
			m[k] = modelEntry{old.value, time.Now().Add(ttl)}
		}
	case 11:
		ok, err := s.Persist(k)
		check(ok, err, exists && !old.deadline.IsZero())
		if exists {
			m[k] = modelEntry{value: old.value}
		}
	case 12:
		n, err := s.Add(k, 7)
		have, parseErr := strconv.ParseInt("0"+old.value, 10, 64)
		if integer := !exists || parseErr == nil && strconv.FormatInt(have, 10) == old.value; integer != (err == nil) {
			t.Fatalf("Add to %q: %v", old.value, err)
		} else if integer {
			if n != have+7 {
				t.Fatalf("Add to %q: %d", old.value, n)
			}
			m[k] = modelEntry{strconv.FormatInt(n, 10), old.deadline}
		}
	case 13:
		if r.IntN(100) == 0 {
			must(t, s.Clear())
			clear(m)
			return
		}
		guess := []byte(old.value)
		if r.IntN(3) == 0 {
			guess = append(guess, '!')
		}
		ok, err := s.CompareAndSwap(k, guess, []byte(value))
		check(ok, err, exists && string(guess) == old.value)
		if ok {
			m[k] = modelEntry{value, old.deadline}
		}
	case 14:
		p := s.Pipeline()
		n := r.IntN(100)
		for i := range n {
			switch k := key(r.IntN(1 + len(m))); r.IntN(4) {
			case 0:
				must(t, p.Delete(k))
				delete(m, k)
			case 1:
				must(t, p.Set(k, []byte(value[:i%(1+len(value))]), kv.TTL(ttl)))
				m[k] = modelEntry{value[:i%(1+len(value))], time.Now().Add(ttl)}
			default:
				must(t, p.Set(k, []byte(value[i%(1+len(value)):])))
				m[k] = modelEntry{value: value[i%(1+len(value)):]}
			}
		}
		if done, err := p.Exec(); done != n || err != nil || p.Len() != 0 {
			t.Fatalf("Exec = %d, %v, want %d, and nothing left of %d", done, err, n, p.Len())
		}
	}
}

// wantModel compares one key.
func wantModel(t *testing.T, s *kv.Store, m model, k string) {
	t.Helper()
	e, exists := m[k]
	got, err := s.Get(k)
	if exists != (err == nil) || string(got) != e.value {
		t.Fatalf("Get = %q, %v, want %q, exists: %v", got, err, e.value, exists)
	}
	ttl, err := s.TTL(k)
	switch {
	case !exists:
		if err != kv.ErrNotFound {
			t.Fatalf("TTL: %v", err)
		}
	case e.deadline.IsZero():
		if ttl != kv.NoTTL || err != nil {
			t.Fatalf("TTL = %v, %v", ttl, err)
		}
	case ttl != time.Until(e.deadline) || err != nil:
		t.Fatalf("TTL = %v, %v, want %v", ttl, err, time.Until(e.deadline))
	}
}

// wantAll compares everything, in the store and in a snapshot of it.
func wantAll(t *testing.T, s *kv.Store, m model) {
	t.Helper()
	n, err := s.Snapshot()
	must(t, err)
	defer n.Close()
	if s.Len() != len(m) || n.Len() != len(m) {
		t.Fatalf("Len = %d, in a snapshot %d, want %d", s.Len(), n.Len(), len(m))
	}
	seen := 0
	for k, v := range s.All() {
		if m[k].value != string(v) {
			t.Fatalf("%q = %q, want %q", k, v, m[k].value)
		}
		seen++
	}
	for k, v := range n.All() {
		if m[k].value != string(v) {
			t.Fatalf("%q = %q in a snapshot, want %q", k, v, m[k].value)
		}
		seen++
	}
	if seen != 2*len(m) {
		t.Fatalf("%d entries seen, want twice %d", seen, len(m))
	}
	if d := recount(t, n); d != n.Digest() {
		t.Fatalf("digest of the contents %+v, the store says %+v", d, n.Digest())
	}
}

// restoreFromSnapshot restores a store from itself.
func restoreFromSnapshot(t *testing.T, s *kv.Store) {
	t.Helper()
	n, err := s.Snapshot()
	must(t, err)
	defer n.Close()
	var buf bytes.Buffer
	_, err = n.WriteTo(&buf)
	must(t, err)
	must(t, s.Restore(&buf))
}
