package kv_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/internal/hash"
	"github.com/emberkv/ember/kv"
	"github.com/emberkv/ember/rdb"
)

// A copy whose connection breaks again and again goes on where it was, while its
// source is written to.
func TestInterruptedCopyGoesOn(t *testing.T) {
	s, to := open(t, nil), open(t, nil)
	set(t, to, "old", "state")
	to.SetFollower(true)
	for i := range 3000 {
		set(t, s, key(i), strings.Repeat("v", 200))
	}
	h := dumpHeader(t, s)
	loader, err := to.Load(h)
	must(t, err)
	defer loader.Abort()
	var writer sync.WaitGroup
	writer.Go(func() { churn(t, s, 0, 500, 3000) })

	at, done := h.Position, rdb.ShardSet{}
	var l *link
	last, attempts := -1, 0
	for {
		l = newLink(t, s, h.Shards, loader, at, done)
		l.breaks = h.Shards / 4
		if err = s.Dump(t.Context(), l); err == nil {
			break
		}
		if err != errBroken {
			t.Fatal(err)
		}
		at, done = loader.Interrupted()
		n := 0
		for i := range h.Shards {
			if done.Has(i) {
				n++
			}
		}
		if n <= last {
			t.Fatalf("%d shards are done, %d before", n, last)
		}
		last = n
		attempts++
		wantValue(t, to, "old", "state")
	}
	if attempts < 3 {
		t.Errorf("only %d interruptions", attempts)
	}
	must(t, loader.Commit(l.footer))
	writer.Wait()
	s.SetFollower(true) // nothing is to expire before the comparison
	follow(t, s, to).catchUp(t)
	wantValue(t, to, "old", "")
	wantSame(t, s, to)
}

// The store takes over everything: further records, expiry, other copies.
func TestLoadedStoreGoesOn(t *testing.T) {
	s, to := open(t, nil), open(t, nil)
	for i := range 2000 {
		set(t, s, key(i), "v", kv.TTL(time.Hour))
	}
	r, err := to.Log().NewReader(0)
	must(t, err)
	fullCopy(t, s, to)
	if _, err := r.Next(1); err != backlog.ErrReset {
		t.Errorf("reader of the replaced log: %v", err)
	}
	wantSame(t, s, to)
	to.SetFollower(false)
	for i := range 2000 {
		if i%2 == 0 {
			_, err = to.Delete(key(i))
		} else {
			_, err = to.Persist(key(i))
		}
		must(t, err)
	}
	leaf := open(t, nil)
	fullCopy(t, to, leaf)
	wantSame(t, to, leaf)
}

// A table has the number of shards that came with its contents.
func TestLoadAdoptsTheShape(t *testing.T) {
	t.Parallel()
	for _, shards := range []int{1, 2, 1024} {
		to := open(t, nil)
		b := newSnapshotMaker(to, shards)
		for i := range 3000 {
			b.put(key(i), "v")
		}
		must(t, b.load(to))
		if to.Len() != 3000 {
			t.Fatalf("%d shards: %d keys", shards, to.Len())
		}
		for i := range 3000 {
			set(t, to, key(2*i), "w")
		}
		if to.Len() != 4500 {
			t.Fatalf("%d shards: %d keys", shards, to.Len())
		}
		wantTrueDigest(t, to)
		other := open(t, nil)
		fullCopy(t, to, other)
		wantSame(t, to, other)
	}
}

// A snapshotMaker makes the blocks of a state by hand.
type snapshotMaker struct {
	header rdb.Header
	blocks []*rdb.Block
	footer rdb.Footer
}

func newSnapshotMaker(to *kv.Store, shards int) *snapshotMaker {
	p := backlog.Position{History: backlog.NewHistory(), Offset: 1000}
	b := &snapshotMaker{
		header: rdb.Header{
			Position: p, Lineage: backlog.Lineage{Current: p.History},
			Seed: 42, Shards: shards, RecordVersion: rdb.RecordVersion,
		},
		footer: rdb.Footer{Position: p},
	}
	for i := range shards {
		b.blocks = append(b.blocks, &rdb.Block{Shard: i, First: true, Last: true, At: p.Offset})
	}
	return b
}

func (b *snapshotMaker) shard(key string) *rdb.Block {
	h := hash.String(b.header.Seed, key)
	i := 0
	for n := 1; n < b.header.Shards; n *= 2 {
		i = i<<1 | int(h>>63)
		h <<= 1
	}
	return b.blocks[i]
}

