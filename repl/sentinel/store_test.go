package sentinel_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/emberkv/ember/internal/disk"
	"github.com/emberkv/ember/repl/sentinel"
)

func ExampleFileStore() {
	dir, err := os.MkdirTemp("", "sentinel")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)

	store, err := sentinel.OpenFileStore(filepath.Join(dir, "state"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()
	fmt.Println(store.Save([]byte("voted in epoch 7")))
	state, err := store.Load()
	fmt.Println(string(state), err)
	// Output:
	// <nil>
	// voted in epoch 7 <nil>
}

func ExampleMemoryStore() {
	var store sentinel.MemoryStore
	state, err := store.Load()
	fmt.Println(state == nil, err)
	fmt.Println(store.Save([]byte("voted in epoch 7")))
	state, err = store.Load()
	fmt.Println(string(state), err)
	// Output:
	// true <nil>
	// <nil>
	// voted in epoch 7 <nil>
}

func TestAStoreOwnsItsBytes(t *testing.T) {
	file, err := sentinel.OpenFileStore(filepath.Join(t.TempDir(), "new", "state"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, store := range []sentinel.Store{new(sentinel.MemoryStore), file} {
		state := []byte("one")
		if err := store.Save(state); err != nil {
			t.Fatal(err)
		}
		state[0] = 'X'
		got, err := store.Load()
		if err != nil || string(got) != "one" {
			t.Fatalf("%T loads %q, %v", store, got, err)
		}
		got[0] = 'Y'
		if got, _ := store.Load(); !bytes.Equal(got, []byte("one")) {
			t.Errorf("%T loads %q after what it gave out was changed", store, got)
		}
	}
}

func TestOneSentinelAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	first, err := sentinel.OpenFileStore(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sentinel.OpenFileStore(path); !errors.Is(err, disk.ErrLocked) {
		t.Errorf("a second one gets %v", err)
	}
	for range 2 {
		if err := first.Close(); err != nil {
			t.Fatal(err)
		}
	}
	again, err := sentinel.OpenFileStore(path)
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
}
