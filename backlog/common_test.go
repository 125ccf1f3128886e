package backlog_test

import (
	"math/rand/v2"
	"testing"

	"github.com/emberkv/ember/backlog"
)

// A node is a log as it really came about: every byte that was ever written
// has a number of its own, so what two nodes have in common can be counted.
type node struct {
	bytes   []int
	lineage backlog.Lineage
	forks   int
	root    int
	owner   bool // may append to its current history
}

// grow makes a random tree of histories: nodes write, are copied in part, are
// promoted, sometimes several times without a byte in between, and go on
// beside those who do not know of it.
func grow(rng *rand.Rand, steps, long int) []*node {
	var nodes []*node
	numbers, histories := 0, uint64(0)
	history := func() backlog.History { histories++; return numbered(histories).Current }
	for root := range 2 {
		nodes = append(nodes, &node{lineage: backlog.Lineage{Current: history()}, root: root, owner: true})
	}
	for range steps {
		n := nodes[rng.IntN(len(nodes))]
		if rng.IntN(16) < long {
			n = nodes[len(nodes)-1] // so that some lines grow long
		}
		switch op := rng.IntN(10); {
		case op < 4 && n.owner:
			for range rng.IntN(6) {
				numbers++
				n.bytes = append(n.bytes, numbers)
			}
		case op < 7:
			n.lineage = n.lineage.Fork(history(), int64(len(n.bytes)))
			n.forks++
			n.owner = true
		default:
			at := len(n.bytes)
			if rng.IntN(6) == 0 {
				at = rng.IntN(at + 1)
			}
			nodes = append(nodes, &node{bytes: n.bytes[:at:at], lineage: n.lineage.At(int64(at)), forks: n.forks, root: n.root})
		}
	}
	return nodes
}

// counted is the length of the common prefix.
func counted(a, b *node) int64 {
	n := 0
	for n < len(a.bytes) && n < len(b.bytes) && a.bytes[n] == b.bytes[n] {
		n++
	}
	return int64(n)
}

func TestCommonAgainstTree(t *testing.T) {
	forgotten := 0
	for seed := range uint64(120) {
		rng := rand.New(rand.NewPCG(seed, 7))
		nodes := grow(rng, 20+int(seed)%230, int(seed)%17)
		for range 300 {
			a, b := nodes[rng.IntN(len(nodes))], nodes[rng.IntN(len(nodes))]
			endA, endB := int64(len(a.bytes)), int64(len(b.bytes))
			if err := a.lineage.Validate(endA); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			got, ok := a.lineage.Common(endA, b.lineage, endB)
			back, ok2 := b.lineage.Common(endB, a.lineage, endA)
			want := counted(a, b)
			switch {
			case got != back || ok != ok2:
				t.Fatalf("seed %d: %d, %t one way and %d, %t the other", seed, got, ok, back, ok2)
			case ok && (got != want || a.root != b.root):
				t.Fatalf("seed %d: common up to %d, counted %d\n%v\n%v", seed, got, want, a.lineage, b.lineage)
			case !ok && a.root == b.root && max(a.forks, b.forks) < backlog.MaxForks:
				t.Fatalf("seed %d: nothing in common, counted %d\n%v\n%v", seed, want, a.lineage, b.lineage)
			case !ok && a.root == b.root:
				forgotten++ // for want of memory; it costs a full copy and nothing else
			}
		}
	}
	if forgotten == 0 {
		t.Error("no lineage grew so long that something was forgotten")
	}
}
