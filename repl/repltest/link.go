package repltest

import "slices"

// A Link is a selection of directions between hosts, each of which is the way
// from one host to another. Its methods change them all at once, for existing
// and future connections.
//
// What methods named Set give a link stays until it is set otherwise. All else
// is a fault: it lasts until [Link.Heal], or happens once, like Cut. Methods
// panic when given a negative number or one out of range: the test is wrong.
type Link struct {
	network *Network
	dirs    []*direction
	forward int  // how many of dirs, the first ones, OneWay keeps
	all     bool // every direction, those made later included
}

// Link returns the link between two hosts, in both directions, from a to b
// first. It makes hosts for names that are not known yet.
func (n *Network) Link(a, b string) *Link { return n.Between([]string{a}, []string{b}) }

// Between returns the links between every host of one group and every host of
// the other: to cut them makes a partition.
func (n *Network) Between(group, other []string) *Link {
	n.mu.Lock()
	defer n.mu.Unlock()
	l := &Link{network: n}
	l.addLocked(group, other)
	l.forward = len(l.dirs)
	l.addLocked(other, group)
	return l
}

func (l *Link) addLocked(from, to []string) {
	for _, a := range from {
		for _, b := range to {
			d := l.network.directionLocked(l.network.hostLocked(a), l.network.hostLocked(b))
			if !slices.Contains(l.dirs, d) {
				l.dirs = append(l.dirs, d)
			}
		}
	}
}

// Around returns the links between a host and all other hosts known so far.
func (n *Network) Around(host string) *Link {
	n.mu.Lock()
	var others []string
	for _, h := range n.mu.order {
		if h.name != host {
			others = append(others, h.name)
		}
	}
	n.mu.Unlock()
	return n.Between([]string{host}, others)
}

// All returns all links, including those between hosts that are not known yet.
func (n *Network) All() *Link { return &Link{network: n, all: true} }

// OneWay returns the half of l that leads from its first host, or group, to the
// second. It panics for [Network.All], which has no first.
func (l *Link) OneWay() *Link {
	if l.all {
		panic("repltest: All has no direction")
	}
	return &Link{network: l.network, dirs: l.dirs[:l.forward:l.forward], forward: l.forward}
}

// Stats returns the link's counters, summed over its directions.
func (l *Link) Stats() Stats {
	var sum Stats
	l.each(func(d *direction) { sum = sum.plus(d.stats) })
	return sum
}

// Conns returns the connections of the link that are open, oldest first,
// whichever host dialed them.
func (l *Link) Conns() []*Conn {
	l.network.mu.Lock()
	defer l.network.mu.Unlock()
	dirs := l.dirsLocked()
	var conns []*Conn
	for _, c := range l.network.mu.conns {
		if l.all || slices.Contains(dirs, c.out.direction) || slices.Contains(dirs, c.back.direction) {
			conns = append(conns, c)
		}
	}
	return conns
}

func (l *Link) dirsLocked() []*direction {
	if l.all {
		return l.network.mu.all
	}
	return l.dirs
}

// each calls f for each direction, at one moment for the network.
func (l *Link) each(f func(*direction)) {
	l.network.mu.Lock()
	defer l.network.mu.Unlock()
	for _, d := range l.dirsLocked() {
		f(d)
	}
}

// update changes the configuration of each direction and lets all waiters see
// it.
func (l *Link) update(f func(*config)) {
	n := l.network
	n.mu.Lock()
	defer n.mu.Unlock()
	if l.all {
		f(&n.mu.config)
	}
	for _, d := range l.dirsLocked() {
		f(&d.config)
	}
	n.changedLocked()
}
