package keytree

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unsafe"
)

// orderedKeys returns keys that try the borders of an item: lengths around 16 and 23
// bytes, prefixes of one another, zeros and 0xff.
func orderedKeys(r *rand.Rand, n int) []string {
	seen := make(map[string]bool)
	alphabets := []string{"\x00\x01", "\xff\xfe", "ab\x00\xff", "0123456789"}
	lengths := []int{1, 2, 7, 8, 9, 15, 16, 17, 22, 23, 24, 25, 40, 150}
	for len(seen) < n {
		alphabet := alphabets[r.IntN(len(alphabets))]
		b := make([]byte, lengths[r.IntN(len(lengths))])
		common := r.IntN(len(b) + 1)
		for i := range b {
			if b[i] = alphabet[0]; i >= common {
				b[i] = alphabet[r.IntN(len(alphabet))]
			}
		}
		seen[string(b)] = true
		if n > 5000 {
			seen[fmt.Sprintf("%s%08d", b, r.IntN(1e8))] = true
		}
	}
	keys := make([]string, 0, len(seen))
	for k := range seen {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	r.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
	return keys
}

// treeKeys returns all keys of a view, taken a few at a time, in one direction.
func treeKeys(v View, descending bool, room int) (keys []string) {
	var from Start
	items := make([]Item, room)
	for {
		n := 0
		if descending {
			n = v.Descend(&from, items)
		} else {
			n = v.Ascend(&from, items)
		}
		for _, x := range items[:n] {
			var buf [24]byte
			keys = append(keys, string(x.Key(v.Slabs, &buf)))
		}
		if n < room {
			return keys
		}
		from = Start{Bound: BoundOf(items[n-1], v.Slabs), Set: true, Exclusive: true}
	}
}

func TestItemsCompareAsKeys(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	slabs := newSlabs()
	keys := orderedKeys(r, 1000)
	for range 100_000 {
		a, b := keys[r.IntN(len(keys))], keys[r.IntN(len(keys))]
		if r.IntN(10) == 0 {
			b = a
		}
		at := BoundAt(a)
		x := BoundAt(b).Item
		if x.Long() {
			x = slabs.store(x, b)
		}
		want := strings.Compare(a, b)
		if at.After(&x, slabs.set) != (want > 0) || at.Reached(&x, slabs.set) != (want >= 0) || at.Equals(&x, slabs.set) != (want == 0) {
			t.Fatalf("%q to %q: after %v, reached %v, equal %v", a, b, at.After(&x, slabs.set), at.Reached(&x, slabs.set), at.Equals(&x, slabs.set))
		}
		var buf [24]byte
		if got := string(x.Key(slabs.set, &buf)); got != b {
			t.Fatalf("%q became %q", b, got)
		}
	}
}

func TestNodesFillTheirSizeClasses(t *testing.T) {
	// Inner nodes have pointers: the allocator adds a word.
	if l, in := unsafe.Sizeof(leaf{}), unsafe.Sizeof(inner{}); l > 1536 || in+8 > 2048 {
		t.Errorf("a leaf has %d bytes, an inner node %d", l, in)
	}
}

// TestTree inserts and removes at random, freezes views, and compares with a sorted slice.
func TestTree(t *testing.T) {
	for _, n := range []int{50, 1000, 8000} {
		t.Run(fmt.Sprint(n), func(t *testing.T) { runTree(t, n) })
	}
}

func runTree(t *testing.T, n int) {
	r := rand.New(rand.NewPCG(uint64(n), 2))
	keys := orderedKeys(r, n)
	x := New()
	in := make(map[string]bool)
	type frozen struct {
		view View
		keys []string
	}
	var views []frozen
	sorted := func() (s []string) {
		for k := range in {
			s = append(s, k)
		}
		slices.Sort(s)
		return s
	}
	rounds := 18
	for round := range rounds {
		// Grow and shrink in turns, at the end to nothing.
		for i := range keys {
			k := keys[r.IntN(len(keys))]
			if round == rounds-1 {
				k = keys[i]
			}
			grow := r.IntN(4) > 0 == (round%4 < 2) && round < rounds-1
			switch {
			case grow && !in[k]:
				x.Insert(k)
				in[k] = true
			case !grow:
				x.Remove(k)
				delete(in, k)
			}
		}
		want := sorted()
		checkTree(t, &x)
		if got := treeKeys(x.View(), false, 1+r.IntN(200)); !slices.Equal(got, want) {
			t.Fatalf("round %d: %d keys, want %d", round, len(got), len(want))
		}
		slices.Reverse(want)
		if got := treeKeys(x.View(), true, 1+r.IntN(200)); !slices.Equal(got, want) {
			t.Fatalf("round %d, descending: %d keys, want %d", round, len(got), len(want))
		}
		slices.Reverse(want)
		if r.IntN(3) == 0 {
			views = append(views, frozen{x.Freeze(), want})
		}
		for len(views) > 0 && r.IntN(2) == 0 {
			f := views[0]
			views = views[1:]
			if got := treeKeys(f.view, false, 100); !slices.Equal(got, f.keys) {
				t.Fatalf("round %d: a frozen view has changed", round)
			}
			x.Release()
		}
	}
	if n := nodes(x.root, x.height); len(in) != 0 || n > 2 {
		t.Errorf("%d keys, %d nodes are left", len(in), n)
	}
}

func nodes(root unsafe.Pointer, height int) int {
	if height == 0 {
		return 1
	}
	n, in := 1, (*inner)(root)
	for _, child := range in.children[:in.n] {
		n += nodes(child, height-1)
	}
	return n
}

// checkTree fails unless separators separate, and the slabs of long keys are counted right.
func checkTree(t *testing.T, tr *Tree) {
	t.Helper()
	if tr.root == nil {
		return
	}
	set := tr.slabs.set
	alive := int64(0)
	keyOf := func(x Item) string {
		var buf [24]byte
		if x.Long() {
			alive += int64(keySize(x.Key(set, &buf)))
		}
		return string(x.Key(set, &buf))
	}
	last := ""
	var walk func(node unsafe.Pointer, height int)
	walk = func(node unsafe.Pointer, height int) {
		if height == 0 {
			for _, x := range (*leaf)(node).items[:(*leaf)(node).n] {
				k := keyOf(x)
				if k < last {
					t.Fatalf("%q behind %q", k, last)
				}
				last = k
			}
			return
		}
		in := (*inner)(node)
		for i, child := range in.children[:in.n] {
			if i > 0 {
				s := keyOf(in.separators[i-1])
				if s <= last {
					t.Fatalf("separator %q behind %q", s, last)
				}
				last = s
			}
			walk(child, height-1)
		}
		for _, child := range in.children[in.n:] {
			if child != nil {
				t.Fatal("a child that was removed is kept alive")
			}
		}
	}
	walk(tr.root, tr.height)
	k := &tr.slabs
	if k.used-k.dead != alive {
		t.Fatalf("%d bytes of long keys, of which %d dead; %d are alive", k.used, k.dead, alive)
	}
	if tr.freezes == 0 && k.dead*3 > k.used*2 && k.used > 8*maxKeySlabBytes {
		t.Errorf("%d of %d bytes of long keys are dead", k.dead, k.used)
	}
}
