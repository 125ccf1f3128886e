package kv_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/kv"
	"github.com/emberkv/ember/rdb"
)

// errGate is what the log of a replica says to writes.
var errGate = errors.New("gate")

// writableReplica returns a store that follows from and takes local writes.
func writableReplica(t testing.TB, from *kv.Store, o kv.Options) (*kv.Store, *follower) {
	t.Helper()
	o.WritableReplica = true
	s := kv.New(&o)
	t.Cleanup(func() { s.Close() })
	s.Log().SetGate(func() error { return errGate })
	f := followEmpty(t, from, s)
	s.SetFollower(true)
	return s, f
}

// A twoLayers is what a writable replica should show: local writes over replicated ones. A
// nil stands for a key that was removed locally.
type twoLayers struct {
	replicated map[string]string
	local      map[string]*string
}

func (m *twoLayers) shown() map[string]string {
	all := maps.Clone(m.replicated)
	for k, v := range m.local {
		if delete(all, k); v != nil {
			all[k] = *v
		}
	}
	return all
}

func (m *twoLayers) set(k, v string) { m.local[k] = &v }

// collect returns what an iterator yields, in its order.
func collect(seq iter.Seq2[string, []byte]) (keys []string, all map[string]string) {
	all = map[string]string{}
	for k, v := range seq {
		keys = append(keys, k)
		all[k] = string(v)
	}
	return keys, all
}

// wantShown fails unless every way to read s shows want.
func wantShown(t *testing.T, s *kv.Store, want map[string]string) {
	t.Helper()
	order := slices.Sorted(maps.Keys(want))
	if n := s.Len(); n != len(want) {
		t.Errorf("Len is %d, want %d", n, len(want))
	}
	for i := range 30 {
		k := fmt.Sprintf("k%02d", i)
		v, err := s.Get(k)
		has, _ := s.Has(k)
		_, ttlErr := s.TTL(k)
		if w, ok := want[k]; ok != (err == nil) || ok != has || ok != (ttlErr == nil) || string(v) != w {
			t.Errorf("%s is %q, %v, has %v, TTL %v; want %q, %v", k, v, err, has, ttlErr, w, ok)
		}
	}
	check := func(name string, seq iter.Seq2[string, []byte], lo, hi string, ordered, backward bool) {
		t.Helper()
		in := slices.DeleteFunc(slices.Clone(order), func(k string) bool { return k < lo || hi != "" && k >= hi })
		if backward {
			slices.Reverse(in)
		}
		keys, all := collect(seq)
		if ordered && !slices.Equal(keys, in) || len(keys) != len(in) {
			t.Errorf("%s yields %q, want %q", name, keys, in)
		}
		for _, k := range in {
			if all[k] != want[k] {
				t.Errorf("%s: %s is %q, want %q", name, k, all[k], want[k])
			}
		}
	}
	var keys []string
	for i := range 40 {
		keys = append(keys, fmt.Sprintf("k%02d", i))
	}
	checkMulti := func(name string, values [][]byte, err error) {
		t.Helper()
		if err != nil || len(values) != len(keys) {
			t.Errorf("%s: %d values, %v", name, len(values), err)
			return
		}
		for i, v := range values {
			if w, ok := want[keys[i]]; ok != (v != nil) || string(v) != w {
				t.Errorf("%s: %s is %q, want %q, %v", name, keys[i], v, w, ok)
			}
		}
	}
	values, err := s.GetMulti(nil, keys...)
	checkMulti("GetMulti", values, err)
	check("All", s.All(), "", "", false, false)
	check("Range", s.Range("k05", "k20"), "k05", "k20", true, false)
	check("Prefix", s.Prefix("k1"), "k1", "k2", true, false)
	check("Backward", s.Backward("k03", "k17"), "k03", "k17", true, true)
	check("Backward, open", s.Backward("", ""), "", "", true, true)
	if k, v, err := s.Min(); len(want) == 0 != (err == kv.ErrNotFound) || len(want) > 0 && (k != order[0] || string(v) != want[k]) {
		t.Errorf("Min is %q, %q, %v", k, v, err)
	}
	if k, v, err := s.Max(); len(want) == 0 != (err == kv.ErrNotFound) || len(want) > 0 && (k != order[len(order)-1] || string(v) != want[k]) {
		t.Errorf("Max is %q, %q, %v", k, v, err)
	}
	must(t, s.View(func(tx *kv.Tx) error {
		for i := range 30 {
			k := fmt.Sprintf("k%02d", i)
			v, err := tx.Get(k)
			if w, ok := want[k]; ok != (err == nil) || string(v) != w {
				t.Errorf("in a View %s is %q, %v", k, v, err)
			}
		}
		values, err := tx.GetMulti(nil, keys...)
		checkMulti("a View's GetMulti", values, err)
		check("a View's All", tx.All(), "", "", false, false)
		check("a View's Range", tx.Range("k05", "k20"), "k05", "k20", true, false)
		check("a View's Backward", tx.Backward("", "k17"), "", "k17", true, true)
		return nil
	}))
}

