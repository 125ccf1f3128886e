package kv_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/kv"
	"github.com/emberkv/ember/repl"
	"github.com/emberkv/ember/repl/repltest"
	"pgregory.net/rapid"
)

// TestGroupIsTheModel drives a master with every operation there is, through
// deadlines, cuts, full copies and changes of role, and compares it, its replica and a
// replica of that one with a plain map. A failure is shrunk to the operations that it takes.
func TestGroupIsTheModel(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rapid.Check(timeless{t}, func(rt *rapid.T) {
			g := newGroup(rt)
			defer g.close()
			rt.Repeat(g.actions())
			g.level(rt)
		})
	})
}

// A timeless test hides that it has a deadline, which cannot be asked for in a
// bubble.
type timeless struct{ rapid.TB }

// groupLogBytes is a small window: what is written during a cut may outrun it.
const groupLogBytes = 2 << 10

// A group is a master, its replica and a replica of that, in changing places, and what
// they should hold.
type group struct {
	net    *repltest.Network
	stores [3]*kv.Store
	nodes  [3]*repl.Node
	top    int  // which one is the master
	far    bool // frames take time, and so a follower's clock is behind; they keep their places
	model  model
	views  [3]*liveView
}

func newGroup(rt *rapid.T) *group {
	g := &group{net: repltest.NewNetwork(rapid.Uint64().Draw(rt, "seed")), model: model{}}
	if g.far = rapid.Bool().Draw(rt, "far"); g.far {
		g.net.SetDelay(time.Millisecond, time.Millisecond)
	}
	for i := range g.stores {
		// An index on some of them: the calls are the same without it.
		g.stores[i] = kv.New(&kv.Options{LogBytes: groupLogBytes, Ordered: rapid.Bool().Draw(rt, "ordered")})
		g.views[i] = watchAll(g.stores[i])
	}
	for i := range g.nodes {
		own := strconv.Itoa(i)
		o := &repl.Options{ID: repl.NodeID{byte(i + 1)}, Name: own, Transport: g.net.Host(own)}
		if i == 0 {
			m, err := repl.NewMaster(g.stores[i], o)
			noError(rt, err)
			g.nodes[i] = m.Node()
		} else {
			r, err := repl.NewReplica(g.stores[i], strconv.Itoa(i-1), o)
			noError(rt, err)
			g.nodes[i] = r.Node()
		}
		l, err := g.net.Host(own).Listen(own)
		noError(rt, err)
		go g.nodes[i].Serve(l)
		go g.nodes[i].Run(context.Background())
	}
	return g
}

func (g *group) close() {
	for _, n := range g.nodes {
		n.Close()
	}
	for i, s := range g.stores {
		s.Close()
		<-g.views[i].done
	}
	g.net.Close()
}

// writer is the master's store.
func (g *group) writer() *kv.Store { return g.stores[g.top] }

// change promotes a node, when all are level, and puts the others below it, in a chain
// or beside each other. It costs nobody a copy.
func (g *group) change(rt *rapid.T) {
	g.level(rt)
	g.setClocks(rt)
	old := g.top
	g.top = rapid.IntRange(0, 2).Draw(rt, "top")
	middle := (g.top + 1 + rapid.IntRange(0, 1).Draw(rt, "middle")) % 3
	last := 3 - g.top - middle
	above := []int{g.top, middle}[rapid.IntRange(0, 1).Draw(rt, "chain")]
	if g.top != old {
		r, err := g.nodes[g.top].Replica()
		noError(rt, err)
		_, err = r.Promote(context.Background())
		noError(rt, err)
	}
	copies := g.copies()
	for _, move := range [][2]int{{middle, g.top}, {last, above}} {
		if r, err := g.nodes[move[0]].Replica(); err == nil {
			noError(rt, r.Follow(strconv.Itoa(move[1])))
		} else {
			m, err := g.nodes[move[0]].Master()
			noError(rt, err)
			_, err = m.Demote(strconv.Itoa(move[1]))
			noError(rt, err)
		}
	}
	g.level(rt)
	if n := g.copies(); n != copies {
		rt.Fatalf("%d full copies for a change of places", n-copies)
	}
}

