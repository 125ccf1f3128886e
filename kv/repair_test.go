package kv_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/kv"
	"github.com/emberkv/ember/rdb"
)

// parted returns two stores with some keys in common, of which now has begun a history of
// its own; old follows from here on, as soon as it is repaired.
func parted(tb testing.TB, opts *kv.Options, common int) (old, now *kv.Store, fork int64) {
	tb.Helper()
	old, now = open(tb, opts), open(tb, nil)
	now.SetFollower(true)
	f := followEmpty(tb, old, now)
	for i := range common {
		set(tb, old, key(i), fmt.Sprint("common", i))
	}
	f.catchUp(tb)
	now.SetFollower(false)
	fork = now.Log().Fork(backlog.NewHistory()).Offset
	return old, now, fork
}

// repairOf puts together what old needs to go over to now.
func repairOf(tb testing.TB, old, now *kv.Store, fork int64) (*rdb.Repair, error) {
	tb.Helper()
	keys, _, end, err := old.Tail(fork, 10_000, 1<<20)
	if err != nil {
		return nil, err
	}
	r := &rdb.Repair{Tail: end, Fork: fork, Keys: keys}
	r.Footer, err = now.State(keys, 64<<20, func(b *rdb.Block) error {
		parsed, err := rdb.ParseBlock(rdb.AppendBlock(nil, b))
		r.Blocks = append(r.Blocks, parsed)
		return err
	})
	if err != nil {
		return nil, err
	}
	r.Lineage = now.Log().Lineage()
	reader, err := now.Log().NewReader(fork)
	must(tb, err)
	for reader.Offset() < r.Footer.Position.Offset {
		records, err := reader.Next(r.Footer.Position.Offset)
		must(tb, err)
		r.Records = append(r.Records, bytes.Clone(records))
	}
	return r, nil
}

// repair makes old go over to now.
func repair(tb testing.TB, old, now *kv.Store, fork int64) {
	tb.Helper()
	old.SetFollower(true)
	r, err := repairOf(tb, old, now, fork)
	must(tb, err)
	must(tb, old.Repair(r))
}

// wantSameLog fails unless both logs hold the same bytes from offset first on.
func wantSameLog(tb testing.TB, a, b *kv.Store, first int64) {
	tb.Helper()
	var bytesOf [2][]byte
	for i, s := range []*kv.Store{a, b} {
		r, err := s.Log().NewReader(first)
		must(tb, err)
		for {
			records, err := r.Next(1 << 60)
			must(tb, err)
			if records == nil {
				break
			}
			bytesOf[i] = append(bytesOf[i], records...)
		}
	}
	if !bytes.Equal(bytesOf[0], bytesOf[1]) {
		tb.Fatalf("logs differ: %d and %d bytes", len(bytesOf[0]), len(bytesOf[1]))
	}
}

// scribble writes anything but a Clear, on few enough keys that they meet again.
func scribble(tb testing.TB, s *kv.Store, rng *rand.Rand, n int) {
	tb.Helper()
	for range n {
		k := key(rng.IntN(60))
		var err error
		switch rng.IntN(11) {
		case 0, 1, 2:
			err = s.Set(k, fmt.Append(nil, rng.Uint64()))
		case 3:
			err = s.Set(k, bytes.Repeat([]byte{byte(rng.Uint32())}, rng.IntN(3000)), kv.TTL(time.Duration(1+rng.IntN(1000))*time.Hour))
		case 4:
			_, err = s.Delete(k)
		case 5:
			_, err = s.Expire(k, time.Duration(1+rng.IntN(1000))*time.Hour)
		case 6:
			_, err = s.Persist(k)
		case 7:
			_, err = s.Add("n"+k, int64(rng.IntN(10)))
		case 8:
			_, err = s.DeletePrefix(k)
		case 9:
			err = s.Update(func(tx *kv.Tx) error {
				tx.Set(k, []byte("tx"))
				tx.Delete(key(rng.IntN(60)))
				tx.Set(key(rng.IntN(60)), []byte("tx"))
				return nil
			})
		case 10:
			err = s.Set(k, nil)
		}
		if err != nil && !errors.Is(err, kv.ErrNotFound) {
			tb.Fatal(err)
		}
	}
}