// TestLocalWritesModel: whatever is written here and there, every way to read shows the
// local writes over the replicated ones, the last one of both wins, and what is replicated
// does not know of any.
func TestLocalWritesModel(t *testing.T) {
	t.Parallel()
	for seed := range uint64(12) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 6))
			from := open(t, &kv.Options{Ordered: seed%2 == 0})
			s, f := writableReplica(t, from, kv.Options{Ordered: seed%2 == 0})
			m := &twoLayers{map[string]string{}, map[string]*string{}}
			for i := range 400 {
				k, v := fmt.Sprintf("k%02d", rng.IntN(30)), fmt.Sprint(i)
				if rng.IntN(2) == 0 {
					replicatedWrite(t, rng, from, m, k, v)
					f.catchUp(t)
				} else {
					localWrite(t, rng, s, m, k, v)
				}
				if i%20 == 19 {
					wantShown(t, s, m.shown())
					wantSame(t, from, s)
				}
			}
			if k := s.ReplicatedLen(); k != len(m.replicated) {
				t.Errorf("ReplicatedLen is %d, want %d", k, len(m.replicated))
			}
			n, err := s.Snapshot()
			must(t, err)
			defer n.Close()
			if _, all := collect(n.All()); !maps.Equal(all, m.replicated) {
				t.Error("a snapshot has local writes")
			}
			promoted(t, s, m)
		})
	}
}

// replicatedWrite makes a write on the master, which ends what was written locally to its
// keys.
func replicatedWrite(t *testing.T, rng *rand.Rand, from *kv.Store, m *twoLayers, k, v string) {
	over := func(k string) { delete(m.local, k) }
	switch rng.IntN(12) {
	default:
		must(t, from.Set(k, []byte(v)))
		m.replicated[k] = v
		over(k)
	case 0, 1:
		existed, err := from.Delete(k)
		must(t, err)
		if delete(m.replicated, k); existed {
			over(k)
		}
	case 2:
		existed, err := from.Expire(k, time.Hour)
		if must(t, err); existed {
			over(k)
		}
	case 3:
		to := fmt.Sprintf("k%02d", rng.IntN(30))
		must(t, from.Update(func(tx *kv.Tx) error { return errors.Join(tx.Set(k, []byte(v)), tx.Set(to, []byte(v))) }))
		m.replicated[k], m.replicated[to] = v, v
		over(k)
		over(to)
	case 4:
		n, err := from.DeletePrefix(k[:2])
		must(t, err)
		if n == 0 {
			return
		}
		of := func(k string) bool { return strings.HasPrefix(k, v) }
		v = k[:2]
		maps.DeleteFunc(m.replicated, func(k, _ string) bool { return of(k) })
		maps.DeleteFunc(m.local, func(k string, _ *string) bool { return of(k) })
	case 5:
		if len(m.replicated) == 0 || rng.IntN(4) != 0 {
			return
		}
		must(t, from.Clear())
		clear(m.replicated)
		clear(m.local)
	}
}

