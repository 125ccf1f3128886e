package kv

import (
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/rdb"
)

// A copy that is loaded while the store serves asks for no large pages, and from the exchange on the
// store does; one that is loaded from a disk does from the start.
func TestLargePagesAfterTheCopy(t *testing.T) {
	s := New(nil)
	defer s.Close()
	beside := func(t *table) (n int) {
		for i := range t.shards {
			sh := &t.shards[i]
			sh.mu.Lock()
			if sh.mu.beside {
				n++
			}
			sh.mu.Unlock()
		}
		return n
	}
	h := s.header(s.table.Load())
	disk, err := s.load(h)
	if err != nil {
		t.Fatal(err)
	}
	defer disk.Abort()
	if n := beside(disk.table); n != 0 {
		t.Errorf("%d shards of a store that is loaded from a disk do without large pages", n)
	}
	l, err := s.Load(h)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Abort()
	if n := beside(l.(*loader).table); n != h.Shards {
		t.Errorf("%d of %d shards of a copy do without large pages", n, h.Shards)
	}
	for i := range h.Shards {
		if err := l.Block(&rdb.Block{Shard: i, First: true, Last: true, At: h.Position.Offset}); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Commit(rdb.Footer{Position: h.Position}); err != nil {
		t.Fatal(err)
	}
	if n := beside(s.table.Load()); n != 0 {
		t.Errorf("%d shards still do without large pages after the copy", n)
	}
}

// The slab that is made ahead is counted, and a store that is cleared, exchanged or closed has none.
func TestSlabAheadGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fill := func(s *Store) *table {
			value := make([]byte, 8<<10)
			for i := range 8000 {
				if err := s.Set(string(rune('a'+i%26))+string(rune(0x4e00+i)), value); err != nil {
					t.Fatal(err)
				}
			}
			return s.table.Load()
		}
		s := New(&Options{LogBytes: -1})
		defer s.Close()
		b := &fill(s).ahead
		synctest.Wait()
		held, with := b.Held(), s.Stats().ArenaBytes
		b.Drop()
		if without := s.Stats().ArenaBytes; held == 0 || with-without != held {
			t.Errorf("%d bytes are held ahead, and Stats count %d of them", held, with-without)
		}
		fill(s)
		if err := s.Clear(); err != nil {
			t.Fatal(err)
		}
		if st := s.Stats(); st.ArenaBytes != 0 {
			t.Errorf("a store that was cleared has %d bytes of slabs", st.ArenaBytes)
		}
		old := fill(s)
		if err := s.Drop(rdb.Header{}); err != nil {
			t.Fatal(err)
		}
		last := fill(s)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		for name, table := range map[string]*table{"exchanged": old, "closed": last} {
			table.ahead.Make(hugeBytes)
			synctest.Wait()
			if n := table.ahead.Held(); n != 0 {
				t.Errorf("%s: a table that is not in use any more holds %d bytes", name, n)
			}
		}
	})
}

// A table that was loaded from a disk has slabs made ahead like any other.
func TestSlabAheadOfARecoveredStore(t *testing.T) {
	dir := t.TempDir()
	for range 2 {
		s, err := Open(dir, nil)
		if err != nil {
			t.Fatal(err)
		}
		b := &s.table.Load().ahead
		b.Make(hugeBytes)
		for end := time.Now().Add(10 * time.Second); b.Held() == 0 && time.Now().Before(end); {
			runtime.Gosched()
		}
		if b.Held() == 0 {
			t.Error("nothing is made ahead")
		}
		if err := s.Set("key", []byte("value")); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Save(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