// setClocks lets all have the writer's clock to the last millisecond: one that is promoted
// goes by what it knows of it, and clocks are told in whole ones.
func (g *group) setClocks(rt *rapid.T) {
	now := time.Now()
	time.Sleep(now.Truncate(time.Millisecond).Add(time.Millisecond).Sub(now))
	noError(rt, g.writer().Set("clock", nil))
	g.model["clock"] = modelEntry{}
	g.level(rt)
}

// copies counts the full copies that were begun.
func (g *group) copies() (n int64) {
	for _, node := range g.nodes {
		n += node.Status().Counters.FullSyncs
	}
	return n
}

func noError(rt *rapid.T, err error) {
	rt.Helper()
	if err != nil {
		rt.Fatal(err)
	}
}

// want fails unless an operation went as the model says.
func want[T comparable](rt *rapid.T, got T, err error, wanted T, wantedErr error) {
	rt.Helper()
	if got != wanted || !errors.Is(err, wantedErr) {
		rt.Fatalf("%v, %v, want %v, %v", got, err, wanted, wantedErr)
	}
}

// Few keys, so that they meet; among them prefixes of one another, the bytes at
// the ends of the range, and lengths on both sides of what is kept in line anywhere.
var someKeys = []string{
	"a", "a/", "a/b", "a/b/c", "b", "\x00", "\xff", "\xff\xff", "\x00\x00",
	"0123456789abcde", "0123456789abcdef", "0123456789abcdef0123456", "0123456789abcdef01234567",
	"0123456789abcdef0123456789abcdef-1", "0123456789abcdef0123456789abcdef-2",
}

var (
	anyKey   = rapid.SampledFrom(someKeys)
	anyValue = rapid.OneOf(
		rapid.Map(rapid.Int64Range(-10, 10), func(n int64) string { return strconv.FormatInt(n, 10) }),
		rapid.SampledFrom([]string{"", "07", "+7", strconv.FormatInt(math.MaxInt64, 10), "\x00\xff"}),
		rapid.StringN(0, 40, 80),
	)
	anyTTL = rapid.Map(rapid.IntRange(1, 4000), func(ms int) time.Duration { return time.Duration(ms) * time.Millisecond })
)

// actions are what may happen to a group, one at a time.
func (g *group) actions() map[string]func(*rapid.T) {
	all := map[string]func(*rapid.T){
		"":      g.compareMaster,
		"pass":  func(rt *rapid.T) { time.Sleep(anyTTL.Draw(rt, "time")) },
		"cut":   g.cut,
		"flood": g.flood,
		"level": g.level,
		"change of places": func(rt *rapid.T) {
			if !g.far && rapid.IntRange(0, 2).Draw(rt, "rarely") == 0 {
				g.change(rt)
			}
		},
	}
	maps.Copy(all, g.writes())
	maps.Copy(all, g.manyKeys())
	return all
}