func localWrite(t *testing.T, rng *rand.Rand, s *kv.Store, m *twoLayers, k, v string) {
	old, exists := m.shown()[k]
	switch rng.IntN(10) {
	default:
		must(t, s.Set(k, []byte(v)))
		m.set(k, v)
	case 8:
		p, other := s.Pipeline(), fmt.Sprintf("k%02d", rng.IntN(30))
		must(t, p.Set(k, nil))
		must(t, p.Delete(other))
		must(t, p.Set(k, []byte(v)))
		if n, err := p.Exec(); n != 3 || err != nil {
			t.Fatalf("Exec: %d, %v", n, err)
		}
		m.local[other] = nil
		m.set(k, v)
	case 0, 1:
		if existed, err := s.Delete(k); err != nil || existed != exists {
			t.Fatalf("Delete: %v, %v; want %v", existed, err, exists)
		}
		m.local[k] = nil
	case 2:
		err := s.Set(k, []byte(v), kv.IfAbsent())
		if exists != (err == kv.ErrExists) {
			t.Fatalf("IfAbsent: %v", err)
		}
		if !exists {
			m.set(k, v)
		}
	case 3:
		swapped, err := s.CompareAndSwap(k, []byte(old), []byte(v))
		if must(t, err); swapped != exists {
			t.Fatalf("CompareAndSwap: %v, want %v", swapped, exists)
		}
		if swapped {
			m.set(k, v)
		}
	case 4:
		sum, err := s.Add(k, 7)
		must(t, err)
		m.set(k, fmt.Sprint(sum))
	case 5:
		if existed, err := s.Expire(k, time.Hour); err != nil || existed != exists {
			t.Fatalf("Expire: %v, %v", existed, err)
		}
		if d, _ := s.TTL(k); exists && (d <= 59*time.Minute || d > time.Hour) {
			t.Fatalf("TTL is %v", d)
		}
		if exists {
			m.set(k, old)
		}
	case 6:
		to := fmt.Sprintf("k%02d", rng.IntN(30))
		if err := s.Rename(k, to); exists == (err != nil) {
			t.Fatalf("Rename: %v", err)
		}
		if exists && k != to {
			m.local[k] = nil
			m.set(to, old)
		}
	case 7:
		to := fmt.Sprintf("k%02d", rng.IntN(30))
		must(t, s.Update(func(tx *kv.Tx) error {
			got, err := tx.Get(k)
			if exists != (err == nil) || string(got) != old {
				t.Errorf("in an Update %s is %q, %v; want %q", k, got, err, old)
			}
			if _, err := tx.Delete(k); err != nil {
				return err
			}
			return tx.Set(to, []byte(v))
		}))
		m.local[k] = nil
		m.set(to, v)
	}
}

// promoted makes a writable replica a writer: what it shows stays, and is in its log.
func promoted(t *testing.T, s *kv.Store, m *twoLayers) {
	t.Helper()
	below := open(t, nil)
	f := followEmpty(t, s, below)
	f.catchUp(t)
	if !maps.Equal(contents(below), m.replicated) {
		t.Error("local writes went to the replica's own follower")
	}
	s.Log().Fork(backlog.NewHistory())
	must(t, below.Log().Extend(s.Log().Lineage()))
	s.SetFollower(false)
	s.Log().SetGate(nil)
	wantShown(t, s, m.shown())
	if st := s.Stats(); st.LocalKeys != 0 || st.LocalBytes != 0 {
		t.Errorf("there are local writes on a master: %+v", st)
	}
	g := follow(t, s, below)
	g.catchUp(t)
	wantSame(t, s, below)
	if !maps.Equal(contents(below), m.shown()) {
		t.Error("the follower of the new master lacks what was written locally")
	}
	must(t, s.Set("k00", []byte("an ordinary write")))
	g.catchUp(t)
	wantSame(t, s, below)
}

// TestLocalDeadlines: a local deadline ends a key here, to the millisecond, and lets
// nothing show from beneath; the master's own record of the key ends it, too.
func TestLocalDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		from := open(t, nil)
		s, f := writableReplica(t, from, kv.Options{})
		must(t, from.Set("over", []byte("replicated")))
		f.catchUp(t)
		for _, k := range []string{"over", "new"} {
			must(t, s.Set(k, []byte("local"), kv.TTL(time.Second)))
		}
		time.Sleep(999 * time.Millisecond)
		if s.Len() != 2 {
			t.Errorf("%d keys before the deadline", s.Len())
		}
		time.Sleep(time.Millisecond)
		for _, k := range []string{"over", "new"} {
			if v, err := s.Get(k); err != kv.ErrNotFound {
				t.Errorf("%s is %q, %v", k, v, err)
			}
		}
		if _, all := collect(s.All()); s.Len() != 0 || len(all) != 0 {
			t.Errorf("%d keys, of which %v", s.Len(), all)
		}
		if err := s.Set("over", nil, kv.IfAbsent()); err != nil {
			t.Errorf("IfAbsent of a key whose deadline has passed: %v", err)
		}
		must(t, from.Set("over", []byte("again")))
		f.catchUp(t)
		if v, err := s.Get("over"); string(v) != "again" {
			t.Errorf("%q, %v: the master's write was later", v, err)
		}
		wantSame(t, from, s)
	})
}

