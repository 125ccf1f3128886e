package kv_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/kv"
	"github.com/emberkv/ember/rdb"
)

func deadlineRecord(deadline byte, key string) []byte {
	return backlog.AppendRecord(nil, append([]byte{5, deadline, 0, 0, 0, 0, 0, 0, 0}, key...))
}

// A follower holds the same bytes at the same offsets, and the same state.
func TestApplyFollows(t *testing.T) {
	s, to, leaf := open(t, nil), open(t, nil), open(t, nil)
	to.SetFollower(true)
	leaf.SetFollower(true)
	f, g := followEmpty(t, s, to), followEmpty(t, s, leaf)
	for w := range 4 {
		churn(t, s, w, 300, 1500)
		s.SetFollower(true) // nothing is to expire before the comparison
		f.catchUp(t)
		wantSame(t, s, to)
		s.SetFollower(false)
	}
	g.log = to.Log() // a chain: the same offsets all the way down
	var err error
	g.reader, err = to.Log().NewReader(0)
	must(t, err)
	g.catchUp(t)
	wantSame(t, to, leaf)
}

// Nothing has changed when records are refused, however many of them were good.
func TestApplyRefuses(t *testing.T) {
	good := appendEntry(nil, "new", "v", 0)
	long := strings.Repeat("k", rdb.MaxKeyBytes+1)
	for name, c := range map[string]struct {
		records []byte
		want    error
	}{
		"a length only":      {[]byte{5}, backlog.ErrRecord},
		"a long length":      {[]byte{0x80, 0}, backlog.ErrRecord},
		"an empty record":    {[]byte{0}, kv.ErrRecord},
		"kind 0":             {[]byte{1, 0}, kv.ErrRecord},
		"kind 7":             {[]byte{2, 7, 'k'}, kv.ErrRecord},
		"put of nothing":     {[]byte{1, 1}, rdb.ErrEntry},
		"put of no key":      {[]byte{2, 1, 0}, rdb.ErrEntry},
		"key beyond it":      {[]byte{3, 1, 2, 'k'}, rdb.ErrEntry},
		"deadline of 0":      {[]byte{11, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 'k'}, rdb.ErrEntry},
		"delete of no key":   {[]byte{1, 3}, kv.ErrRecord},
		"expiry of no key":   {[]byte{1, 4}, kv.ErrRecord},
		"a long key":         {deleteRecord(long), kv.ErrRecord},
		"half a deadline":    {[]byte{8, 5, 1, 0, 0, 0, 0, 0, 0}, kv.ErrRecord},
		"no key's deadline":  {deadlineRecord(1, ""), kv.ErrRecord},
		"a deadline below 0": {[]byte{10, 5, 0, 0, 0, 0, 0, 0, 0, 0x80, 'k'}, kv.ErrRecord},
		"clear of a key":     {[]byte{2, 6, 'k'}, kv.ErrRecord},
	} {
		s := open(t, nil)
		set(t, s, "k", "v")
		before := digest(t, s)
		err := s.Apply(before.Position, append(bytes.Clone(good), c.records...))
		var re *kv.RecordError
		if !errors.Is(err, c.want) || !errors.As(err, &re) || re.Offset != before.Position.Offset+int64(len(good)) {
			t.Errorf("%s: %v, want %v at %d", name, err, c.want, before.Position.Offset+int64(len(good)))
		}
		if after := digest(t, s); after != before {
			t.Errorf("%s: something has changed: %+v, was %+v", name, after, before)
		}
		wantValue(t, s, "new", "")
	}
}

func TestApplyAtAnotherPlace(t *testing.T) {
	s := open(t, nil)
	set(t, s, "k", "v")
	before := digest(t, s)
	gap, again, other := before.Position, before.Position, before.Position
	gap.Offset++
	again.Offset--
	other.History = backlog.NewHistory()
	for _, at := range []backlog.Position{gap, again, other} {
		if err := s.Apply(at, appendEntry(nil, "new", "v", 0)); !errors.Is(err, backlog.ErrPosition) {
			t.Errorf("at %v: %v", at, err)
		}
	}
	if after := digest(t, s); after != before {
		t.Errorf("something has changed: %+v, was %+v", after, before)
	}
	must(t, s.Apply(before.Position, nil))
}

// Records are effects: a run of them that is applied twice ends where it ended.
func TestRecordsMayBeAppliedTwice(t *testing.T) {
	for seed := range 5 {
		s, to := open(t, nil), open(t, nil)
		to.SetFollower(true)
		churn(t, s, seed, 50, 2000)
		s.SetFollower(true)
		f := followEmpty(t, s, to)
		f.catchUp(t)
		once := digest(t, to)
		r, err := s.Log().NewReader(0)
		must(t, err)
		for r.Offset() < once.Position.Offset {
			records, err := r.Next(once.Position.Offset)
			must(t, err)
			must(t, to.Apply(to.Position(), records))
		}
		if twice := digest(t, to); twice.Sum != once.Sum || twice.Keys != once.Keys {
			t.Errorf("seed %d: %+v after the second time, %+v after the first", seed, twice, once)
		}
	}
}

// The gate is for writers of this store, not for the records of another.
func TestApplyPassesTheGate(t *testing.T) {
	s := open(t, nil)
	s.Log().SetGate(func() error { return errors.New("not here") })
	must(t, s.Apply(s.Position(), appendEntry(nil, "k", "v", 0)))
	wantValue(t, s, "k", "v")
}

// FuzzApply gives Apply bytes from outside. It must not panic, and refuse them whole or
// take them whole.
func FuzzApply(f *testing.F) {
	f.Add([]byte{})
	f.Add(appendEntry(nil, "k", "v", 0))
	f.Add(append(appendEntry(nil, "k", "v", 1), deadlineRecord(9, "k")...))
	f.Add(append(deleteRecord("k"), 1, 6))
	f.Add(append(deadlineRecord(0, "k"), 2, 4, 'k'))
	f.Fuzz(func(t *testing.T, records []byte) {
		s := kv.New(nil)
		defer s.Close()
		s.SetFollower(true)
		set(t, s, "k", "v", kv.TTL(time.Hour))
		before := digest(t, s)
		err := s.Apply(before.Position, records)
		after := digest(t, s)
		if err != nil && after != before {
			t.Fatalf("refused with %v, and changed %+v to %+v", err, before, after)
		}
		if want := before.Position.Offset + int64(len(records)); err == nil && after.Position.Offset != want {
			t.Fatalf("the log ends at %d, want %d", after.Position.Offset, want)
		}
		wantTrueDigest(t, s)
	})
}

// Each flipped bit of a run of records is refused or taken, and never half of it.
func TestApplyFlippedBits(t *testing.T) {
	records := appendEntry(nil, "key", "value", 0)
	records = append(records, appendEntry(nil, "other", "value", 77)...)
	records = append(records, deadlineRecord(9, "key")...)
	records = append(records, deleteRecord("other")...)
	records = append(records, 1, 6)
	for bit := range 8 * len(records) {
		flipped := bytes.Clone(records)
		flipped[bit/8] ^= 1 << (bit % 8)
		s := kv.New(nil)
		s.SetFollower(true)
		set(t, s, "k", "v")
		before := digest(t, s)
		err := s.Apply(before.Position, flipped)
		if after := digest(t, s); err != nil && after != before {
			t.Errorf("bit %d: refused with %v, and changed", bit, err)
		}
		must(t, s.Close())
	}
}
