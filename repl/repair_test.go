package repl_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/kv"
	"github.com/emberkv/ember/repl"
	"github.com/emberkv/ember/repl/repltest"
)

// A stand is a store with its node, as what it is now.
type stand struct {
	name    string
	store   *kv.Store
	node    *repl.Node
	tails   []kv.LostTail
	lost    []string
	repairs []repl.Repaired
	fulls   []repl.FullSync
	ends    []error // of links to the upstream
	onEnd   func()  // called at each
}

// newStand makes a master at its name, or a replica of upstream, with a listener there.
func newStand(t testing.TB, net repl.Transport, name, upstream string, o *repl.Options) *stand {
	t.Helper()
	s := &stand{name: name}
	s.store = kv.New(&kv.Options{OnLostTail: func(l kv.LostTail) {
		s.tails = append(s.tails, l)
		for e := range l.Events {
			s.lost = append(s.lost, fmt.Sprintf("%s %s=%s", e.Kind, e.Key, e.Value))
		}
	}})
	if o == nil {
		o = &repl.Options{}
	}
	o.Name, o.Transport = name, net
	o.Events.Repaired = func(r repl.Repaired) {
		if r.Peer.Upstream {
			s.repairs = append(s.repairs, r)
		}
	}
	o.Events.Disconnected = func(p repl.Peer, err error) {
		if p.Upstream {
			s.ends = append(s.ends, err)
			if s.onEnd != nil {
				s.onEnd()
			}
		}
	}
	o.Events.FullSync = func(f repl.FullSync) {
		if f.Peer.Upstream {
			s.fulls = append(s.fulls, f)
		}
	}
	if upstream == "" {
		m, err := repl.NewMaster(s.store, seeded(t, o))
		if err != nil {
			t.Fatal(err)
		}
		s.node = m.Node()
	} else {
		r, err := repl.NewReplica(s.store, upstream, seeded(t, o))
		if err != nil {
			t.Fatal(err)
		}
		s.node = r.Node()
	}
	serve(t, s.node, net, name)
	go s.node.Run(context.Background())
	t.Cleanup(func() { s.node.Close(); s.store.Close() })
	return s
}

func (s *stand) promote(t testing.TB) {
	t.Helper()
	r, err := s.node.Replica()
	if err == nil {
		_, err = r.Promote(t.Context())
	}
	if err != nil {
		t.Fatalf("promote %s: %v", s.name, err)
	}
}

func (s *stand) follow(t testing.TB, upstream string) {
	t.Helper()
	if m, err := s.node.Master(); err == nil {
		if _, err := m.Demote(upstream); err != nil {
			t.Fatalf("demote %s: %v", s.name, err)
		}
		return
	}
	r, err := s.node.Replica()
	if err == nil {
		err = r.Follow(upstream)
	}
	if err != nil {
		t.Fatalf("point %s: %v", s.name, err)
	}
}

// equal waits until all stand where the first does, with the same contents.
func equal(t testing.TB, first *stand, others ...*stand) {
	t.Helper()
	for _, s := range others {
		eventually(t, func() bool { return s.store.Position() == first.store.Position() }, func() string {
			return fmt.Sprintf("%s at %s, want %s; %+v", s.name, s.store.Position(), first.store.Position(), s.node.Status().Upstream)
		})
		a, err := first.store.Digest()
		b, err2 := s.store.Digest()
		if err != nil || err2 != nil || a != b {
			t.Fatalf("%s: %+v, %v; want %+v, %v", s.name, b, err2, a, err)
		}
	}
}

func setOn(t testing.TB, s *stand, key, value string) {
	t.Helper()
	if err := s.store.Set(key, []byte(value)); err != nil {
		t.Fatalf("%s: %v", s.name, err)
	}
}