func (b *snapshotMaker) put(key, value string) {
	block := b.shard(key)
	block.Data = appendEntry(block.Data, key, value, 0)
	block.Keys++
	block.Count++
	b.footer.Keys++
	b.footer.Sum += rdb.EntrySum(key, []byte(value), 0)
}

func appendEntry(dst []byte, key, value string, deadline int64) []byte {
	b := make([]byte, rdb.EntrySize(len(key), len(value), deadline))
	rdb.PutEntry(b, key, []byte(value), deadline)
	return append(dst, b...)
}

func (b *snapshotMaker) load(to *kv.Store) error {
	l, err := to.Load(b.header)
	if err != nil {
		return err
	}
	defer l.Abort()
	for _, block := range b.blocks {
		if err := l.Block(block); err != nil {
			return err
		}
	}
	return l.Commit(b.footer)
}

// Every way in which a copy can be wrong has its error, and the state in use stays.
func TestLoadRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(b *snapshotMaker)
		want  error
	}{
		"nothing":            {func(*snapshotMaker) {}, nil},
		"shards not a power": {func(b *snapshotMaker) { b.header.Shards = 3 }, rdb.ErrFormat},
		"no shards":          {func(b *snapshotMaker) { b.header.Shards = 0 }, rdb.ErrFormat},
		"too many shards":    {func(b *snapshotMaker) { b.header.Shards = 2048 }, rdb.ErrFormat},
		"newer records":      {func(b *snapshotMaker) { b.header.RecordVersion++ }, rdb.ErrVersion},
		"negative keys":      {func(b *snapshotMaker) { b.header.Keys = -1 }, rdb.ErrFormat},
		"other lineage":      {func(b *snapshotMaker) { b.header.Lineage.Current = backlog.NewHistory() }, rdb.ErrFormat},
		"negative offset":    {func(b *snapshotMaker) { b.header.Position.Offset = -1 }, rdb.ErrFormat},
		"shard out of range": {func(b *snapshotMaker) { b.blocks[3].Shard = 4 }, kv.ErrBlock},
		"negative shard":     {func(b *snapshotMaker) { b.blocks[3].Shard = -1 }, kv.ErrBlock},
		"shard twice":        {func(b *snapshotMaker) { b.blocks = append(b.blocks, b.blocks[0]) }, kv.ErrBlock},
		"not first":          {func(b *snapshotMaker) { b.blocks[0].First = false }, kv.ErrBlock},
		"not last":           {func(b *snapshotMaker) { b.blocks[0].Last = false }, kv.ErrIncomplete},
		"shard missing":      {func(b *snapshotMaker) { b.blocks = b.blocks[1:] }, kv.ErrIncomplete},
		"before the log":     {func(b *snapshotMaker) { b.blocks[0].At-- }, kv.ErrBlock},
		"after the log":      {func(b *snapshotMaker) { b.blocks[0].At++ }, kv.ErrBlock},
		"more keys":          {func(b *snapshotMaker) { b.blocks[0].Keys++ }, kv.ErrBlock},
		"fewer keys":         {func(b *snapshotMaker) { b.blocks[0].Keys-- }, kv.ErrBlock},
		"huge number":        {func(b *snapshotMaker) { b.blocks[0].Keys = math.MaxInt }, kv.ErrBlock},
		"negative number":    {func(b *snapshotMaker) { b.blocks[0].Keys = -1 }, kv.ErrBlock},
		"negative count":     {func(b *snapshotMaker) { b.blocks[0].Count = -1 }, kv.ErrBlock},
		"wrong count":        {func(b *snapshotMaker) { b.blocks[0].Count++; b.blocks[0].Keys++ }, kv.ErrBlock},
		"key twice":          {func(b *snapshotMaker) { b.put("a", "1"); b.put("a", "2") }, kv.ErrBlock},
		"key of another shard": {func(b *snapshotMaker) {
			b.blocks[0].Data, b.blocks[1].Data = b.blocks[1].Data, b.blocks[0].Data
			b.blocks[0].Count, b.blocks[1].Count = b.blocks[1].Count, b.blocks[0].Count
			b.blocks[0].Keys, b.blocks[1].Keys = b.blocks[1].Keys, b.blocks[0].Keys
		}, kv.ErrBlock},
		"no entry":      {func(b *snapshotMaker) { b.blocks[0].Data = []byte{1, 3}; b.blocks[0].Count, b.blocks[0].Keys = 1, 1 }, rdb.ErrEntry},
		"half an entry": {func(b *snapshotMaker) { d := &b.blocks[0].Data; *d = (*d)[:len(*d)-1] }, rdb.ErrEntry},
		"other sum":     {func(b *snapshotMaker) { b.footer.Sum++ }, kv.ErrDigest},
		"other number":  {func(b *snapshotMaker) { b.footer.Keys++ }, kv.ErrDigest},
		"other offset":  {func(b *snapshotMaker) { b.footer.Position.Offset++ }, kv.ErrDigest},
		"other history": {func(b *snapshotMaker) { b.footer.Position.History = backlog.NewHistory() }, kv.ErrDigest},
		"an entry lost": {func(b *snapshotMaker) {
			b.put("a", "1")
			_, n := b.shard("a"), len(appendEntry(nil, "a", "1", 0))
			x := b.shard("a")
			x.Data, x.Keys, x.Count = x.Data[:len(x.Data)-n], x.Keys-1, x.Count-1
		}, kv.ErrDigest},
	} {
		t.Run(name, func(t *testing.T) {
			to := open(t, nil)
			set(t, to, "old", "state")
			before := digest(t, to)
			b := newSnapshotMaker(to, 4)
			for i := range 100 {
				b.put(key(i), "value")
			}
			c.spoil(b)
			err := b.load(to)
			if !errors.Is(err, c.want) {
				t.Fatalf("%v, want %v", err, c.want)
			}
			if err == nil {
				if digest(t, to).Sum != b.footer.Sum {
					t.Error("loaded something else")
				}
				return
			}
			if after := digest(t, to); after != before {
				t.Errorf("the state in use has changed: %+v, was %+v", after, before)
			}
		})
	}
}