// TestRepair: whatever both sides have written since they parted, the old one is the
// same as the new one afterwards, to the byte of its log and the deadline of each key, and
// goes on so, through further repairs.
func TestRepair(t *testing.T) {
	t.Parallel()
	seeds := uint64(150)
	if raceEnabled {
		seeds = 30 // one goroutine
	}
	for seed := range seeds {
		rng := rand.New(rand.NewPCG(seed, 3))
		old, now, fork := parted(t, &kv.Options{Ordered: seed%2 == 0}, rng.IntN(80))
		for range 3 {
			scribble(t, old, rng, rng.IntN(100))
			if rng.IntN(3) == 0 { // it was promoted itself meanwhile
				old.Log().Fork(backlog.NewHistory())
				scribble(t, old, rng, rng.IntN(20))
			}
			scribble(t, now, rng, rng.IntN(200))
			if rng.IntN(3) == 0 {
				now.Log().Fork(backlog.NewHistory())
				scribble(t, now, rng, rng.IntN(20))
			}
			repair(t, old, now, fork)
			wantSame(t, old, now)
			wantSameLog(t, old, now, 0)
			a, err := old.Log().Sum(old.Position().Offset)
			must(t, err)
			if got := now.Log().Confirm(old.Position().Offset, a); old.Position().Offset > 0 && got != backlog.Confirmed {
				t.Fatalf("sum is %d", got)
			}
			for k, v := range now.All() {
				ttl, err := now.TTL(k)
				must(t, err)
				got, err := old.TTL(k)
				must(t, err)
				if diff := ttl - got; diff > time.Minute || diff < -time.Minute {
					t.Fatalf("%s: TTL %v, want %v", k, got, ttl)
				}
				if value, err := old.Get(k); err != nil || !bytes.Equal(value, v) {
					t.Fatalf("%s: %q, %v, want %q", k, value, err, v)
				}
			}
			f := follow(t, now, old)
			scribble(t, now, rng, 20)
			f.catchUp(t)
			wantSame(t, old, now)
			n := 0
			for range old.Range("", "\xff") {
				n++
			}
			if n != now.Len() {
				t.Fatalf("%d keys in order, want %d", n, now.Len())
			}
			// They part again.
			old.SetFollower(false)
			fork = now.Log().Fork(backlog.NewHistory()).Offset
		}
	}
}

