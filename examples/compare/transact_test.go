package main

import (
	"bytes"
	"testing"
)

func TestTransact(t *testing.T) {
	tested := 0
	for _, p := range stores() {
		s, err := p.open(100)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		tr, ok := s.(transactor)
		if !ok {
			continue
		}
		tested++
		t.Run(p.name, func(t *testing.T) {
			entries := newEntries(2)
			var keys [][]byte
			for i := range entries {
				entries[i].setKey(i)
				keys = append(keys, entries[i].key)
			}
			if err := s.Set(keys[0], entries[0].value); err != nil {
				t.Fatal(err)
			}
			want := newEntry()
			want.setValue(7)
			if err := tr.Transact(keys, want.value); err == nil {
				t.Error("a transaction that reads a missing key went through")
			}
			if got := s.Get(keys[0]); !bytes.Equal(got, entries[0].value) {
				t.Errorf("half a transaction is there: %q", got)
			}
			if err := s.Set(keys[1], entries[1].value); err != nil {
				t.Fatal(err)
			}
			if err := tr.Transact(keys, want.value); err != nil {
				t.Fatal(err)
			}
			for _, k := range keys {
				if got := s.Get(k); !bytes.Equal(got, want.value) {
					t.Errorf("%s: got %q", k, got)
				}
			}
		})
	}
	if tested == 0 {
		t.Error("no peer has transactions")
	}
}
