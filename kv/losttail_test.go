package kv_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/kv"
	"github.com/emberkv/ember/rdb"
)

// lost returns options that record what a store loses.
func lost(into *[]kv.LostTail, events *[]string, o kv.Options) *kv.Options {
	o.OnLostTail = func(t kv.LostTail) {
		*into = append(*into, t)
		for e := range t.Events {
			*events = append(*events, fmt.Sprintf("%s %s=%.5s at %s", e.Kind, e.Key, e.Value, e.Position))
		}
	}
	return &o
}

// TestLostTail: an old master takes the state of the new one. What only it had is handed
// to the program first, change by change.
func TestLostTail(t *testing.T) {
	var tails []kv.LostTail
	var events []string
	old, now := open(t, lost(&tails, &events, kv.Options{})), open(t, nil)
	now.SetFollower(true)
	set(t, old, "both", "1")
	fullCopy(t, old, now).catchUp(t)
	fork := now.Position()
	now.SetFollower(false)
	now.Log().Fork(backlog.NewHistory())
	set(t, now, "new", "1")

	before := old.Position()
	set(t, old, "a", "1", kv.TTL(time.Hour))
	second := old.Log().Fork(backlog.NewHistory()) // and it was promoted again itself
	must(t, old.Update(func(tx *kv.Tx) error { tx.Set("b", []byte("2")); _, err := tx.Delete("both"); return err }))
	to := old.Position()

	old.SetFollower(true)
	fullCopy(t, now, old)
	if len(tails) != 1 || tails[0].From != fork || tails[0].From != before || tails[0].To != to || !tails[0].Complete {
		t.Fatalf("lost %+v, want one from %s to %s", tails, fork, to)
	}
	slices.Sort(events)
	want := []string{
		fmt.Sprintf("delete both= at %s", to), fmt.Sprintf("put a=1 at %s-%d", before.History, second.Offset), fmt.Sprintf("put b=2 at %s", to),
	}
	if !slices.Equal(events, want) {
		t.Errorf("lost %q, want %q", events, want)
	}
	// A copy that loses nothing says nothing: of one that was behind, and of the same.
	set(t, now, "further", "1")
	fullCopy(t, now, old)
	fullCopy(t, now, old)
	if len(tails) != 1 {
		t.Errorf("lost %+v", tails[1:])
	}
}

// TestLostTailBeyondTheWindow: the log does not hold all of it any more.
func TestLostTailBeyondTheWindow(t *testing.T) {
	var tails []kv.LostTail
	var events []string
	old, now := open(t, lost(&tails, &events, kv.Options{LogBytes: 4 << 10})), open(t, nil)
	for i := range 1000 {
		set(t, old, key(i), "value")
	}
	w := old.Log().Window()
	set(t, now, "foreign", "1")
	d, err := now.Digest()
	must(t, err)
	to := old.Position()
	must(t, old.Drop(rdb.Header{Position: d.Position, Lineage: now.Log().Lineage()}))
	if len(tails) != 1 || !tails[0].From.IsZero() || tails[0].To != to || tails[0].Complete {
		t.Fatalf("lost %+v", tails)
	}
	if n := int64(len(events)); n == 0 || n >= 1000 || w.First == 0 {
		t.Errorf("%d events of a window from %d", n, w.First)
	}
	must(t, old.Drop(rdb.Header{}))
	fullCopy(t, now, old)
	if len(tails) != 1 {
		t.Errorf("an empty store has lost %+v", tails[1:])
	}
}

// TestNoLostTailOfWhatTheCopyBrings: a copy that begins with less than the store had, and
// is sent the rest of the same history while it is loaded, loses nothing.
func TestNoLostTailOfWhatTheCopyBrings(t *testing.T) {
	var tails []kv.LostTail
	var events []string
	first, late := open(t, nil), open(t, nil)
	store := open(t, lost(&tails, &events, kv.Options{}))
	set(t, first, "a", "1")
	behind := fullCopy(t, first, late)
	set(t, first, "a", "2")
	fullCopy(t, first, store)

	h := dumpHeader(t, late)
	loader, err := store.Load(h)
	must(t, err)
	defer loader.Abort()
	l := newLink(t, late, h.Shards, loader, h.Position, rdb.ShardSet{})
	behind.catchUp(t)
	must(t, late.Dump(t.Context(), l))
	must(t, loader.Commit(l.footer))
	wantSame(t, late, store)
	if len(tails) != 0 {
		t.Errorf("lost %+v", tails)
	}
}
