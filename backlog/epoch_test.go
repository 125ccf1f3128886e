package backlog_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/emberkv/ember/backlog"
)

func epoch(counter uint64, node byte) backlog.Epoch {
	return backlog.Epoch{Counter: counter, Node: [16]byte{node}}
}

// TestEpochsAreOrdered: by the counter, then by the node, none below all; and what
// comes next is above what was.
func TestEpochsAreOrdered(t *testing.T) {
	want := []backlog.Epoch{{}, epoch(1, 1), epoch(1, 200), epoch(2, 1), epoch(10, 1), epoch(backlog.MaxCounter, 1)}
	for i, a := range want {
		for j, b := range want {
			if got := a.Compare(b); (got < 0) != (i < j) || (got == 0) != (i == j) {
				t.Errorf("%s compared with %s: %d", a, b, got)
			}
		}
		if next := a.Next([16]byte{1}); next.Compare(a) <= 0 || slices.ContainsFunc(want[:i+1], func(e backlog.Epoch) bool { return e.Compare(next) >= 0 }) {
			t.Errorf("after %s comes %s", a, next)
		}
	}
}

func TestEpochText(t *testing.T) {
	for _, e := range []backlog.Epoch{{}, epoch(1, 1), epoch(backlog.MaxCounter, 0xab)} {
		if got, err := backlog.ParseEpoch(e.String()); got != e || err != nil {
			t.Errorf("%s: %v, %v", e, got, err)
		}
	}
	for _, s := range []string{"", "1", "0-", "-" + digits, "0-" + digits, "01-" + digits, "+1-" + digits, "1-" + digits[1:],
		"1-" + "00000000000000000000000000000000", "4611686018427387905-" + digits, "1-" + "ABCDEF" + digits[6:]} {
		if e, err := backlog.ParseEpoch(s); !errors.Is(err, backlog.ErrText) || !e.IsZero() {
			t.Errorf("%q: %v, %v", s, e, err)
		}
	}
}

// TestBegin: a history of an epoch of its own; a fork keeps the epoch, and one that is
// not above the last cannot begin.
func TestBegin(t *testing.T) {
	l := backlog.NewLog(nil)
	mustAppend(t, l, framed(100, 1))
	if p := l.Begin(numbered(2).Current, epoch(2, 1)); number(p.History) != 2 || p.Offset != 100 || l.Lineage().Epoch != epoch(2, 1) {
		t.Errorf("began %s, %+v", p, l.Lineage())
	}
	l.Fork(numbered(3).Current)
	if e := l.Lineage().Epoch; e != epoch(2, 1) {
		t.Errorf("after a fork: %s", e)
	}
	if e := l.Lineage().At(50).Epoch; !e.IsZero() {
		t.Errorf("of an earlier history: %s", e)
	}
	defer func() {
		if recover() == nil || number(l.Position().History) != 3 {
			t.Errorf("epoch 2 began again; at %s", l.Position())
		}
	}()
	l.Begin(numbered(4).Current, epoch(2, 1))
}

// TestExtendNeverLowersTheEpoch: on the way along a lineage with forks ahead the epoch
// is not known, and stays; so it does with a history that began before.
func TestExtendNeverLowersTheEpoch(t *testing.T) {
	first := numbered(1)
	first.Epoch = epoch(1, 1)
	l := backlog.NewLogAt(first, 0, nil)
	mustAppend(t, l, framed(100, 1))
	theirs := first.Fork(numbered(2).Current, 100).Fork(numbered(3).Current, 200)
	theirs.Epoch = epoch(3, 1)
	for _, c := range []struct {
		grow int
		want backlog.Epoch
	}{{0, epoch(1, 1)}, {100, epoch(3, 1)}} {
		if c.grow > 0 {
			mustAppend(t, l, framed(c.grow, 2))
		}
		if err := l.Extend(theirs.At(l.End())); err != nil || l.Lineage().Epoch != c.want {
			t.Errorf("at %d: %s, %v; want %s", l.End(), l.Lineage().Epoch, err, c.want)
		}
	}
	lower := theirs
	lower.Epoch = epoch(2, 1)
	if err := l.Extend(lower); err != nil || l.Lineage().Epoch != epoch(3, 1) {
		t.Errorf("with a lower one: %s, %v", l.Lineage().Epoch, err)
	}
}

// TestRaise: the history stays, and the epoch never falls.
func TestRaise(t *testing.T) {
	l := backlog.NewLog(nil)
	h := l.Position().History
	for _, c := range []struct{ to, want backlog.Epoch }{{epoch(2, 1), epoch(2, 1)}, {epoch(1, 9), epoch(2, 1)}, {epoch(2, 2), epoch(2, 2)}} {
		if l.Raise(c.to); l.Lineage().Epoch != c.want || l.Position().History != h {
			t.Errorf("raised to %s: %s", c.to, l.Lineage().Epoch)
		}
	}
}

func FuzzEpoch(f *testing.F) {
	f.Add([]byte("0"))
	f.Add([]byte(epoch(7, 3).String()))
	b, _ := epoch(7, 3).AppendBinary(nil)
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		if e, err := backlog.ParseEpoch(string(b)); err == nil && e.String() != string(b) {
			t.Errorf("%q is written as %s", b, e)
		}
		e, rest, err := backlog.CutEpoch(b)
		if err != nil {
			return
		}
		if again, _ := e.AppendBinary(nil); !bytes.Equal(append(again, rest...), b) || e.Validate() != nil {
			t.Errorf("%x is written as %s", b, e)
		}
	})
}

// Two operators promote a replica each, by hand and at the same moment.
func ExampleEpoch() {
	old := backlog.Epoch{Counter: 4, Node: [16]byte{7}}
	a, b := old.Next([16]byte{1}), old.Next([16]byte{2})
	fmt.Println(a)
	fmt.Println(b)
	fmt.Println(a.Compare(old) > 0, a.Compare(b) < 0)
	// Output:
	// 5-01000000000000000000000000000000
	// 5-02000000000000000000000000000000
	// true true
}