// TestFailoverWithoutFullCopies: a master with followers at different ends and a chain below
// one of them is cut off under load; a follower that lacks the newest writes is promoted,
// and the others, which have them, and their followers, and last the old
// master, take keys for it and no full copy.
func TestFailoverWithoutFullCopies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := repl.NewMemory()
		a := newStand(t, net, "a", "", nil)
		b, c, d := newStand(t, net, "b", "a", nil), newStand(t, net, "c", "a", nil), newStand(t, net, "d", "c", nil)
		e := newStand(t, net, "e", "d", nil)
		for i := range 1000 {
			setOn(t, a, fmt.Sprint("k", i), "1")
		}
		equal(t, a, b, c, d, e)
		fulls := [...]int{len(b.fulls), len(c.fulls), len(d.fulls), len(e.fulls)}

		b.promote(t) // behind the back of a
		for i := range 200 {
			setOn(t, a, fmt.Sprint("k", i), "lost")
			setOn(t, b, fmt.Sprint("k", 100+i), "kept")
		}
		if err := a.store.Update(func(tx *kv.Tx) error { tx.Set("new", []byte("lost")); _, err := tx.Delete("k0"); return err }); err != nil {
			t.Fatal(err)
		}
		if _, err := b.store.Delete("k150"); err != nil {
			t.Fatal(err)
		}
		equal(t, a, c, d, e)
		synctest.Wait()
		lost := a.store.Position()
		c.follow(t, "b")
		equal(t, b, c, d, e)
		a.follow(t, "b")
		equal(t, b, a, c, d, e)
		setOn(t, b, "after", "1")
		equal(t, b, a, c, d, e)

		for i, s := range []*stand{b, c, d, e} {
			if len(s.fulls) != fulls[i] {
				t.Errorf("%s took a full copy: %+v", s.name, s.fulls[len(s.fulls)-1])
			}
		}
		for _, s := range []*stand{a, c, d, e} {
			if len(s.repairs) != 1 || s.repairs[0].Keys != 201 || s.repairs[0].Lost == 0 || len(s.fulls) > 1 {
				t.Errorf("%s: repairs %+v, full copies %+v", s.name, s.repairs, s.fulls)
			}
			if len(s.tails) != 1 || !s.tails[0].Complete || s.tails[0].To != lost || len(s.lost) != 202 {
				t.Errorf("%s has lost %+v, %d changes", s.name, s.tails, len(s.lost))
			}
			st := s.node.Status()
			if n := st.Counters; n.LostTails != 1 || n.LostBytes != s.repairs[0].Lost || n.Repairs == 0 || n.RepairedKeys < 201 {
				t.Errorf("%s: %+v", s.name, n)
			}
			if p := st.Upstream.LastPartial; p.RepairedKeys != 201 || p.RepairedBytes == 0 || p.State != repl.SyncComplete {
				t.Errorf("%s: %+v", s.name, p)
			}
		}
		for key, want := range map[string]string{"k0": "1", "k99": "1", "k100": "kept", "k299": "kept", "new": "", "k150": ""} {
			if v, _ := a.store.Get(key); string(v) != want {
				t.Errorf("%s = %q, want %q", key, v, want)
			}
		}
	})
}

// TestNotRepaired: what cannot be repaired takes a full copy, and says why.
func TestNotRepaired(t *testing.T) {
	for want, c := range map[string]struct {
		keys int
		lose func(t *testing.T, a, b *stand)
	}{
		"repairs are off": {-1, func(t *testing.T, a, b *stand) { setOn(t, a, "x", "1") }},
		"kv: tail cannot be repaired by its keys: it concerns more than 5 keys, or of more than 1048560 bytes": {5, func(t *testing.T, a, b *stand) {
			for i := range 6 {
				setOn(t, a, fmt.Sprint(i), "1")
			}
		}},
		"kv: tail cannot be repaired by its keys: all keys were removed": {0, func(t *testing.T, a, b *stand) {
			if err := a.store.Clear(); err != nil {
				t.Fatal(err)
			}
		}},
		"kv: tail cannot be repaired by its keys: backlog: offset is no longer held": {0, func(t *testing.T, a, b *stand) {
			for i := range 70 {
				setOn(t, a, fmt.Sprint(i%3), string(make([]byte, 1<<20)))
			}
		}},
		"the upstream cannot": {0, func(t *testing.T, a, b *stand) {
			setOn(t, a, "x", "1")
			setOn(t, b, "x", string(make([]byte, 40<<20)))
		}},
		"": {0, func(t *testing.T, a, b *stand) { // b's log does not reach back so far
			setOn(t, a, "x", "1")
			for i := range 70 {
				setOn(t, b, fmt.Sprint(i%3), string(make([]byte, 1<<20)))
			}
		}},
	} {
		synctest.Test(t, func(t *testing.T) {
			net := repl.NewMemory()
			a := newStand(t, net, "a", "", &repl.Options{Copying: repl.Copying{MaxRepairKeys: c.keys}})
			b := newStand(t, net, "b", "a", nil)
			setOn(t, a, "base", "1")
			equal(t, a, b)
			b.promote(t)
			c.lose(t, a, b)
			setOn(t, b, "y", "2")
			a.follow(t, "b")
			equal(t, b, a)
			if len(a.fulls) != 1 || a.fulls[0].NotRepaired != want || len(a.repairs) != 0 || len(a.tails) != 1 {
				t.Errorf("full copies %+v, want one because %q; %d repairs, %d tails", a.fulls, want, len(a.repairs), len(a.tails))
			}
			if s := a.node.Status().Upstream; s.LastFull.NotRepaired != want || s.Attempts != 1 {
				t.Errorf("%+v in %d attempts", s.LastFull, s.Attempts)
			}
			if up := b.node.Status().LastFull; up.NotRepaired == "" {
				t.Errorf("the upstream says %+v", up)
			}
		})
	}
}