// TestLocalWritesEndWithAFullCopy: and so does what they take.
func TestLocalWritesEndWithAFullCopy(t *testing.T) {
	from := open(t, nil)
	must(t, from.Set("a", []byte("1")))
	s, f := writableReplica(t, from, kv.Options{})
	f.catchUp(t)
	must(t, s.Set("a", []byte("local")))
	must(t, s.Set("b", []byte("local")))
	must(t, s.Drop(rdb.Header{}))
	if _, err := s.Get("b"); err != kv.ErrNotFound || s.Len() != 0 || s.Stats().LocalBytes != 0 {
		t.Errorf("%v, %d keys, %+v", err, s.Len(), s.Stats())
	}
	must(t, s.Set("b", []byte("local")))
	fullCopy(t, from, s)
	wantShown(t, s, map[string]string{"a": "1"})
	must(t, s.Set("b", []byte("local again")))
	wantShown(t, s, map[string]string{"a": "1", "b": "local again"})
}

// TestLocalBytesAreBounded: at the bound writes are refused, until something is deleted, or
// has passed its deadline.
func TestLocalBytesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const bound = 64 << 10
		s, _ := writableReplica(t, open(t, nil), kv.Options{MaxLocalBytes: bound})
		n := 0
		var err error
		for ; err == nil; n++ {
			err = s.Set(fmt.Sprint(n), make([]byte, 100), kv.TTL(time.Minute))
			if st := s.Stats(); st.LocalBytes > bound {
				t.Fatalf("%d bytes", st.LocalBytes)
			}
		}
		if !errors.Is(err, kv.ErrFull) || n < bound/300 || s.Len() != n-1 {
			t.Fatalf("%v after %d keys, of which there are %d", err, n, s.Len())
		}
		if existed, err := s.Delete("0"); !existed || err != nil {
			t.Errorf("Delete: %v, %v", existed, err)
		}
		must(t, s.Set("1", make([]byte, 50))) // smaller than what was there
		must(t, s.Set("x", make([]byte, 100)))
		time.Sleep(time.Minute)
		must(t, s.Set("y", make([]byte, bound/2)))
		if err := s.Set("z", make([]byte, bound)); !errors.Is(err, kv.ErrFull) {
			t.Errorf("%v", err)
		}
	})
}

// TestWhatIsNotLocal: what a replica does not take is refused by name, and nothing of what
// it takes is in its log.
func TestWhatIsNotLocal(t *testing.T) {
	from := open(t, nil)
	s, f := writableReplica(t, from, kv.Options{})
	must(t, from.Set("a", nil))
	f.catchUp(t)
	at := s.Position()
	if err := s.Clear(); err != kv.ErrNotLocal {
		t.Errorf("Clear: %v", err)
	}
	if _, err := s.DeletePrefix("a"); err != kv.ErrNotLocal {
		t.Errorf("DeletePrefix: %v", err)
	}
	must(t, s.Update(func(tx *kv.Tx) error { return nil }))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for e, err := range s.Watch(ctx, "", backlog.Position{}) {
		must(t, err)
		if e.Kind == kv.EventSynced {
			if must(t, s.Set("b", nil)); s.Position() != at {
				t.Error("a local write has moved the position")
			}
			must(t, from.Set("c", nil))
			f.catchUp(t)
			continue
		}
		if e.Key == "b" {
			t.Error("a watcher was told of a local write")
		}
		if e.Key == "c" {
			break
		}
	}
	// A plain replica takes nothing, and one that refuses reads refuses local writes.
	s.SetStaleAfter(time.Unix(0, 0))
	if err := s.Set("b", nil); err != kv.ErrStale {
		t.Errorf("a local write of a replica that is cut off: %v", err)
	}
	plain := open(t, nil)
	plain.Log().SetGate(func() error { return errGate })
	plain.SetFollower(true)
	if err := plain.Set("b", nil); err != errGate {
		t.Errorf("without WritableReplica: %v", err)
	}
}

