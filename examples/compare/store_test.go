package main

import (
	"bytes"
	"slices"
	"testing"
)

// stores returns the peers that are more than caches.
func stores() []peer {
	return slices.DeleteFunc(slices.Clone(peers), func(p peer) bool { return p.open == nil })
}

// TestPeers checks that every peer does what the workloads take for granted.
func TestPeers(t *testing.T) {
	const keys = 1000
	for _, p := range stores() {
		t.Run(p.name, func(t *testing.T) {
			s, err := p.open(keys)
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			}()
			e := newEntry()
			set := func(i, value int) {
				t.Helper()
				e.setKey(i)
				e.setValue(value)
				if err := s.Set(e.key, e.value); err != nil {
					t.Fatal(err)
				}
				if w, ok := s.(waiter); ok {
					w.Wait()
				}
			}
			for i := range keys {
				set(i, i)
			}
			set(7, 70)
			e.setKey(8)
			if err := s.Delete(e.key); err != nil {
				t.Fatal(err)
			}
			if w, ok := s.(waiter); ok {
				w.Wait()
			}
			missing := 0
			for i := range keys + 1 {
				// The key and the value that were passed are used again: what
				// the store keeps must be its own.
				e.setKey(i)
				want := newEntry()
				switch want.setValue(i); i {
				case 7:
					want.setValue(70)
				case 8, keys:
					want.value = nil
				}
				switch got := s.Get(e.key); {
				case got == nil && want.value != nil:
					missing++
				case !bytes.Equal(got, want.value):
					t.Fatalf("key %d: got %q, want %q", i, got, want.value)
				}
			}
			if p.exact && missing > 0 || missing > keys/10 {
				t.Errorf("%d keys are missing", missing)
			}
		})
	}
}

func TestRange(t *testing.T) {
	const keys = 1000
	tested := 0
	for _, p := range stores() {
		s, err := p.open(keys)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		r, ok := s.(ranger)
		if !ok {
			continue
		}
		tested++
		t.Run(p.name, func(t *testing.T) {
			e, o := newEntry(), randomOrder(keys, 1)
			for i := range keys {
				e.setKey(o.at(i))
				e.setValue(o.at(i))
				if err := s.Set(e.key, e.value); err != nil {
					t.Fatal(err)
				}
			}
			e.setKey(420)
			next, want := 420, newEntry()
			r.Range(e.key, func(key, value []byte) bool {
				want.setKey(next)
				want.setValue(next)
				if !bytes.Equal(key, want.key) || !bytes.Equal(value, want.value) {
					t.Fatalf("got %q: %q, want %q: %q", key, value, want.key, want.value)
				}
				next++
				return next < 550
			})
			if next != 550 {
				t.Errorf("stopped before %d", next)
			}
		})
	}
	if tested == 0 {
		t.Error("no peer keeps its keys in order")
	}
}

func TestChoose(t *testing.T) {
	got, err := choose("xsync,ember")
	if err != nil || len(got) != 2 || got[0].name != "xsync" || got[1].name != "ember" {
		t.Errorf("got %v, %v", got, err)
	}
	if _, err := choose("ember,redis"); err == nil {
		t.Error("an unknown name was taken")
	}
}
