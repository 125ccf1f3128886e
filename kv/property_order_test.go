package kv_test

import (
	"context"
	"iter"
	"maps"
	"slices"
	"strings"
	"testing/synctest"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/kv"
	"pgregory.net/rapid"
)

// manyKeys are the operations on several keys at once.
func (g *group) manyKeys() map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"rename": func(rt *rapid.T) { g.transfer(rt, g.writer().Rename, true) },
		"copy":   func(rt *rapid.T) { g.transfer(rt, g.writer().Copy, false) },
		"delete prefix": func(rt *rapid.T) {
			prefix := rapid.SampledFrom([]string{"a", "a/", "0123456789abcdef", "\xff", "none"}).Draw(rt, "prefix")
			n := 0
			for k := range g.live() {
				if strings.HasPrefix(k, prefix) {
					n++
					delete(g.model, k)
				}
			}
			got, err := g.writer().DeletePrefix(prefix)
			want(rt, got, err, n, nil)
		},
		"update": g.update,
		"view": func(rt *rapid.T) {
			noError(rt, g.writer().View(func(tx *kv.Tx) error {
				comparePairs(rt, "a view", tx.All(), g.live().sorted())
				return nil
			}))
		},
	}
}

func (g *group) transfer(rt *rapid.T, f func(key, to string) error, remove bool) {
	from, to := anyKey.Draw(rt, "from"), anyKey.Draw(rt, "to")
	e, exists := g.live()[from]
	err := f(from, to)
	if !exists {
		want(rt, 0, err, 0, kv.ErrNotFound)
		return
	}
	noError(rt, err)
	if g.model[to] = e; remove && from != to {
		delete(g.model, from)
	}
}

// update writes several keys in one transaction, which sometimes gives up at its end.
func (g *group) update(rt *rapid.T) {
	changed := maps.Clone(g.live())
	fails := rapid.IntRange(0, 4).Draw(rt, "fails") == 0
	type change struct {
		key, value string
		put        bool
	}
	changes := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) change {
		return change{anyKey.Draw(rt, "key"), anyValue.Draw(rt, "value"), rapid.Bool().Draw(rt, "put")}
	}), 0, 6).Draw(rt, "changes")
	err := g.writer().Update(func(tx *kv.Tx) error {
		for _, c := range changes {
			e, exists := changed[c.key]
			v, err := tx.Get(c.key)
			if exists != (err == nil) || string(v) != e.value {
				rt.Fatalf("in a transaction: %q = %q, %v, want %+v", c.key, v, err, e)
			}
			if c.put {
				noError(rt, tx.Set(c.key, []byte(c.value), kv.KeepTTL()))
				changed[c.key] = modelEntry{c.value, e.deadline}
				continue
			}
			ok, err := tx.Delete(c.key)
			want(rt, ok, err, exists, nil)
			delete(changed, c.key)
		}
		comparePairs(rt, "a transaction", tx.All(), changed.sorted())
		if fails {
			return errGivenUp
		}
		return nil
	})
	if fails {
		want(rt, 0, err, 0, errGivenUp)
		return
	}
	noError(rt, err)
	g.model = changed
}

var errGivenUp = kv.ErrExists // any error will do

// A pair is a key and its value.
type pair struct{ key, value string }

func (m model) sorted() (all []pair) {
	for _, k := range slices.Sorted(maps.Keys(m)) {
		all = append(all, pair{k, m[k].value})
	}
	return all
}

// comparePairs compares what an iteration yields with what it should, in any order.
func comparePairs(rt *rapid.T, who string, got iter.Seq2[string, []byte], wanted []pair) {
	rt.Helper()
	pairs := collectPairs(got)
	slices.SortFunc(pairs, func(a, b pair) int { return strings.Compare(a.key, b.key) })
	if !slices.Equal(pairs, wanted) {
		rt.Fatalf("%s has %q, want %q", who, pairs, wanted)
	}
}

func collectPairs(seq iter.Seq2[string, []byte]) (all []pair) {
	for k, v := range seq {
		all = append(all, pair{k, string(v)})
	}
	return all
}

// compareOrder reads a store in every order there is.
func compareOrder(rt *rapid.T, who string, s *kv.Store, m model) {
	rt.Helper()
	all := m.sorted()
	comparePairs(rt, who, s.All(), all)
	from, to := anyKey.Draw(rt, "from"), anyKey.Draw(rt, "to")
	if rapid.Bool().Draw(rt, "open") {
		to = ""
	}
	var within, below []pair
	for _, p := range all {
		if p.key >= from && (to == "" || p.key < to) {
			within = append(within, p)
		}
		if strings.HasPrefix(p.key, from) {
			below = append(below, p)
		}
	}
	comparePairs(rt, who+" by prefix", s.Prefix(from), below)
	if got := collectPairs(s.Range(from, to)); !slices.Equal(got, within) {
		rt.Fatalf("%s from %q to %q: %q, want %q", who, from, to, got, within)
	}
	slices.Reverse(within)
	if got := collectPairs(s.Backward(from, to)); !slices.Equal(got, within) {
		rt.Fatalf("%s back from %q to %q: %q, want %q", who, to, from, got, within)
	}
	low, _, err := s.Min()
	high, _, err2 := s.Max()
	switch {
	case len(all) == 0 && (err != kv.ErrNotFound || err2 != kv.ErrNotFound):
		rt.Fatalf("%s is empty: Min %v, Max %v", who, err, err2)
	case len(all) > 0 && (low != all[0].key || high != all[len(all)-1].key):
		rt.Fatalf("%s: Min %q, Max %q of %q", who, low, high, all)
	}
}

// A liveView is what a watcher makes of a store's events.
type liveView struct {
	done chan struct{}

	// Of the goroutine that watches; to be looked at when it waits.
	entries  map[string]string
	position backlog.Position
	err      error
}

func watchAll(s *kv.Store) *liveView {
	v := &liveView{done: make(chan struct{}), entries: map[string]string{}}
	go func() {
		defer close(v.done)
		for e, err := range s.Watch(context.Background(), "", backlog.Position{}) {
			if err != nil {
				v.err = err
				return
			}
			v.apply(e)
		}
	}()
	return v
}

func (v *liveView) apply(e kv.Event) {
	switch e.Kind {
	case kv.EventPut:
		v.entries[e.Key] = string(e.Value)
	case kv.EventDelete, kv.EventExpire, kv.EventEvict:
		delete(v.entries, e.Key)
	case kv.EventDeletePrefix:
		maps.DeleteFunc(v.entries, func(k, _ string) bool { return strings.HasPrefix(k, e.Key) })
	case kv.EventReset:
		clear(v.entries)
	}
	if e.Last {
		v.position = e.Position
	}
}

// compare fails unless the view is what the model says, once its watcher has caught up.
func (v *liveView) compare(rt *rapid.T, who string, at backlog.Position, m model) {
	rt.Helper()
	synctest.Wait()
	if v.err != nil || v.position.Offset > at.Offset {
		rt.Fatalf("%s ended at %s of %s: %v", who, v.position, at, v.err)
	}
	wanted := map[string]string{}
	for k, e := range m {
		wanted[k] = e.value
	}
	if !maps.Equal(v.entries, wanted) {
		rt.Fatalf("%s has %q, want %q", who, v.entries, wanted)
	}
}
