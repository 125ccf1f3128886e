package kv

import (
	"sync"
	"testing"

	"github.com/emberkv/ember/rdb"
)

// Every slab is of the size that was asked for, all zeros, and one writer's alone, whoever makes it.
func TestSlabsAheadAreNew(t *testing.T) {
	var (
		a  slabAhead
		wg sync.WaitGroup
	)
	for g := range 4 {
		wg.Go(func() {
			mark := byte(g + 1)
			var mine [][]byte
			for i := range 200 {
				n := hugeBytes
				if i/20%2 == 1 { // the sizes of shards differ for a while
					n = 2 * hugeBytes
				}
				slab := a.take(n)
				if len(slab) != n || cap(slab) != n {
					t.Errorf("a slab of %d bytes, cap %d, want %d", len(slab), cap(slab), n)
				}
				for j, b := range slab {
					if b != 0 {
						t.Errorf("byte %d of a new slab is %d", j, b)
						return
					}
					slab[j] = mark
				}
				mine = append(mine, slab)
			}
			for _, slab := range mine {
				for j, b := range slab {
					if b != mark {
						t.Errorf("byte %d is %d, of another goroutine", j, b)
						return
					}
				}
			}
		})
	}
	wg.Wait()
}

// A copy that is loaded while the store serves asks for no large pages, and from the exchange on the
// store does; one that is loaded from a disk does from the start.
func TestLargePagesAfterTheCopy(t *testing.T) {
	s := New(nil)
	defer s.Close()
	beside := func(s *Store, l *loader) int {
		table, n := s.table.Load(), 0
		if l != nil {
			table = l.table
		}
		for i := range table.shards {
			sh := &table.shards[i]
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
	if n := beside(s, disk); n != 0 {
		t.Errorf("%d shards of a store that is loaded from a disk do without large pages", n)
	}
	l, err := s.Load(h)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Abort()
	if n := beside(s, l.(*loader)); n != h.Shards {
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
	if n := beside(s, nil); n != 0 {
		t.Errorf("%d shards still do without large pages after the copy", n)
	}
}
