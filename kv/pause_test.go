package kv_test

import (
	"bytes"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/kv"
)

// everyWrite names each way to change a store and does it: on a store that holds "a",
// "b", "n" of 1 and "gone", which has a deadline, each changes something.
func everyWrite(t testing.TB) map[string]func(*kv.Store) error {
	snapshot := func() []byte {
		s := kv.New(nil)
		defer s.Close()
		s.Set("from a file", []byte("1"))
		n, err := s.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		defer n.Close()
		var b bytes.Buffer
		if _, err := n.WriteTo(&b); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}()
	return map[string]func(*kv.Store) error{
		"Set":            func(s *kv.Store) error { return s.Set("a", []byte("2")) },
		"Set, expired":   func(s *kv.Store) error { return s.Set("a", []byte("2"), kv.ExpireAt(time.UnixMilli(1))) },
		"Delete":         func(s *kv.Store) error { _, err := s.Delete("a"); return err },
		"Pipeline":       func(s *kv.Store) error { return execAll(s, "a") },
		"DeletePrefix":   func(s *kv.Store) error { _, err := s.DeletePrefix("a"); return err },
		"Add":            func(s *kv.Store) error { _, err := s.Add("n", 1); return err },
		"Expire":         func(s *kv.Store) error { _, err := s.Expire("a", time.Hour); return err },
		"Persist":        func(s *kv.Store) error { _, err := s.Persist("gone"); return err },
		"CompareAndSwap": func(s *kv.Store) error { _, err := s.CompareAndSwap("a", []byte("1"), []byte("2")); return err },
		"Clear":          func(s *kv.Store) error { return s.Clear() },
		"Rename":         func(s *kv.Store) error { return s.Rename("a", "c") },
		"Update":         func(s *kv.Store) error { return s.Update(func(tx *kv.Tx) error { return tx.Set("a", []byte("2")) }) },
		"Restore":        func(s *kv.Store) error { return s.Restore(bytes.NewReader(snapshot)) },
	}
}

// TestPausedWritesGoOn: while the gate holds writes up every one waits, changes nothing
// and keeps nobody from reading; afterwards it takes effect, or gets what the gate says.
func TestPausedWritesGoOn(t *testing.T) {
	refusal := errors.New("this node is a replica now")
	for name, write := range everyWrite(t) {
		for _, after := range []error{nil, refusal} {
			synctest.Test(t, func(t *testing.T) {
				s := kv.New(nil)
				defer s.Close()
				s.Set("a", []byte("1"))
				s.Set("n", []byte("1"))
				s.Set("gone", []byte("1"), kv.TTL(time.Hour))
				before := s.Position()
				resume := make(chan struct{})
				var asked atomic.Int64
				s.Log().SetGate(func() error { asked.Add(1); return &backlog.PausedError{Resume: resume} })
				done := make(chan error, 1)
				go func() { done <- write(s) }()
				synctest.Wait()
				if n := asked.Load(); n == 0 || n > 4 {
					t.Errorf("%s: asked the gate %d times while it waits", name, n)
				}
				if v, err := s.Get("a"); string(v) != "1" || err != nil || s.Position() != before {
					t.Errorf("%s: meanwhile a is %q, %v, at %s", name, v, err, s.Position())
				}
				s.Log().SetGate(func() error { return after })
				close(resume)
				if err := <-done; err != after {
					t.Errorf("%s: %v, want %v", name, err, after)
				}
				if changed := s.Position() != before; changed != (after == nil) {
					t.Errorf("%s, after which the gate says %v: changed: %v", name, after, changed)
				}
			})
		}
	}
}