func deleteRecord(key string) []byte {
	return backlog.AppendRecord(nil, append([]byte{3}, key...))
}

// Records take effect by the phase of their shard, and become part of the log in any.
func TestLoadRecords(t *testing.T) {
	to := open(t, nil)
	to.SetFollower(true) // or it would delete what has expired
	b := newSnapshotMaker(to, 2)
	// Two keys of each shard, and what becomes of them.
	var keys [2][]string
	for i := 0; len(keys[0]) < 4 || len(keys[1]) < 4; i++ {
		n := b.shard(key(i)).Shard
		keys[n] = append(keys[n], key(i))
	}
	l, err := to.Load(b.header)
	must(t, err)
	defer l.Abort()
	at := b.header.Position.Offset
	record := func(r []byte) {
		t.Helper()
		must(t, l.Records(at, r))
		at += int64(len(r))
	}
	must(t, l.Records(at, nil))

	record(appendEntry(nil, keys[0][0], "absent", 0)) // skipped: its block will have it
	one := appendEntry(nil, keys[0][1], "in the block", 0)
	must(t, l.Block(&rdb.Block{Shard: 0, First: true, At: at + 10_000, Keys: 1, Count: 1, Data: one}))
	record(deleteRecord(keys[0][1]))                                    // skipped: the block stands behind it
	record(appendEntry(nil, keys[0][3], strings.Repeat("x", 9_990), 0)) // reaches beyond: kept aside
	record(appendEntry(nil, keys[1][0], "absent", 0))                   // skipped
	must(t, l.Block(&rdb.Block{Shard: 0, Last: true}))                  // now it takes effect
	must(t, l.Block(&rdb.Block{Shard: 1, First: true, Last: true, At: at}))
	record(appendEntry(nil, keys[1][1], "after the block", 0))
	record([]byte{2, 3, 'x'}) // delete of no key
	d := appendEntry(nil, keys[0][1], "again", 1)
	record(d)
	record(deleteRecord(keys[0][3]))

	f := rdb.Footer{Position: backlog.Position{History: b.header.Position.History, Offset: at}, Keys: 2}
	f.Sum = rdb.EntrySum(keys[0][1], []byte("again"), 1) + rdb.EntrySum(keys[1][1], []byte("after the block"), 0)
	must(t, l.Commit(f))
	if got := contents(to); len(got) != 1 || got[keys[1][1]] != "after the block" {
		t.Errorf("contents: %v", got)
	}
	if w := to.Log().Window(); w.First != b.header.Position.Offset || w.End != at {
		t.Errorf("the log holds %+v, want %d to %d", w, b.header.Position.Offset, at)
	}
	if err := l.Commit(f); err != kv.ErrAborted {
		t.Errorf("second Commit: %v", err)
	}
}

