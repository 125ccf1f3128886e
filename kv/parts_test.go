package kv_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/kv"
	"github.com/emberkv/ember/rdb"
)

// transaction returns the record of a transaction of records.
func transaction(records ...[]byte) []byte {
	return backlog.AppendRecord(nil, append([]byte{7}, bytes.Join(records, nil)...))
}

// prefixRecord returns the record that removes keys, each given without the prefix.
func prefixRecord(prefix string, rests ...string) []byte {
	b := []byte{8}
	for _, s := range append([]string{prefix}, rests...) {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	return backlog.AppendRecord(nil, b)
}

func evictedRecord(key string) []byte {
	return backlog.AppendRecord(nil, append([]byte{9}, key...))
}

// What a transaction, the removal of a prefix and an eviction do.
func TestApplyParts(t *testing.T) {
	s := open(t, nil)
	s.SetFollower(true)
	for _, k := range []string{"a", "b", "c", "d", "e", "p:1", "p:2", "q"} {
		set(t, s, k, "old")
	}
	apply := func(record []byte) {
		t.Helper()
		must(t, s.Apply(s.Position(), record))
		// Effects: once more changes nothing.
		before := digest(t, s)
		must(t, s.Apply(s.Position(), record))
		if after := digest(t, s); after.Sum != before.Sum || after.Keys != before.Keys {
			t.Errorf("the second time: %+v, the first: %+v", after, before)
		}
		wantTrueDigest(t, s)
	}
	apply(transaction(
		appendEntry(nil, "a", "new", 0),
		deleteRecord("b"),
		deadlineRecord(1, "c"),
		evictedRecord("d"),
		backlog.AppendRecord(nil, append([]byte{4}, "e"...)),
		deleteRecord("missing"),
		deadlineRecord(1, "missing too"),
		appendEntry(nil, "f", "new", time.Now().Add(time.Hour).UnixMilli()),
	))
	for k, want := range map[string]string{"a": "new", "b": "", "c": "", "d": "", "e": "", "f": "new", "q": "old"} {
		wantValue(t, s, k, want)
	}
	apply(evictedRecord("a"))
	wantValue(t, s, "a", "")
	apply(prefixRecord("p:", "1", "2", "3", "1"))
	wantValue(t, s, "p:1", "")
	wantValue(t, s, "p:2", "")
	wantValue(t, s, "q", "old")
	apply(prefixRecord("", "q", "c", "f"))
	if s.Len() != 0 {
		t.Errorf("%d keys are left", s.Len())
	}
}

// Nothing has changed when a record of several keys is refused.
func TestApplyPartsRefuses(t *testing.T) {
	t.Parallel()
	many, rests := make([][]byte, 1<<16+1), make([]string, 1<<16+1)
	for i := range many {
		many[i], rests[i] = deleteRecord(key(i)), key(i)
	}
	long := strings.Repeat("k", rdb.MaxKeyBytes)
	for name, record := range map[string][]byte{
		"no parts":            transaction(),
		"a key twice":         transaction(appendEntry(nil, "k", "w", 0), deleteRecord("k")),
		"a key twice of many": transaction(append(many[:20:20], many[19])...),
		"a clear":             transaction([]byte{1, 6}),
		"a transaction":       transaction(transaction(deleteRecord("k"))),
		"a prefix":            transaction(prefixRecord("k", "1")),
		"half a part":         transaction(deleteRecord("k")[:2]),
		"an empty part":       transaction(deleteRecord("k"), []byte{0}),
		"too many parts":      transaction(many...),
		"no prefix":           {1, 8},
		"no keys":             prefixRecord("k"),
		"an empty key":        prefixRecord("", ""),
		"a long prefix":       prefixRecord(long+"k", ""),
		"a long key":          prefixRecord(long, "k"),
		"half a key":          {5, 8, 1, 'k', 2, 'k'},
		"a long length":       {5, 8, 0x81, 0, 'k', 0},
		"too many keys":       prefixRecord("k", rests...),
		"too many bytes":      prefixRecord(long[:rdb.MaxKeyBytes-100], rests[:1100]...),
		"eviction of no key":  evictedRecord(""),
	} {
		s := open(t, nil)
		set(t, s, "k", "v")
		before := digest(t, s)
		err := s.Apply(before.Position, append(appendEntry(nil, "new", "v", 0), record...))
		var re *kv.RecordError
		if !errors.As(err, &re) || !errors.Is(err, kv.ErrRecord) {
			t.Errorf("%s: %v", name, err)
		}
		if after := digest(t, s); after != before {
			t.Errorf("%s: something has changed: %+v, was %+v", name, after, before)
		}
	}
	s := open(t, nil)
	must(t, s.Apply(s.Position(), transaction(many[:1<<16]...)))
	must(t, s.Apply(s.Position(), prefixRecord("k", rests[:1<<16]...)))
}

// wholes writes values that are equal for all keys of a group, as single records that
// concern the whole group.
func wholes(r *rand.Rand, group, n int) (records []byte) {
	for range n {
		var parts [][]byte
		value := strings.Repeat(fmt.Sprint(r.IntN(10)), 1+r.IntN(300))
		if r.IntN(4) == 0 {
			var rests []string
			for i := range groupKeys {
				rests = append(rests, fmt.Sprint(i))
			}
			records = append(records, prefixRecord(groupKey(group, ""), rests...)...)
			continue
		}
		gone := r.IntN(4) == 0
		for i := range groupKeys {
			if k := groupKey(group, fmt.Sprint(i)); gone {
				parts = append(parts, deleteRecord(k))
			} else {
				parts = append(parts, appendEntry(nil, k, value, 0))
			}
		}
		records = append(records, transaction(parts...)...)
	}
	return records
}

const groupKeys = 9

func groupKey(group int, rest string) string { return fmt.Sprintf("group:%d:", group) + rest }

// Two reads, one after the other, never go back in time: whoever has seen a part of a
// record sees all of it. The writer counts up in many keys at once.
func TestReadersSeeWholeBatches(t *testing.T) {
	s := open(t, nil)
	s.SetFollower(true)
	rounds, keys := 500, make([]string, 300)
	if raceEnabled {
		rounds = 200
	}
	for i := range keys {
		keys[i] = key(i)
	}
	var readers sync.WaitGroup
	done := make(chan struct{})
	for w := range 2 {
		readers.Go(func() {
			r := rand.New(rand.NewPCG(uint64(w), 1))
			for last := uint64(0); ; {
				select {
				case <-done:
					return
				default:
				}
				now, v := last, []byte(nil)
				if v, _ = s.Get(keys[r.IntN(len(keys))]); len(v) == 8 {
					now = binary.LittleEndian.Uint64(v)
				}
				if now < last || last > 0 && v == nil {
					t.Errorf("%q was seen after %d", v, last)
					return
				}
				last = now
			}
		})
	}
	for n := range rounds {
		var parts [][]byte
		value := binary.LittleEndian.AppendUint64(nil, uint64(n+1))
		for _, k := range keys {
			parts = append(parts, appendEntry(nil, k, string(value), 0))
		}
		must(t, s.Apply(s.Position(), transaction(parts...)))
	}
	close(done)
	readers.Wait()
}

// A copy that is made while records of several keys come ends as its source does, and so
// does a follower.
func TestCopyUnderParts(t *testing.T) {
	for seed := range uint64(3) {
		r := rand.New(rand.NewPCG(seed, 5))
		s, to, copied := open(t, nil), open(t, nil), open(t, nil)
		s.SetFollower(true)
		to.SetFollower(true)
		for i := range 2000 {
			set(t, s, key(i), strings.Repeat("v", 300))
		}
		f := followEmpty(t, s, to)
		must(t, s.Apply(s.Position(), wholes(r, 0, 50)))

		var writer sync.WaitGroup
		writer.Go(func() {
			for i := range 400 {
				if err := s.Apply(s.Position(), wholes(r, i%20, 2)); err != nil {
					t.Error(err)
					return
				}
			}
		})
		g := fullCopy(t, s, copied)
		writer.Wait()
		f.catchUp(t)
		g.catchUp(t)
		wantSame(t, s, to)
		wantSame(t, s, copied)
	}
}

// While all keys are removed no reader finds one of them after it has missed another.
func TestClearIsOneMoment(t *testing.T) {
	s := open(t, nil)
	rounds := 400
	if raceEnabled {
		rounds = 100
	}
	var readers sync.WaitGroup
	var keys []string
	for i := range 64 {
		keys = append(keys, key(i))
	}
	for range rounds {
		for _, k := range keys {
			set(t, s, k, "v")
		}
		begin := make(chan struct{})
		for w := range 2 {
			readers.Go(func() {
				<-begin
				for missed, n := false, w; !missed; n += 13 {
					_, err := s.Get(keys[n%len(keys)])
					missed = err == kv.ErrNotFound
				}
				for _, k := range keys {
					if _, err := s.Get(k); err != kv.ErrNotFound {
						t.Errorf("%q is there after another was gone", k)
					}
				}
			})
		}
		close(begin)
		must(t, s.Clear())
		readers.Wait()
	}
}

// A record of several keys is kept aside whole, of whatever size, if there was room when
// it came; and then nothing more.
func TestLoadAsideTakesWholeRecords(t *testing.T) {
	value := strings.Repeat("x", kv.MaxAsideBytes/8)
	var parts [][]byte
	for i := range 10 {
		parts = append(parts, appendEntry(nil, key(i), value, 0))
	}
	whole := transaction(parts...)
	for name, next := range map[string][]byte{
		"a prefix": prefixRecord("k", "ey"), "a transaction": transaction(parts[0]), "a put": parts[0],
	} {
		if raceEnabled && name != "a prefix" {
			continue // each of them 80 MiB, on one goroutine
		}
		to := open(t, &kv.Options{LogBytes: -1})
		b := newSnapshotMaker(to, 1)
		l, err := to.Load(b.header)
		must(t, err)
		at := b.header.Position.Offset
		must(t, l.Block(&rdb.Block{First: true, At: at}))
		must(t, l.Records(at, whole))
		if err := l.Records(at+int64(len(whole)), next); !errors.Is(err, kv.ErrAside) {
			t.Errorf("%s when too much is aside: %v", name, err)
		}
		l.Abort()
	}
}
