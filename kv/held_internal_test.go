package kv

import (
	"testing"

	"github.com/emberkv/ember/rdb"
)

// Locks are held for so many bytes at once, and a large record's is held alone.
func TestRunsOfRecordsAreShort(t *testing.T) {
	const small, large = 100, 10 * applyAtOnce
	for _, c := range []struct {
		sizes []int
		want  int
	}{
		{[]int{small, small, small}, 3},
		{[]int{small, large, small}, 1},
		{[]int{large, small, small}, 1},
		{[]int{large, large}, 1},
		{[]int{applyAtOnce / 2, applyAtOnce / 2, 1}, 2},
	} {
		var ops []operation
		for _, size := range c.sizes {
			ops = append(ops, operation{kind: rdb.KindPut, record: make([]byte, size)})
		}
		if n := leadingSingles(ops); n != c.want {
			t.Errorf("%d of records of %v bytes at once, want %d", n, c.sizes, c.want)
		}
		for _, kind := range []byte{kindClear, kindTransaction, kindDeletePrefix} {
			ops[0].kind = kind
			if n := leadingSingles(ops); n != 0 {
				t.Errorf("%d with kind %d in front, want 0", n, kind)
			}
		}
	}
}

// What a block of one large entry was read into is not kept for others.
func TestMemoryOfLargeBlocksIsNotKept(t *testing.T) {
	l := &loader{spare: make(chan []byte, spareBlocks)}
	l.giveBack(make([]byte, 100, spareBytes+1))
	if len(l.spare) != 0 {
		t.Error("more than spareBytes were kept")
	}
	for range spareBlocks + 1 {
		l.giveBack(make([]byte, 100, spareBytes))
	}
	if len(l.spare) != spareBlocks {
		t.Errorf("%d blocks were kept, want %d", len(l.spare), spareBlocks)
	}
}