// writes are the operations on one key, and Clear.
func (g *group) writes() map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"set": func(rt *rapid.T) { g.set(rt, anyKey.Draw(rt, "key"), anyValue.Draw(rt, "value")) },
		"delete": func(rt *rapid.T) {
			k := anyKey.Draw(rt, "key")
			_, exists := g.live()[k]
			ok, err := g.writer().Delete(k)
			want(rt, ok, err, exists, nil)
			delete(g.model, k)
		},
		"pipeline": func(rt *rapid.T) {
			p, now, n := g.writer().Pipeline(), time.Now(), rapid.IntRange(0, 40).Draw(rt, "writes")
			for range n {
				k, value, ttl := anyKey.Draw(rt, "key"), anyValue.Draw(rt, "value"), anyTTL.Draw(rt, "ttl")
				switch rapid.IntRange(0, 3).Draw(rt, "kind") {
				case 0:
					noError(rt, p.Delete(k))
					delete(g.model, k)
				case 1:
					at := now.Add(ttl - 2*time.Second) // perhaps in the past
					noError(rt, p.Set(k, []byte(value), kv.ExpireAt(at)))
					g.model[k] = modelEntry{value, at}
				default:
					noError(rt, p.Set(k, []byte(value)))
					g.model[k] = modelEntry{value: value}
				}
			}
			done, err := p.Exec()
			want(rt, done, err, n, nil)
		},
		"add": func(rt *rapid.T) {
			k, delta := anyKey.Draw(rt, "key"), rapid.Int64Range(-3, 3).Draw(rt, "delta")
			e := g.live()[k]
			sum, wanted := added(e.value, len(e.value) > 0 || has(g.model, k), delta)
			got, err := g.writer().Add(k, delta)
			want(rt, got, err, sum, wanted)
			if wanted == nil {
				g.model[k] = modelEntry{strconv.FormatInt(sum, 10), e.deadline}
			}
		},
		"swap": func(rt *rapid.T) {
			k, old, value := anyKey.Draw(rt, "key"), anyValue.Draw(rt, "old"), anyValue.Draw(rt, "value")
			e, exists := g.live()[k]
			if rapid.Bool().Draw(rt, "right") {
				old = e.value
			}
			ok, err := g.writer().CompareAndSwap(k, []byte(old), []byte(value))
			want(rt, ok, err, exists && old == e.value, nil)
			if ok {
				g.model[k] = modelEntry{value, e.deadline}
			}
		},
		"expire": func(rt *rapid.T) {
			k, ttl := anyKey.Draw(rt, "key"), anyTTL.Draw(rt, "ttl")
			e, exists := g.live()[k]
			ok, err := g.writer().Expire(k, ttl)
			want(rt, ok, err, exists, nil)
			if exists {
				g.model[k] = modelEntry{e.value, time.Now().Add(ttl)}
			}
		},
		"persist": func(rt *rapid.T) {
			k := anyKey.Draw(rt, "key")
			e, exists := g.live()[k]
			ok, err := g.writer().Persist(k)
			want(rt, ok, err, exists && !e.deadline.IsZero(), nil)
			if exists {
				g.model[k] = modelEntry{value: e.value}
			}
		},
		"clear": func(rt *rapid.T) {
			if rapid.IntRange(0, 9).Draw(rt, "rarely") == 0 {
				noError(rt, g.writer().Clear())
				clear(g.model)
			}
		},
	}
}

// live is the model without what has passed.
func (g *group) live() model { return g.model.live() }

func has(m model, k string) bool {
	_, ok := m[k]
	return ok
}

// set sets a key, with any of the options.
func (g *group) set(rt *rapid.T, k, value string) {
	old, exists := g.live()[k]
	now := modelEntry{value: value}
	var opts []kv.SetOption
	switch ttl := anyTTL.Draw(rt, "ttl"); rapid.IntRange(0, 5).Draw(rt, "deadline") {
	case 0:
		opts, now.deadline = append(opts, kv.TTL(ttl)), time.Now().Add(ttl)
	case 1:
		opts, now.deadline = append(opts, kv.KeepTTL()), old.deadline
	case 2:
		now.deadline = time.Now().Add(ttl - 2*time.Second) // perhaps in the past
		opts = append(opts, kv.ExpireAt(now.deadline))
	}
	var wanted error
	switch rapid.IntRange(0, 5).Draw(rt, "condition") {
	case 0:
		if opts = append(opts, kv.IfAbsent()); exists {
			wanted = kv.ErrExists
		}
	case 1:
		if opts = append(opts, kv.IfPresent()); !exists {
			wanted = kv.ErrNotFound
		}
	}
	err := g.writer().Set(k, []byte(value), opts...)
	want(rt, 0, err, 0, wanted)
	if wanted == nil {
		g.model[k] = now
	}
}

// added is what Add should return for a key with such a value.
func added(value string, exists bool, delta int64) (int64, error) {
	if !exists {
		return delta, nil
	}
	n, err := strconv.ParseInt(value, 10, 64)
	switch {
	case err != nil || strconv.FormatInt(n, 10) != value:
		return 0, kv.ErrNotInteger
	case delta > 0 && n > math.MaxInt64-delta || delta < 0 && n < math.MinInt64-delta:
		return 0, kv.ErrOverflow
	}
	return n + delta, nil
}