// A clear takes away what is loaded, and what is in transit, and nothing that was
// captured after it.
func TestLoadClear(t *testing.T) {
	to := open(t, nil)
	b := newSnapshotMaker(to, 4)
	for i := range 40 {
		b.put(key(i), "v")
	}
	l, err := to.Load(b.header)
	must(t, err)
	defer l.Abort()
	clear := []byte{1, 6}
	begin := b.header.Position.Offset
	must(t, l.Block(b.blocks[0])) // loaded
	part := *b.blocks[1]
	part.Last, part.Keys = false, part.Count
	must(t, l.Block(&part)) // partial
	late := *b.blocks[2]
	late.At = begin + 2
	must(t, l.Block(&late)) // captured after the clear
	must(t, l.Records(begin, clear))
	must(t, l.Block(&rdb.Block{Shard: 1, Last: true}))
	b.blocks[3].At = begin + 2
	must(t, l.Block(b.blocks[3])) // begins after it
	want := int64(b.blocks[2].Count + b.blocks[3].Count)
	var sum uint64
	for _, i := range []int{2, 3} {
		n, err := b.blocks[i].Sum()
		must(t, err)
		sum += n
	}
	f := b.footer
	f.Position.Offset += 2
	f.Keys, f.Sum = want, sum
	must(t, l.Commit(f))
	if int64(to.Len()) != want {
		t.Errorf("%d keys, want %d", to.Len(), want)
	}
}

func TestLoadRecordErrors(t *testing.T) {
	for name, c := range map[string]struct {
		at      int64
		records []byte
		want    error
	}{
		"gap":        {1001, []byte{1, 6}, backlog.ErrPosition},
		"repetition": {999, []byte{1, 6}, backlog.ErrPosition},
		"no record":  {1000, []byte{9}, backlog.ErrRecord},
		"no kind":    {1000, []byte{1, 99}, kv.ErrRecord},
	} {
		to := open(t, nil)
		b := newSnapshotMaker(to, 4)
		l, err := to.Load(b.header)
		must(t, err)
		if err := l.Records(c.at, c.records); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		// The first error stays.
		if err := l.Block(b.blocks[0]); !errors.Is(err, c.want) {
			t.Errorf("%s: then %v, want %v", name, err, c.want)
		}
		if p, _ := l.Interrupted(); !p.IsZero() {
			t.Errorf("%s: may go on at %v", name, p)
		}
		if err := l.Commit(b.footer); !errors.Is(err, c.want) {
			t.Errorf("%s: then %v, want %v", name, err, c.want)
		}
		l.Abort()
		l.Abort()
	}
}

// Records for shards in transit are kept within a bound.
func TestLoadAsideIsBounded(t *testing.T) {
	to := open(t, &kv.Options{LogBytes: -1})
	b := newSnapshotMaker(to, 1)
	l, err := to.Load(b.header)
	must(t, err)
	defer l.Abort()
	must(t, l.Block(&rdb.Block{First: true, At: b.header.Position.Offset}))
	r := appendEntry(nil, "k", strings.Repeat("x", 1<<20), 0)
	at := b.header.Position.Offset
	n := 0
	for ; err == nil && n < 1000; n++ {
		err = l.Records(at, r)
		at += int64(len(r))
	}
	if !errors.Is(err, kv.ErrAside) || n != kv.MaxAsideBytes/len(r)+2 {
		t.Errorf("after %d records of a MiB: %v", n, err)
	}
}

// A dump ends with its context, or with the writer's error, and leaves nothing.
func TestDumpEnds(t *testing.T) {
	s := open(t, nil)
	for i := range 1000 {
		set(t, s, key(i), "v")
	}
	ctx, cancel := context.WithCancel(t.Context())
	w := &replacing{at: 10, replace: cancel}
	if err := s.Dump(ctx, w); err != context.Canceled {
		t.Errorf("cancelled: %v", err)
	}
	var invalid *kv.InvalidError
	w = &replacing{at: -1} // never
	if err := s.Dump(t.Context(), outOfRange{w}); !errors.As(err, &invalid) {
		t.Errorf("shard out of range: %v", err)
	}
	if v := kv.Views(s); v != 0 {
		t.Errorf("%d views are still in use", v)
	}
}

type outOfRange struct{ *replacing }

func (w outOfRange) Next() (int, bool) { i, _ := w.replacing.Next(); return i, true }