// TestRepairRefuses: what does not fit changes nothing.
func TestRepairRefuses(t *testing.T) {
	other := backlog.NewHistory()
	cases := map[string]struct {
		break_ func(r *rdb.Repair)
		want   error
	}{
		"a key too many": {func(r *rdb.Repair) { r.Keys = append(r.Keys, 3, 'x', 'y', 'z') }, nil}, // asks for nothing that is not so
		"lists":          {func(r *rdb.Repair) { r.Keys = append(r.Keys, 9) }, kv.ErrRepair},
		"an entry that was not asked for": {func(r *rdb.Repair) {
			r.Blocks = append(r.Blocks, &rdb.Block{Data: entryOf("uninvited", "x")})
		}, kv.ErrBlock},
		"an entry twice":        {func(r *rdb.Repair) { r.Blocks = append(r.Blocks, r.Blocks...) }, kv.ErrBlock},
		"no entries":            {func(r *rdb.Repair) { r.Blocks = nil }, kv.ErrDigest},
		"another value":         {func(r *rdb.Repair) { r.Blocks[0].Data[len(r.Blocks[0].Data)-1] ^= 1 }, kv.ErrDigest},
		"half an entry":         {func(r *rdb.Repair) { r.Blocks[0].Data = r.Blocks[0].Data[:5] }, backlog.ErrRecord},
		"a record for an entry": {func(r *rdb.Repair) { r.Blocks[0].Data = backlog.AppendRecord(nil, []byte("\x03a")) }, kv.ErrBlock},
		"half a record":         {func(r *rdb.Repair) { r.Records[0] = r.Records[0][:3] }, backlog.ErrRecord},
		"a clear":               {func(r *rdb.Repair) { r.Records[0] = append(r.Records[0], backlog.AppendRecord(nil, []byte{6})...) }, kv.ErrRepair},
		"no log":                {func(r *rdb.Repair) { r.Records = nil }, kv.ErrRepair},
		"log twice":             {func(r *rdb.Repair) { r.Records = append(r.Records, r.Records...) }, kv.ErrRepair},
		"another sum":           {func(r *rdb.Repair) { r.Footer.Sum++ }, kv.ErrDigest},
		"another number":        {func(r *rdb.Repair) { r.Footer.Keys-- }, kv.ErrDigest},
		"another offset":        {func(r *rdb.Repair) { r.Footer.Position.Offset++ }, kv.ErrRepair},
		"a negative offset":     {func(r *rdb.Repair) { r.Footer.Position.Offset = -1 }, kv.ErrRepair},
		"another history":       {func(r *rdb.Repair) { r.Footer.Position.History = other }, kv.ErrRepair},
		"a stranger":            {func(r *rdb.Repair) { r.Lineage.Earlier = nil }, kv.ErrRepair},
		"a fork in the tail":    {func(r *rdb.Repair) { r.Fork++ }, kv.ErrRepair},
		"a fork in a record":    {func(r *rdb.Repair) { r.Fork-- }, kv.ErrRepair},
		"a negative fork":       {func(r *rdb.Repair) { r.Fork = -1 }, kv.ErrRepair},
		"an older tail":         {func(r *rdb.Repair) { r.Tail.Offset-- }, kv.ErrRepair},
	}
	for name, c := range cases {
		var tails []kv.LostTail
		var events []string
		old, now, fork := parted(t, lost(&tails, &events, kv.Options{}), 10)
		set(t, old, key(1), "old")
		set(t, old, key(2), "old")
		set(t, now, key(1), "new")
		set(t, now, "more", "new")
		old.SetFollower(true)
		before := digest(t, old)
		r, err := repairOf(t, old, now, fork)
		must(t, err)
		c.break_(r)
		if err := old.Repair(r); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if c.want == nil {
			wantSame(t, old, now)
			continue
		}
		if d := digest(t, old); d != before || len(tails) != 0 {
			t.Errorf("%s: now %+v, was %+v; lost %v", name, d, before, tails)
		}
		wantTrueDigest(t, old)
		repair(t, old, now, fork)
		wantSame(t, old, now)
		if len(tails) != 1 || len(events) != 2 || !tails[0].Complete || tails[0].From.Offset != fork {
			t.Errorf("%s: lost %+v, %q", name, tails, events)
		}
	}
}

func entryOf(key, value string) []byte {
	b := make([]byte, rdb.EntrySize(len(key), len(value), 0))
	rdb.PutEntry(b, key, []byte(value), 0)
	return b
}

// TestTailRefuses: not every tail can be repaired by its keys.
func TestTailRefuses(t *testing.T) {
	old, _, fork := parted(t, &kv.Options{LogBytes: 64 << 10}, 10)
	for i := range 5 {
		set(t, old, fmt.Sprintf("%08d", i), "old")
	}
	keys, n, end, err := old.Tail(fork, 5, 5*9)
	if n != 5 || len(keys) != 45 || end != old.Position() || err != nil {
		t.Errorf("%d keys in %d bytes at %v, %v", n, len(keys), end, err)
	}
	if _, _, _, err := old.Tail(fork, 4, 100); !errors.Is(err, kv.ErrRepair) {
		t.Errorf("too many keys: %v", err)
	}
	if _, _, _, err := old.Tail(fork, 5, 44); !errors.Is(err, kv.ErrRepair) {
		t.Errorf("too long keys: %v", err)
	}
	if _, _, _, err := old.Tail(fork+1, 5, 100); !errors.Is(err, kv.ErrRepair) {
		t.Errorf("inside a record: %v", err)
	}
	must(t, old.Clear())
	if _, _, _, err := old.Tail(fork, 5, 100); !errors.Is(err, kv.ErrRepair) {
		t.Errorf("a clear: %v", err)
	}
	for i := range 5000 {
		set(t, old, key(i%3), "the window moves on")
	}
	if _, _, _, err := old.Tail(fork, 100, 1000); !errors.Is(err, kv.ErrRepair) || !errors.Is(err, backlog.ErrTrimmed) {
		t.Errorf("trimmed: %v", err)
	}
}