// cut breaks one of the links, and lets it come back or not.
func (g *group) cut(rt *rapid.T) {
	i := rapid.IntRange(0, 2).Draw(rt, "link")
	l := g.net.Link(strconv.Itoa(i), strconv.Itoa((i+1)%3))
	switch rapid.IntRange(0, 3).Draw(rt, "how") {
	case 0:
		l.Refuse()
		l.Cut()
	case 1:
		l.CutNext(int64(rapid.IntRange(1, 4000).Draw(rt, "bytes")))
	case 2:
		l.Blackhole()
	case 3:
		l.Cut()
	}
}

// flood writes more than the log's window holds, so that a link that is down ends
// in a full copy.
func (g *group) flood(rt *rapid.T) {
	n := rapid.IntRange(1, 40).Draw(rt, "n")
	for i := range n {
		k := fmt.Sprintf("flood/%d", i)
		noError(rt, g.writer().Set(k, make([]byte, 100)))
		g.model[k] = modelEntry{value: string(make([]byte, 100))}
	}
}

// level heals the network, waits until all stand at one position, and compares.
func (g *group) level(rt *rapid.T) {
	g.net.HealAll()
	time.Sleep(ttlSlack) // for what the model has forgotten already
	synctest.Wait()
	limit := time.Now().Add(time.Minute)
	for !g.atOnePosition() || g.justPassed() {
		if time.Now().After(limit) {
			rt.Fatalf("at %s, %s, %s; %+v", g.stores[0].Position(), g.stores[1].Position(), g.stores[2].Position(), g.nodes[1].Status().Upstream)
		}
		time.Sleep(5 * time.Millisecond)
		synctest.Wait()
	}
	for i, s := range g.stores {
		compare(rt, fmt.Sprint("node ", i), s, g.live())
		g.views[i].compare(rt, fmt.Sprint("view of ", i), s.Position(), g.live())
	}
	a, err := g.writer().Digest()
	noError(rt, err)
	for _, s := range g.stores[1:] {
		b, err := s.Digest()
		want(rt, b, err, a, nil)
	}
}

func (g *group) atOnePosition() bool {
	p := g.writer().Position()
	for _, s := range g.stores {
		if s.Position() != p {
			return false
		}
	}
	return true
}

// justPassed reports whether a key's deadline passed so lately that a follower,
// whose clock is a little behind, may show it still.
func (g *group) justPassed() bool {
	for _, e := range g.model {
		if ago := time.Since(e.deadline); !e.deadline.IsZero() && ago >= 0 && ago < ttlSlack {
			return true
		}
	}
	return false
}

func (g *group) compareMaster(rt *rapid.T) { compare(rt, "master", g.writer(), g.live()) }

// compare fails unless a store holds what the model does, whichever way it is read.
func compare(rt *rapid.T, who string, s *kv.Store, m model) {
	rt.Helper()
	if n := s.Len(); n != len(m) {
		rt.Fatalf("%s has %d keys, want %d", who, n, len(m))
	}
	compareOrder(rt, who, s, m)
	for _, k := range someKeys {
		e, exists := m[k]
		v, err := s.Get(k)
		if exists != (err == nil) || string(v) != e.value {
			rt.Fatalf("%s: Get(%q) = %q, %v, want %+v", who, k, v, err, e)
		}
		compareTTL(rt, who, s, k, e, exists)
	}
}

// ttlSlack is by how much a follower's clock may be behind its writer's: what a
// frame was under way.
const ttlSlack = 20 * time.Millisecond

func compareTTL(rt *rapid.T, who string, s *kv.Store, k string, e modelEntry, exists bool) {
	rt.Helper()
	ttl, err := s.TTL(k)
	left := time.Until(e.deadline)
	ok := exists && err == nil
	switch {
	case !exists:
		ok = err == kv.ErrNotFound
	case e.deadline.IsZero():
		ok = ok && ttl == kv.NoTTL
	default:
		ok = ok && ttl >= left && ttl <= left+ttlSlack
	}
	if !ok {
		rt.Fatalf("%s: TTL(%q) = %v, %v, want %v of %+v", who, k, ttl, err, left, e)
	}
}
