package keytree_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/emberkv/ember/internal/keytree"
)

// keysOf returns all keys of a view in order.
func keysOf(v keytree.View) (keys []string) {
	var from keytree.Start
	room := make([]keytree.Item, 100)
	for {
		n := v.Ascend(&from, room)
		for _, x := range room[:n] {
			var buf [24]byte
			keys = append(keys, string(x.Key(v.Slabs, &buf)))
		}
		if n < len(room) {
			return keys
		}
		from = keytree.Start{Bound: keytree.BoundOf(room[n-1], v.Slabs), Set: true, Exclusive: true}
	}
}

// sortedKeys returns n keys in order, every third of which is a long one.
func sortedKeys(n int) []string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = fmt.Sprintf("%08d", i)
		if i%3 == 0 {
			keys[i] += strings.Repeat("long", 10)
		}
	}
	return keys
}

// A tree that is built of sorted keys is as good as one that they were inserted into: it has
// them, counts its bytes, and goes on.
func TestBuild(t *testing.T) {
	for _, n := range []int{0, 1, 54, 55, 56, 3080, 20_000} {
		tree, keys := keytree.New(), sortedKeys(n)
		build := tree.Build()
		for _, k := range keys {
			b := keytree.BoundAt(k)
			build.Add(b.Item, b.Rest)
		}
		build.Finish()
		for i := 0; i < n; i += 2 {
			tree.Remove(keys[i])
			tree.Insert(keys[i] + "~")
			keys[i] += "~"
		}
		slices.Sort(keys)
		if got := keysOf(tree.View()); !slices.Equal(got, keys) {
			t.Errorf("%d keys: %d are there, or others", n, len(got))
		}
		if err := tree.Verify(); err != nil {
			t.Error(err)
		}
	}
}

// A tree that is cleared is empty, and its frozen views are not.
func TestClear(t *testing.T) {
	tree, keys := keytree.New(), sortedKeys(1000)
	for _, k := range keys {
		tree.Insert(k)
	}
	held, _ := tree.Bytes()
	view := tree.Freeze()
	tree.Clear()
	tree.Insert("other")
	if got := keysOf(tree.View()); !slices.Equal(got, []string{"other"}) {
		t.Errorf("%d keys after Clear", len(got))
	}
	if got := keysOf(view); !slices.Equal(got, keys) {
		t.Errorf("a frozen view has %d keys", len(got))
	}
	if now, retained := tree.Bytes(); now >= held || retained < held {
		t.Errorf("%d bytes, %d are retained, it had %d", now, retained, held)
	}
	tree.Release()
	if _, retained := tree.Bytes(); retained != 0 {
		t.Errorf("%d bytes are retained by no view", retained)
	}
}

func ExampleTree() {
	tree := keytree.New()
	for _, key := range []string{"pear", "apple", "fig"} {
		tree.Insert(key)
	}
	tree.Remove("apple")
	view := tree.View()
	items := make([]keytree.Item, 10)
	var buf [24]byte
	for _, item := range items[:view.Ascend(&keytree.Start{}, items)] {
		fmt.Printf("%s\n", item.Key(view.Slabs, &buf))
	}
	// Output:
	// fig
	// pear
}
