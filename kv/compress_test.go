package kv_test

import (
	"bytes"
	"fmt"
	"io"
	"testing"

	"github.com/emberkv/ember/kv"
	"github.com/emberkv/ember/rdb"
)

// A compressed snapshot is smaller, and restores to the same store.
func TestCompressedSnapshotRestores(t *testing.T) {
	s := open(t, nil)
	for i := range 5000 {
		set(t, s, key(i), fmt.Sprintf(`{"id":%d,"name":"user %d","mail":"u%d@example.com"}`, i, i, i))
	}
	n, err := s.Snapshot()
	must(t, err)
	defer n.Close()
	var plain bytes.Buffer
	_, err = n.WriteTo(&plain)
	must(t, err)
	for _, c := range []rdb.Compression{rdb.S2, rdb.Zstd} {
		var file bytes.Buffer
		written, err := n.WriteCompressed(&file, c)
		must(t, err)
		if written != int64(file.Len()) || 3*file.Len() > 2*plain.Len() {
			t.Errorf("%v: %d bytes became %d, returned %d", c, plain.Len(), file.Len(), written)
		}
		to := open(t, nil)
		must(t, to.Restore(&file))
		if a, b := digest(t, s), digest(t, to); a.Sum != b.Sum || a.Keys != b.Keys {
			t.Errorf("%v: restored to %+v, was %+v", c, b, a)
		}
		wantTrueDigest(t, to)
	}
	if _, err := n.WriteCompressed(io.Discard, 99); err == nil {
		t.Error("compression 99 is accepted")
	}
}

func ExampleSnapshot_WriteCompressed() {
	s := kv.New(nil)
	defer s.Close()
	s.Set("k", bytes.Repeat([]byte("text "), 1000))
	snapshot, err := s.Snapshot()
	if err != nil {
		panic(err)
	}
	defer snapshot.Close()
	var file bytes.Buffer // or what rdb.WriteFile hands to its function
	n, err := snapshot.WriteCompressed(&file, rdb.Zstd)
	fmt.Println(n < 5000, err)
	fmt.Println(s.Restore(&file))
	// Output:
	// true <nil>
	// <nil>
}
