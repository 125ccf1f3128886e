package repl_test

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/kv"
	"github.com/emberkv/ember/repl"
)

// TestStoreWithoutReplicas: a store whose master has too few replicas near takes no write
// of any kind, whole transactions included, and nothing is half done. It can be
// read as ever; what a map has loaded is handed out and not kept, nor is anybody else asked
// to load it; keys are gone at their deadlines, though nothing is deleted. All of that is
// made up for when the replicas are back.
func TestStoreWithoutReplicas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, s := repl.NewMemory(), newStores(t, 2)
		store := s[0]
		store.Set("a", []byte("1"))
		store.Set("b", []byte("2"))
		store.Set("soon", []byte("3"), kv.TTL(time.Minute))
		var file bytes.Buffer
		snap, err := store.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		defer snap.Close()
		if _, err := snap.WriteTo(&file); err != nil {
			t.Fatal(err)
		}
		loads, asked := 0, 0
		m, err := kv.NewMap(store, "map:", &kv.MapOptions[string, string]{
			Load: func(context.Context, string) (string, time.Duration, error) {
				loads++
				return "loaded", 0, nil
			},
			Forward: func(context.Context, string) (backlog.Position, error) {
				asked++
				return backlog.Position{}, errors.New("this is the node to ask")
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		before, err := store.Digest()
		if err != nil {
			t.Fatal(err)
		}
		master, err := repl.NewMaster(store, seeded(t, minReplicas(1, 0)))
		if err != nil {
			t.Fatal(err)
		}
		defer master.Close()
		serve(t, master, net, "a")
		writes := map[string]func() error{
			"Set":            func() error { return store.Set("a", []byte("x")) },
			"Set of a key":   func() error { return store.Set("new", []byte("x")) },
			"Delete":         func() error { return second(store.Delete("a")) },
			"DeletePrefix":   func() error { return second(store.DeletePrefix("a")) },
			"Add":            func() error { return second(store.Add("a", 1)) },
			"Expire":         func() error { return second(store.Expire("a", time.Hour)) },
			"Persist":        func() error { return second(store.Persist("soon")) },
			"CompareAndSwap": func() error { return second(store.CompareAndSwap("a", []byte("1"), []byte("x"))) },
			"Clear":          store.Clear,
			"Restore":        func() error { return store.Restore(bytes.NewReader(file.Bytes())) },
			"Update": func() error {
				return store.Update(func(tx *kv.Tx) error {
					return errors.Join(tx.Set("a", []byte("x")), second(tx.Delete("b")))
				})
			},
		}
		for name, write := range writes {
			if err := write(); !errors.Is(err, repl.ErrNotEnoughReplicas) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if v, err := m.Load(t.Context(), "k"); v != "loaded" || err != nil || asked != 0 {
			t.Errorf("Load: %q, %v; another node was asked %d times", v, err, asked)
		}
		if after, err := store.Digest(); err != nil || after != before {
			t.Errorf("the store has changed: %+v, %v; was %+v", after, err, before)
		}
		time.Sleep(time.Hour)
		if v, err := store.Get("b"); string(v) != "2" || err != nil {
			t.Errorf("Get: %q, %v", v, err)
		}
		if _, err := store.Get("soon"); err != kv.ErrNotFound {
			t.Errorf("a key after its deadline: %v", err)
		}
		if after, _ := store.Digest(); after != before {
			t.Error("a key was deleted while no write was let in")
		}

		followStore(t, net, s[1], "a")
		time.Sleep(3 * time.Second)
		if err := store.Set("a", []byte("x")); err != nil {
			t.Errorf("when a replica is there: %v", err)
		}
		if v, err := m.Load(t.Context(), "k"); v != "loaded" || err != nil || loads != 2 {
			t.Errorf("Load: %q, %v, %d loads", v, err, loads)
		}
		if v, ok := m.Get("k"); v != "loaded" || ok != nil {
			t.Errorf("what was loaded is not kept: %q, %v", v, ok)
		}
		if d, _ := store.Digest(); d.Keys != 3 { // a, b, map:k
			t.Errorf("%d keys, want 3 without the one that has expired", d.Keys)
		}
	})
}
