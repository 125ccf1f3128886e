package repltest

import (
	"fmt"
	"slices"
	"time"

	"github.com/emberkv/ember/repl"
)

// A Topology says what group [New] makes. Seats and Machine are needed; the zero value
// of the rest is the default.
type Topology[M repl.Machine] struct {
	// Seats lists the nodes, each after the one that it follows. [Star], [Chain]
	// and [Tree] return some.
	Seats []Seat

	// Machine makes what a node replicates, when the group is made and for
	// [Member.Replace]. If it has a method Close() error, that is called at the end.
	Machine func(name string) M

	// Options returns the options of a node; nil, the default, means the defaults. ID,
	// Name and Transport need not be set: they come from the seed, the seat and
	// the network.
	Options func(name string) *repl.Options

	// State returns what two machines at one position must have in common, such as a
	// digest. [Group.WaitEqual] compares it with ==. The default compares only
	// positions.
	State func(M) any

	// Delay and Jitter are those of every link at first; see [Link.SetDelay]. The
	// defaults are a millisecond each; for none, set the network's.
	Delay, Jitter time.Duration

	// Transfer is how long sending may take, at most, when a group heals; see
	// [Group.HealBound]. The default is 5 s.
	Transfer time.Duration
}

// DefaultTransfer is Topology.Transfer when that is not set.
const DefaultTransfer = 5 * time.Second

// A Seat is a node and the one that it follows when the group is made, empty for the
// master. A node listens at its name.
type Seat struct{ Name, Upstream string }

// Star returns seats of a master, the first, and replicas of it.
func Star(names ...string) []Seat { return Tree(max(len(names)-1, 1), names...) }

// Chain returns seats of a master, the first, a replica of it, a replica of that, and so
// on.
func Chain(names ...string) []Seat { return Tree(1, names...) }

// Tree returns seats of a master, the first, where each node has up to width replicas:
// the upper ones first, from left to right.
func Tree(width int, names ...string) []Seat {
	mustNot(width < 1, "tree without width")
	seats := make([]Seat, len(names))
	for i, name := range names {
		seats[i].Name = name
		if i > 0 {
			seats[i].Upstream = names[(i-1)/width]
		}
	}
	return seats
}

// check returns what is wrong with the topology.
func (p *Topology[M]) check() error {
	if p.Machine == nil {
		return fmt.Errorf("repltest: Topology.Machine is nil")
	}
	var seen []string
	for _, s := range p.Seats {
		switch {
		case s.Name == "" || slices.Contains(seen, s.Name):
			return fmt.Errorf("repltest: Topology.Seats has the name %q twice, or empty", s.Name)
		case s.Upstream != "" && !slices.Contains(seen, s.Upstream):
			return fmt.Errorf("repltest: Topology.Seats has no %q before %q, which follows it", s.Upstream, s.Name)
		}
		seen = append(seen, s.Name)
	}
	if len(seen) == 0 {
		return fmt.Errorf("repltest: Topology.Seats is empty")
	}
	return nil
}

// withDefaults returns p with the defaults filled in.
func (p Topology[M]) withDefaults() Topology[M] {
	if p.Delay == 0 && p.Jitter == 0 {
		p.Delay, p.Jitter = time.Millisecond, time.Millisecond
	}
	if p.Transfer == 0 {
		p.Transfer = DefaultTransfer
	}
	if p.Options == nil {
		p.Options = func(string) *repl.Options { return nil }
	}
	return p
}
