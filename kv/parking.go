package kv

import (
	"slices"
	"strings"

	"github.com/emberkv/ember/backlog"
)

// parkingLengths bounds the different lengths of prefix that are looked up for every
// key. Watchers of prefixes of more lengths are woken by every stretch.
const parkingLengths = 16

// A parking holds the watchers that wait for something to happen. Those that have seen
// all there is stand by their prefixes: to find the few whom a change concerns costs a
// look-up for each length of prefix, not one for each of a thousand watchers. The lock
// of its hub guards it.
type parking struct {
	groups  map[string][]*watcher // by prefix
	lengths []lengthCount         // of the prefixes of groups
	any     []*watcher            // to be woken by whatever comes
}

// A lengthCount says how many groups have a prefix of one length.
type lengthCount struct{ length, groups int }

func (p *parking) init() { p.groups = make(map[string][]*watcher) }

// add parks a watcher that has seen everything.
func (p *parking) add(w *watcher) {
	group, ok := p.groups[w.prefix]
	if !ok && !p.count(len(w.prefix)) {
		p.addAny(w)
		return
	}
	p.groups[w.prefix] = append(group, w)
}

func (p *parking) addAny(w *watcher) {
	p.any = append(p.any, w)
}

// count counts another group. It returns false when there are too many lengths.
func (p *parking) count(length int) bool {
	for i := range p.lengths {
		if p.lengths[i].length == length {
			p.lengths[i].groups++
			return true
		}
	}
	if len(p.lengths) >= parkingLengths {
		return false
	}
	p.lengths = append(p.lengths, lengthCount{length, 1})
	return true
}

// drop removes the group of a prefix.
func (p *parking) drop(prefix string) {
	delete(p.groups, prefix)
	i := slices.IndexFunc(p.lengths, func(l lengthCount) bool { return l.length == len(prefix) })
	if p.lengths[i].groups--; p.lengths[i].groups == 0 {
		p.lengths = slices.Delete(p.lengths, i, i+1)
	}
}

// remove takes a watcher out, if it is there.
func (p *parking) remove(w *watcher) {
	if i := slices.Index(p.any, w); i >= 0 {
		p.any = slices.Delete(p.any, i, i+1)
		return
	}
	group := p.groups[w.prefix]
	i := slices.Index(group, w)
	switch {
	case i < 0:
	case len(group) == 1:
		p.drop(w.prefix)
	default:
		p.groups[w.prefix] = slices.Delete(group, i, i+1)
	}
}

// wakeConcerned wakes those whom a stretch concerns, and those who wait for anything.
func (p *parking) wakeConcerned(b *stretch) {
	at := backlog.Position{History: b.history, Offset: b.start}
	p.wakeAny()
	for i := range b.items {
		if len(p.groups) == 0 {
			return
		}
		it := &b.items[i]
		key := b.key(it)
		for j := len(p.lengths) - 1; j >= 0; j-- { // from behind: one may go
			if n := p.lengths[j].length; n <= len(key) {
				p.wakeGroup(key[:n], b.seq, at)
			}
		}
		if it.kind == EventDeletePrefix {
			for prefix := range p.groups {
				if strings.HasPrefix(prefix, key) {
					p.wakeGroup(prefix, b.seq, at)
				}
			}
		}
	}
}

// wakeAll wakes all. For those that had seen everything their place is the stretch seq,
// at position at.
func (p *parking) wakeAll(seq int64, at backlog.Position) {
	p.wakeAny()
	for prefix := range p.groups {
		p.wakeGroup(prefix, seq, at)
	}
}

func (p *parking) wakeGroup(prefix string, seq int64, at backlog.Position) {
	group, ok := p.groups[prefix]
	if !ok {
		return
	}
	for _, w := range group {
		w.seq, w.pos = seq, at
		w.signal()
	}
	p.drop(prefix)
}

func (p *parking) wakeAny() {
	for _, w := range p.any {
		w.signal()
	}
	clear(p.any)
	p.any = p.any[:0]
}