// TestRepairAfterEachOther: promotions here and there, by turns, cost nobody a full copy.
func TestRepairAfterEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := repl.NewMemory()
		a := newStand(t, net, "a", "", nil)
		b := newStand(t, net, "b", "a", nil)
		setOn(t, a, "base", "1")
		equal(t, a, b)
		for i := range 40 {
			b.promote(t)
			setOn(t, a, fmt.Sprint("lost", i%3), fmt.Sprint(i))
			if i%4 > 0 {
				setOn(t, b, fmt.Sprint("kept", i%3), fmt.Sprint(i))
			}
			a.follow(t, b.name)
			equal(t, b, a)
			a, b = b, a
			time.Sleep(time.Second)
		}
		synctest.Wait()
		if len(a.fulls)+len(b.fulls) != 1 || len(a.repairs)+len(b.repairs) != 40 {
			t.Errorf("%d full copies, %d repairs", len(a.fulls)+len(b.fulls), len(a.repairs)+len(b.repairs))
		}
	})
}

// TestRepairCutAtEveryByte: a link that breaks anywhere in a repair leaves the old contents
// or the new ones, and the next one brings it to its end.
func TestRepairCutAtEveryByte(t *testing.T) {
	for _, down := range []bool{true, false} {
		cuts := 0
		for n := 0; ; n += everyNth {
			broken := false
			synctest.Test(t, func(t *testing.T) { broken = repairCutAt(t, down, n) })
			if !broken {
				break
			}
			cuts++
		}
		if cuts < 300/everyNth {
			t.Errorf("down %v: only %d bytes", down, cuts)
		}
	}
}

// repairCutAt cuts the first link of a repair after n bytes in one direction. It returns
// false when it was over before.
func repairCutAt(t *testing.T, down bool, n int) bool {
	net := repltest.NewNetwork(uint64(n))
	defer net.Close()
	a := newStand(t, net.Host("a"), "a", "", nil)
	b := newStand(t, net.Host("b"), "b", "a", nil)
	setOn(t, a, "base", "1")
	equal(t, a, b)
	b.promote(t)
	setOn(t, a, "lost", "1")
	setOn(t, a, "base", "lost")
	setOn(t, b, "kept", "2")
	link := net.Link("a", "b")
	if down {
		link = net.Link("b", "a")
	}
	link.OneWay().CutNext(int64(n))
	old, now := mustDigest(t, a), mustDigest(t, b)
	a.onEnd = func() {
		if d := mustDigest(t, a); d != old && d != now {
			t.Errorf("cut after %d bytes: %+v", n, d)
		}
	}
	a.follow(t, "b")
	equal(t, b, a)
	synctest.Wait()
	if len(a.repairs) != 1 || len(a.fulls) != 0 || len(a.tails) != 1 {
		t.Errorf("cut after %d bytes: %d repairs, %d full copies, %d tails", n, len(a.repairs), len(a.fulls), len(a.tails))
	}
	a.onEnd = nil
	return len(a.ends) > 0
}

func mustDigest(t testing.TB, s *stand) kv.Digest {
	t.Helper()
	d, err := s.store.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return d
}