// TestStateRefuses: the list of keys and the size of the entries are bounded.
func TestStateRefuses(t *testing.T) {
	s := open(t, nil)
	set(t, s, "a", "1234")
	blocks := 0
	write := func(*rdb.Block) error { blocks++; return nil }
	for name, keys := range map[string]string{"half a key": "\x02a", "an empty key": "\x00", "a long length": "\x81\x00a"} {
		if _, err := s.State([]byte(keys), 1<<20, write); !errors.Is(err, kv.ErrRepair) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := s.State([]byte("\x01a\x01a"), 10, write); !errors.Is(err, kv.ErrRepair) {
		t.Errorf("too much: %v", err)
	}
	if _, err := s.State(bytes.Repeat([]byte("\x01x"), kv.MaxRepairKeys+1), 1<<20, write); !errors.Is(err, kv.ErrRepair) {
		t.Errorf("too many: %v", err)
	}
	if blocks != 0 {
		t.Errorf("%d blocks", blocks)
	}
	if _, err := s.State(nil, 0, write); err != nil || blocks != 1 {
		t.Errorf("no keys: %d blocks, %v", blocks, err)
	}
	if _, err := s.State(nil, 0, func(*rdb.Block) error { return errBroken }); err != errBroken {
		t.Errorf("%v", err)
	}
	s.Close()
	if _, err := s.State(nil, 0, write); err != kv.ErrClosed {
		t.Errorf("%v", err)
	}
}

// TestStateInBlocks: entries of more than a block come in several.
func TestStateInBlocks(t *testing.T) {
	old, now, fork := parted(t, nil, 0)
	value := string(bytes.Repeat([]byte("v"), 50<<10))
	for i := range 20 {
		set(t, old, key(i), "old")
		set(t, now, key(i), value)
	}
	now.Delete(key(3))
	r, err := repairOf(t, old, now, fork)
	must(t, err)
	if n := len(r.Blocks); n < 5 || !r.Blocks[0].First || !r.Blocks[n-1].Last || r.Blocks[0].Keys != 19 {
		t.Errorf("%d blocks, first %+v", n, r.Blocks[0])
	}
	must(t, old.Repair(r))
	wantSame(t, old, now)
}

// TestRepairShowsAtOnce: a transaction sees all keys from before or all from after, and so
// does who reads one key and then, with its position, another.
func TestRepairShowsAtOnce(t *testing.T) {
	for range 20 {
		old, now, fork := parted(t, nil, 200)
		for i := range 200 {
			set(t, old, key(i), "old")
			set(t, now, key(i), "new")
		}
		done := make(chan error, 2)
		look := func(get func(string) string) {
			for {
				last := get(key(199))
				if first := get(key(0)); first == "old" && last == "new" {
					done <- fmt.Errorf("%s, and before %s", first, last)
					return
				} else if first == "new" {
					done <- nil
					return
				}
			}
		}
		go look(func(k string) string { v, _ := old.Get(k); return string(v) })
		go func() {
			for {
				snap, err := old.Snapshot()
				if err != nil {
					done <- err
					return
				}
				seen := make(map[string]int)
				for _, v := range snap.All() {
					seen[string(v)]++
				}
				at := snap.Position()
				snap.Close()
				if len(seen) != 1 || seen["new"] > 0 != (at.History == now.Position().History) {
					done <- fmt.Errorf("%v at %s", seen, at)
					return
				}
				if seen["new"] > 0 {
					done <- nil
					return
				}
			}
		}()
		repair(t, old, now, fork)
		for range 2 {
			must(t, <-done)
		}
	}
}

// TestWatchersOfARepair: one who has seen what is left behind is told to forget it, one
// who has not goes on.
func TestWatchersOfARepair(t *testing.T) {
	old, now, fork := parted(t, nil, 3)
	at := backlog.Position{History: old.Position().History, Offset: fork}
	set(t, old, "lost", "1")
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	events := make(chan kv.Event)
	go func() {
		defer close(events)
		for e, err := range old.Watch(ctx, "", at) {
			if err != nil {
				return
			}
			e.Key = string([]byte(e.Key))
			events <- e
		}
	}()
	next := func(kind kv.EventKind, key string) {
		t.Helper()
		e := <-events
		if e.Kind != kind || e.Key != key {
			t.Fatalf("%s %q, want %s %q", e.Kind, e.Key, kind, key)
		}
		if kind == kv.EventReset && e.Reason != backlog.AheadOfFork {
			t.Fatalf("reset for %v", e.Reason)
		}
	}
	next(kv.EventPut, "lost")
	next(kv.EventSynced, "")
	set(t, now, key(0), "new")
	lost := old.Position()
	repair(t, old, now, fork)
	next(kv.EventReset, "")
	seen := make(map[string]string)
	for e := range events {
		if e.Kind == kv.EventSynced {
			break
		}
		seen[e.Key] = string(e.Value)
	}
	if len(seen) != 3 || seen[key(0)] != "new" {
		t.Errorf("contents are %v", seen)
	}
	// Whoever stands at the fork is handed what the new history has.
	for e, err := range old.Watch(ctx, "", at) {
		must(t, err)
		if e.Kind != kv.EventPut || e.Key != key(0) || string(e.Value) != "new" || e.Position != now.Position() {
			t.Errorf("%s %q at %s", e.Kind, e.Key, e.Position)
		}
		break
	}
	if err := old.Wait(ctx, lost); !errors.Is(err, kv.ErrLost) {
		t.Errorf("waiting for what is left: %v", err)
	}
	must(t, old.Wait(ctx, now.Position()))
	cancel()
	for range events {
	}
}

// TestRepairEndsADump: a copy to a third store cannot be made of both sides.
func TestRepairEndsADump(t *testing.T) {
	old, now, fork := parted(t, nil, 3)
	set(t, old, "lost", "1")
	w := &replacing{at: 7, replace: func() { repair(t, old, now, fork) }}
	if err := old.Dump(t.Context(), w); !errors.Is(err, kv.ErrReplaced) {
		t.Errorf("%v", err)
	}
}

func BenchmarkRepair(b *testing.B) {
	for _, n := range []int{1000, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			old, now, fork := parted(b, nil, 20_000)
			value := bytes.Repeat([]byte("v"), 100)
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				old.SetFollower(false)
				for i := range n {
					must(b, old.Set(key(i), value))
					must(b, now.Set(key(n/2+i), value))
				}
				b.StartTimer()
				repair(b, old, now, fork)
				b.StopTimer()
				fork = now.Log().Fork(backlog.NewHistory()).Offset
				b.StartTimer()
			}
		})
	}
}

// TestRepairOnDisk: a store that is kept on disk comes back with the state after the repair,
// and goes on in that history.
func TestRepairOnDisk(t *testing.T) {
	dir := t.TempDir()
	old, err := kv.Open(dir, nil)
	must(t, err)
	now := open(t, nil)
	f := followEmpty(t, old, now)
	set(t, old, "both", "1")
	f.catchUp(t)
	fork := now.Log().Fork(backlog.NewHistory()).Offset
	set(t, old, "lost", "1")
	set(t, now, "kept", "2")
	repair(t, old, now, fork)
	g := follow(t, now, old)
	set(t, now, "more", "3")
	g.catchUp(t)
	wantSame(t, old, now)
	must(t, old.Close())

	again, err := kv.Open(dir, nil)
	must(t, err)
	defer again.Close()
	wantValue(t, again, "kept", "2")
	wantValue(t, again, "more", "3")
	wantValue(t, again, "lost", "")
	wantSame(t, again, now)
}