// TestLocalTransactionsAreOvertaken: a transaction that has read what was written locally is
// run again when a record or another local write has come over it meanwhile.
func TestLocalTransactionsAreOvertaken(t *testing.T) {
	from := open(t, nil)
	s, f := writableReplica(t, from, kv.Options{})
	must(t, s.Set("a", []byte("local")))
	runs := 0
	must(t, s.View(func(tx *kv.Tx) error {
		a, err := tx.Get("a")
		must(t, err)
		if runs++; runs == 1 {
			must(t, from.Update(func(tx *kv.Tx) error {
				return errors.Join(tx.Set("a", []byte("both")), tx.Set("b", []byte("both")))
			}))
			f.catchUp(t)
		}
		b, err := tx.Get("b")
		if err == nil && string(a) != string(b) {
			t.Errorf("a is %s, b %s", a, b)
		}
		return err
	}))
	if runs != 2 {
		t.Errorf("the View ran %d times", runs)
	}
	runs = 0
	must(t, s.Update(func(tx *kv.Tx) error {
		if runs++; runs == 1 {
			must(t, s.Set("n", []byte("1"))) // before it is read, and then once more behind it
		}
		if _, err := tx.Add("n", 1); err != nil {
			return err
		}
		if runs <= 2 {
			must(t, s.Set("n", []byte("5")))
		}
		return nil
	}))
	if v, err := s.Get("n"); err != nil || string(v) != "6" {
		t.Errorf("n is %q, %v, after %d runs; want 6", v, err, runs)
	}
}

// TestLocalTransactionsSeeNoHalf: while records and local writes come, two keys that are
// always written together are never seen apart.
func TestLocalTransactionsSeeNoHalf(t *testing.T) {
	from := open(t, nil)
	s, f := writableReplica(t, from, kv.Options{})
	both := func(on *kv.Store, v string) error {
		return on.Update(func(tx *kv.Tx) error { return errors.Join(tx.Set("a", []byte(v)), tx.Set("b", []byte(v))) })
	}
	must(t, both(from, "0"))
	f.catchUp(t)
	var wg sync.WaitGroup
	stop := make(chan struct{})
	loop := func(do func(i int) error) {
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				if err := do(i); err != nil && !errors.Is(err, kv.ErrConflict) {
					t.Error(err)
					return
				}
			}
		})
	}
	loop(func(i int) error {
		if err := both(from, fmt.Sprint("r", i)); err != nil {
			return err
		}
		f.catchUp(t)
		return nil
	})
	loop(func(i int) error { return both(s, fmt.Sprint("l", i)) })
	for range 300 {
		must(t, s.View(func(tx *kv.Tx) error {
			a, err := tx.Get("a")
			b, err2 := tx.Get("b")
			if err == nil && err2 == nil && string(a) != string(b) {
				t.Errorf("a is %s, b %s", a, b)
			}
			return errors.Join(err, err2)
		}))
		_, all := collect(viewOf(t, s))
		if all["a"] != all["b"] {
			t.Errorf("in one iteration a is %s, b %s", all["a"], all["b"])
		}
	}
	close(stop)
	wg.Wait()
	wantSame(t, from, s)
}

// viewOf iterates over a store in a View.
func viewOf(t *testing.T, s *kv.Store) iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		must(t, s.View(func(tx *kv.Tx) error {
			for k, v := range tx.All() {
				if !yield(k, v) {
					break
				}
			}
			return nil
		}))
	}
}

// TestStaleLocals: while reads are refused local writes are no more to be seen than what
// they are over, by no iteration, and a loop that has begun ends; nor are they after Close.
func TestStaleLocals(t *testing.T) {
	for _, ordered := range []bool{false, true} {
		from := kv.New(nil)
		s, _ := writableReplica(t, from, kv.Options{Ordered: ordered})
		for i := range 10 {
			if err := s.Set(fmt.Sprint("local", i), []byte("v")); err != nil {
				t.Fatal(err)
			}
		}
		ways := map[string]iter.Seq2[string, []byte]{
			"All": s.All(), "Range": s.Range("", ""), "Prefix": s.Prefix("local"), "Backward": s.Backward("", ""),
		}
		count := func(when string, want int, body func()) {
			for name, seq := range ways {
				s.SetStaleAfter(time.Time{})
				if when == "stale" {
					s.SetStaleAfter(time.Unix(0, 0))
				}
				n := 0
				for range seq {
					n++
					body()
				}
				if n != want {
					t.Errorf("ordered %t, %s: %s shows %d keys, want %d", ordered, when, name, n, want)
				}
			}
		}
		count("fresh", 10, func() {})
		count("stale", 0, func() {})
		count("stale meanwhile", 1, func() { s.SetStaleAfter(time.Unix(0, 0)) })
		s.Close()
		count("closed", 0, func() {})
		from.Close()
	}
}