// The footer that a damaged copy would need cannot be guessed: each flipped bit of a
// snapshot is found by Restore, and nothing has changed then.
func TestRestoreRefusesFlippedBits(t *testing.T) {
	t.Parallel()
	s, to := open(t, nil), open(t, nil)
	for i := range 20 {
		set(t, s, key(i), "v", kv.TTL(time.Hour))
	}
	n, err := s.Snapshot()
	must(t, err)
	defer n.Close()
	var buf bytes.Buffer
	_, err = n.WriteTo(&buf)
	must(t, err)
	set(t, to, "old", "state")
	before := digest(t, to)
	// Every bit of the format is package rdb's to test; here it is that nothing
	// slips through on the way into the store.
	step := 7
	if raceEnabled {
		step = 41
	}
	data := buf.Bytes()
	for bit := 0; bit < 8*len(data); bit += step {
		data[bit/8] ^= 1 << (bit % 8)
		if err := to.Restore(bytes.NewReader(data)); err == nil {
			t.Fatalf("bit %d: no error", bit)
		}
		data[bit/8] ^= 1 << (bit % 8)
	}
	for end := 0; end < len(data); end += step {
		if err := to.Restore(bytes.NewReader(data[:end])); err == nil {
			t.Fatalf("cut at %d: no error", end)
		}
	}
	if after := digest(t, to); after != before {
		t.Errorf("the state in use has changed: %+v, was %+v", after, before)
	}
	must(t, to.Restore(bytes.NewReader(data)))
	if got, want := fmt.Sprint(contents(to)), fmt.Sprint(contents(s)); got != want {
		t.Errorf("restored %v, want %v", got, want)
	}
}

// A restored store is in a new history, and who followed it has to start over.
func TestRestoreBeginsAHistory(t *testing.T) {
	s, to := open(t, nil), open(t, nil)
	for i := range 500 {
		set(t, s, key(i), "v")
	}
	followEmpty(t, s, to).catchUp(t)
	old := s.Position()
	restoreFromSnapshot(t, s)
	now := s.Position()
	if now.History == old.History || now.Offset < old.Offset {
		t.Errorf("restored at %v, was at %v", now, old)
	}
	if !s.Log().Lineage().Knows(old.History) {
		t.Error("the earlier history is forgotten")
	}
	if _, refusal := s.Log().Continue(to.Log().Lineage(), to.Position().Offset); refusal == backlog.Accepted {
		t.Error("a follower of the earlier history may go on")
	}
	fullCopy(t, s, to)
	wantSame(t, s, to)
	must(t, s.Wait(t.Context(), old))
	old.Offset++
	if err := s.Wait(t.Context(), old); !errors.Is(err, kv.ErrLost) {
		t.Errorf("Wait beyond the fork: %v", err)
	}
}

// FuzzLoad gives a loader blocks and records of which nothing is right. It must not
// panic, and must not commit anything but the state of the footer.
func FuzzLoad(f *testing.F) {
	b := newSnapshotMaker(nil, 2)
	b.put("a", "1")
	b.put("b", "2")
	f.Add(appendEntry(nil, "k", "v", 0), []byte{1, 6}, uint16(0x0301), int64(1000), 1)
	f.Add(append(b.blocks[0].Data, b.blocks[1].Data...), deleteRecord("a"), uint16(0x0300), int64(1005), 2)
	f.Add([]byte{}, appendEntry(nil, "k", "v", 5), uint16(0x0200), int64(0), -1)
	f.Fuzz(func(t *testing.T, data, records []byte, flags uint16, at int64, count int) {
		to := kv.New(&kv.Options{LogBytes: -1})
		defer to.Close()
		h := newSnapshotMaker(to, 2).header
		l, err := to.Load(h)
		must(t, err)
		defer l.Abort()
		one := &rdb.Block{
			Shard: int(flags & 0xff), First: flags&0x100 != 0, Last: flags&0x200 != 0,
			At: at, Keys: count, Count: count, Data: bytes.Clone(data),
		}
		_ = l.Block(one)
		_ = l.Records(h.Position.Offset, records)
		two := *one
		two.Shard ^= 1
		two.Data = bytes.Clone(data)
		_ = l.Block(&two)
		l.Interrupted()
		if err := l.Commit(rdb.Footer{Position: h.Position}); err == nil && to.Len() != 0 {
			t.Error("committed what the footer does not say")
		}
	})
}
