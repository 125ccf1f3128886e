package kv

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

func TestSmoke(t *testing.T) {
	s := New(nil)
	defer s.Close()
	m := map[string]string{}
	r := rand.New(rand.NewPCG(1, 2))
	for i := range 300000 {
		k := fmt.Sprintf("key:%06d", r.IntN(20000))
		switch r.IntN(10) {
		case 0:
			ok, err := s.Delete(k)
			if _, had := m[k]; err != nil || ok != had {
				t.Fatal(k, ok, had, err)
			}
			delete(m, k)
		default:
			v := fmt.Sprintf("%s-%d-%s", k, i, bytes.Repeat([]byte("x"), r.IntN(200)))
			if err := s.Set(k, []byte(v)); err != nil {
				t.Fatal(err)
			}
			m[k] = v
		}
	}
	check := func(s *Store) {
		t.Helper()
		if s.Len() != len(m) {
			t.Fatal(s.Len(), len(m))
		}
		for k, v := range m {
			if got, err := s.Get(k); string(got) != v || err != nil {
				t.Fatal(k, err)
			}
		}
		n := 0
		for k, v := range s.All() {
			if m[k] != string(v) {
				t.Fatal(k)
			}
			n++
		}
		if n != len(m) {
			t.Fatal(n)
		}
	}
	check(s)
	var used, dead int64
	for i := range s.table.Load().shards {
		a := &s.table.Load().shards[i].mu.arena
		used += a.used
		dead += a.dead
	}
	t.Logf("used %d dead %d %.3f", used, dead, float64(dead)/float64(used))
	n, err := s.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	var buf bytes.Buffer
	if _, err := n.WriteTo(&buf); err != nil {
		t.Fatal(err)
	}
	s2 := New(nil)
	defer s2.Close()
	if err := s2.Restore(&buf); err != nil {
		t.Fatal(err)
	}
	check(s2)
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := s2.Wait(ctx, s2.Position()); err != nil {
		t.Fatal(err)
	}
	d1, _ := s.Digest()
	d2, _ := s2.Digest()
	if d1.Sum != d2.Sum || d1.Keys != d2.Keys {
		t.Fatal(d1, d2)
	}
}
