package backlog_test

import (
	"encoding"
	"errors"
	"math"
	"reflect"
	"testing"

	"github.com/emberkv/ember/backlog"
)

var _ encoding.BinaryAppender = backlog.Lineage{}

// forked returns a lineage of n forks, 100 bytes apart, and the log's end. Every
// third history is of length zero.
func forked(n int) (l backlog.Lineage, end int64) {
	l = numbered(1)
	l.Epoch = backlog.Epoch{Counter: uint64(1 + n), Node: [16]byte{9, 8}}
	for i := range n {
		if i%3 != 2 {
			end += 100
		}
		l = l.Fork(numbered(uint64(i+2)).Current, end)
	}
	return l, end + 100
}

func TestLineageForks(t *testing.T) {
	l, end := forked(40)
	if len(l.Earlier) != backlog.MaxForks || number(l.Current) != 41 {
		t.Fatalf("%d earlier histories, current %d", len(l.Earlier), number(l.Current))
	}
	if err := l.Validate(end); err != nil {
		t.Error(err)
	}
	for n := range uint64(50) {
		if got, want := l.Knows(numbered(n).Current), n >= 9 && n <= 41; got != want {
			t.Errorf("knows history %d: %t", n, got)
		}
	}
	// Two forks of one lineage must not write into each other's memory.
	short, _ := forked(3)
	a, b := short.Fork(numbered(100).Current, 300), short.Fork(numbered(101).Current, 400)
	if a.Earlier[0].End != 300 || b.Earlier[0].End != 400 || short.Earlier[0].End == 300 {
		t.Errorf("forks share memory: %v, %v", a.Earlier[0], b.Earlier[0])
	}
}

func TestLineageBinary(t *testing.T) {
	for _, n := range []int{0, 1, 2, 31, 32} {
		l, end := forked(n)
		b, err := l.AppendBinary([]byte("before"))
		if err != nil || len(b) != 6+41+24*n {
			t.Fatalf("%d forks: %d bytes, %v", n, len(b), err)
		}
		b = append(b, "behind"...)
		got, rest, err := backlog.CutLineage(b[6:], end)
		if err != nil || string(rest) != "behind" || !reflect.DeepEqual(got, l) {
			t.Errorf("%d forks: got %v, rest %q, %v", n, got, rest, err)
		}
		for cut := range len(b) - 12 {
			if _, _, err := backlog.CutLineage(b[6:6+cut], end); !errors.Is(err, backlog.ErrText) {
				t.Fatalf("%d forks, first %d bytes: %v", n, cut, err)
			}
		}
	}
	// One that is too long by hand is written as far as it is remembered.
	l, end := forked(32)
	l.Earlier = append(l.Earlier, backlog.Fork{History: backlog.NewHistory()})
	b, _ := l.AppendBinary(nil)
	if got, _, err := backlog.CutLineage(b, end); err != nil || len(got.Earlier) != backlog.MaxForks {
		t.Errorf("33 forks: got %d, %v", len(got.Earlier), err)
	}
}

// A flip is refused or yields another lineage that is written just so.
func TestLineageEveryBitFlipped(t *testing.T) {
	l, end := forked(5)
	whole, _ := l.AppendBinary(nil)
	for bit := range 8 * len(whole) {
		b := append([]byte(nil), whole...)
		b[bit/8] ^= 1 << (bit % 8)
		got, rest, err := backlog.CutLineage(b, end)
		if err != nil {
			continue
		}
		again, _ := got.AppendBinary(nil)
		if reflect.DeepEqual(got, l) || string(again)+string(rest) != string(b) || got.Validate(end) != nil {
			t.Errorf("bit %d: %v", bit, got)
		}
	}
}

