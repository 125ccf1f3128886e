package hugepage_test

import (
	"testing"

	"github.com/emberkv/ember/internal/hugepage"
)

// Advise must leave alone what lies in the memory, at any size and place.
func TestAdviseKeepsContents(t *testing.T) {
	hugepage.Advise[byte](nil)
	for _, n := range []int{1, 4095, 64 << 10, hugepage.Size + 1, 3 * hugepage.Size} {
		before := make([]byte, n+1)
		for i := range before {
			before[i] = byte(i)
		}
		hugepage.Advise(before[1:])
		for i := range before {
			if before[i] != byte(i) {
				t.Fatalf("byte %d of %d is %#x after Advise", i, n, before[i])
			}
		}
	}
	words := make([][8]uint64, 256)
	words[255][7] = 7
	hugepage.Advise(words)
	if words[255][7] != 7 {
		t.Fatal("a word changed")
	}
}

// Touch leaves zeros, of any number.
func TestTouchKeepsZeros(t *testing.T) {
	for _, n := range []int{0, 1, 4095, 4096, 4097, hugepage.Size + 1} {
		s := make([]byte, n)
		hugepage.Touch(s)
		for i, b := range s {
			if b != 0 {
				t.Fatalf("byte %d of %d is %#x after Touch", i, n, b)
			}
		}
	}
}
