package repl_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/repl"
)

// TestCycle: of nodes that are pointed at each other, around a ring of any size, one
// is refused, says so, and goes on as soon as it is pointed elsewhere.
func TestCycle(t *testing.T) {
	for size := 1; size <= 5; size++ {
		for _, atOnce := range []bool{false, true} {
			t.Run(fmt.Sprint(size, atOnce), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { ring(t, size, atOnce) })
			})
		}
	}
}

func ring(t *testing.T, size int, atOnce bool) {
	net := repl.NewMemory()
	m := newMember(t, net, "m", "")
	fill(t, m.ledger, "k", 10)
	var ring []*member
	for i := range size {
		upstream := "m"
		if i > 0 && !atOnce {
			upstream = fmt.Sprint(i - 1)
		}
		ring = append(ring, newMember(t, net, fmt.Sprint(i), upstream))
	}
	level(t, m, ring...)
	for i := range size {
		ring[i].follow(t, fmt.Sprint((i+size-1)%size))
	}
	refused := func() (n int) {
		for _, r := range ring {
			if s := r.node.Status().Upstream; s.State != repl.LinkStreaming {
				n++
			}
		}
		return n
	}
	eventually(t, func() bool { time.Sleep(3 * time.Second); return refused() == 1 }, func() string { return fmt.Sprint(refused(), " refused") })
	for range 20 { // and it stays so
		time.Sleep(time.Second)
		if n := refused(); n != 1 {
			t.Fatalf("%d of %d refused", n, size)
		}
	}
	for _, r := range ring {
		if r.node.Status().Upstream.State != repl.LinkStreaming && !errors.Is(r.diary.last(), repl.ErrCycle) {
			t.Errorf("%s: %v, want ErrCycle", r.node.Name(), r.diary.last())
		}
		if r.node.Status().Upstream.State != repl.LinkStreaming {
			r.follow(t, "m")
		}
	}
	fill(t, m.ledger, "on", 10)
	level(t, m, ring...)
	longest := 0
	for _, r := range ring {
		if fulls, _ := r.diary.count(); fulls > 2 { // its own and at most one for the next
			t.Errorf("%s: %d full copies", r.node.Name(), fulls)
		}
		eventually(t, func() bool { p := r.node.Status().Upstream.Path; return len(p) > 0 && p[len(p)-1] == m.node.ID() },
			func() string { return fmt.Sprint(r.node.Status().Upstream.Path) })
		longest = max(longest, len(r.node.Status().Upstream.Path))
	}
	if longest != size {
		t.Errorf("the longest path is %d, want %d", longest, size)
	}
}