func TestLineageValidate(t *testing.T) {
	fork := func(n uint64, end int64) backlog.Fork {
		return backlog.Fork{History: numbered(n).Current, End: end}
	}
	line := func(current uint64, earlier ...backlog.Fork) backlog.Lineage {
		return backlog.Lineage{Current: numbered(current).Current, Earlier: earlier}
	}
	for name, c := range map[string]struct {
		l   backlog.Lineage
		end int64
		ok  bool
	}{
		"new":                    {line(1), 0, true},
		"at the last offset":     {line(1), backlog.MaxOffset, true},
		"beyond the last offset": {line(1), backlog.MaxOffset + 1, false},
		"at the largest number":  {line(1), math.MaxInt64, false},
		"negative end":           {line(1), -1, false},
		"no history":             {line(0), 0, false},
		"fork at the end":        {line(2, fork(1, 5)), 5, true},
		"fork beyond the end":    {line(2, fork(1, 6)), 5, false},
		"negative fork":          {line(2, fork(1, -1)), 5, false},
		"zero lengths":           {line(3, fork(2, 5), fork(1, 5)), 5, true},
		"ends that rise":         {line(3, fork(2, 4), fork(1, 5)), 5, false},
		"current twice":          {line(2, fork(2, 4)), 5, false},
		"earlier twice":          {line(3, fork(1, 4), fork(1, 4)), 5, false},
		"no earlier history":     {line(3, fork(0, 4)), 5, false},
		"of an epoch":            {backlog.Lineage{Current: numbered(1).Current, Epoch: backlog.Epoch{Counter: 1, Node: [16]byte{1}}}, 5, true},
		"an epoch of nobody":     {backlog.Lineage{Current: numbered(1).Current, Epoch: backlog.Epoch{Counter: 1}}, 5, false},
		"too many":               {line(99, make([]backlog.Fork, backlog.MaxForks+1)...), 5, false},
	} {
		if err := c.l.Validate(c.end); (err == nil) != c.ok || err != nil && !errors.Is(err, backlog.ErrText) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestLineageAlongTheWay(t *testing.T) {
	l := numbered(1).Fork(numbered(2).Current, 100).Fork(numbered(3).Current, 200).Fork(numbered(4).Current, 200)
	for _, c := range []struct {
		end     int64
		current uint64 // of the lineage there
		next    int64  // fork, -1 for none
	}{{0, 1, 100}, {99, 1, 100}, {100, 2, 200}, {199, 2, 200}, {200, 4, -1}, {300, 4, -1}} {
		if at := l.At(c.end); number(at.Current) != c.current || at.Validate(c.end) != nil {
			t.Errorf("at %d: history %d", c.end, number(at.Current))
		}
		next, ok := l.NextFork(c.end)
		if ok != (c.next >= 0) || ok && next != c.next {
			t.Errorf("next fork beyond %d: %d, %t", c.end, next, ok)
		}
	}
}

func TestExtend(t *testing.T) {
	l := backlog.NewLogAt(numbered(1), 0, nil)
	mustAppend(t, l, framed(100, 1))
	r := mustRead(t, l, 0)
	theirs := numbered(1).Fork(numbered(2).Current, 100).Fork(numbered(3).Current, 100)
	if err := l.Extend(theirs); err != nil {
		t.Fatal(err)
	}
	theirs.Earlier[0].End = 7 // the log must have its own copy
	if p := l.Position(); number(p.History) != 3 || p.Offset != 100 || l.Lineage().Earlier[0].End != 100 {
		t.Errorf("now at %s, %v", p, l.Lineage())
	}
	if len(drain(t, r)) != 100 {
		t.Error("the reader did not go on")
	}
	before := l.Lineage()
	for name, c := range map[string]struct {
		theirs backlog.Lineage
		want   error
	}{
		"stranger":       {numbered(9), backlog.ErrPosition},
		"left earlier":   {numbered(1).Fork(numbered(9).Current, 50), backlog.ErrPosition},
		"fork ahead":     {numbered(1).Fork(numbered(9).Current, 101), backlog.ErrText},
		"no history":     {backlog.Lineage{}, backlog.ErrText},
		"current, twice": {numbered(1).Fork(numbered(1).Current, 100), backlog.ErrText},
	} {
		if err := l.Extend(c.theirs); !errors.Is(err, c.want) || !reflect.DeepEqual(l.Lineage(), before) {
			t.Errorf("%s: %v, lineage %v", name, err, l.Lineage())
		}
	}
}
