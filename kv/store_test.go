package kv_test

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/kv"
	"github.com/emberkv/ember/rdb"
)

func TestValuesOfAllSizes(t *testing.T) {
	s := open(t, nil)
	// Around the borders of the length's encoding, of the sizes of slabs, and of
	// what has a slab by itself.
	sizes := []int{0, 1, 7, 8, 100, 123, 124, 125, 1000, 1 << 14, 1 << 16, 128<<10 - 40, 128 << 10, 128<<10 + 1, 1 << 20}
	for round := range 3 {
		for _, n := range sizes {
			key := "k" + strings.Repeat("x", n%200)
			value := strings.Repeat(string(rune('a'+round)), n)
			set(t, s, key, value)
			got, err := s.Get(key)
			if err != nil || string(got) != value || cap(got) != len(got) {
				t.Fatalf("%d bytes: got %d, cap %d, %v", n, len(got), cap(got), err)
			}
			copied, err := s.Append([]byte("> "), key)
			if err != nil || string(copied) != "> "+value {
				t.Fatalf("%d bytes: Append returned %d, %v", n, len(copied), err)
			}
		}
	}
	wantTrueDigest(t, s)

	// A big one by itself leaves nothing behind, deleted or overwritten.
	big := open(t, nil)
	for range 3 {
		set(t, big, "k", strings.Repeat("b", 1<<20))
		set(t, big, "k", strings.Repeat("c", 1<<21))
		if ok, err := big.Delete("k"); !ok || err != nil {
			t.Fatal(ok, err)
		}
		if used, _ := kv.SlabBytes(big); used != 0 {
			t.Fatalf("%d bytes are left", used)
		}
	}
}

// A value that was read stays as it was, whatever happens to the key, and to the slab
// that it lies in.
func TestValuesOutliveTheirKeys(t *testing.T) {
	s := open(t, nil)
	set(t, s, "kept", "first")
	kept, err := s.Get("kept")
	must(t, err)
	for range 20_000 {
		set(t, s, "kept", "second, and longer than the first")
	}
	must(t, s.Clear())
	must(t, s.Close())
	if string(kept) != "first" {
		t.Errorf("value has become %q", kept)
	}
}

func TestConditions(t *testing.T) {
	s := open(t, nil)
	if err := s.Set("k", nil, kv.IfPresent()); err != kv.ErrNotFound {
		t.Errorf("IfPresent without the key: %v", err)
	}
	set(t, s, "k", "1", kv.IfAbsent())
	if err := s.Set("k", []byte("2"), kv.IfAbsent()); err != kv.ErrExists {
		t.Errorf("IfAbsent with the key: %v", err)
	}
	wantValue(t, s, "k", "1")
	set(t, s, "k", "3", kv.IfPresent())
	wantValue(t, s, "k", "3")

	if ok, err := s.CompareAndSwap("k", []byte("2"), []byte("4")); ok || err != nil {
		t.Errorf("swapped another value: %v", err)
	}
	if ok, err := s.CompareAndSwap("k", []byte("3"), []byte("4")); !ok || err != nil {
		t.Errorf("did not swap: %v", err)
	}
	if ok, err := s.CompareAndSwap("absent", nil, []byte("4")); ok || err != nil {
		t.Errorf("swapped the value of no key: %v", err)
	}
	wantValue(t, s, "k", "4")
	if ok, err := s.Delete("k"); !ok || err != nil {
		t.Errorf("Delete = %v, %v", ok, err)
	}
	if ok, err := s.Delete("k"); ok || err != nil {
		t.Errorf("second Delete = %v, %v", ok, err)
	}
	if ok, err := s.Has("k"); ok || err != nil {
		t.Errorf("Has = %v, %v", ok, err)
	}
}

func TestAdd(t *testing.T) {
	s := open(t, nil)
	add := func(delta, want int64, wantErr error) {
		t.Helper()
		if got, err := s.Add("n", delta); got != want || !errors.Is(err, wantErr) {
			t.Fatalf("Add(%d) = %d, %v, want %d, %v", delta, got, err, want, wantErr)
		}
	}
	add(5, 5, nil)
	add(-7, -2, nil)
	add(math.MinInt64, 0, kv.ErrOverflow)
	add(math.MinInt64+2, math.MinInt64, nil)
	add(-1, 0, kv.ErrOverflow)
	add(math.MaxInt64, -1, nil)
	add(1, 0, nil)
	add(math.MaxInt64, math.MaxInt64, nil)
	add(1, 0, kv.ErrOverflow)
	wantValue(t, s, "n", "9223372036854775807")
	for _, bad := range []string{"", "x", "+1", "01", " 1", "1 ", "-0", "-", "9223372036854775808", "1e3"} {
		must(t, s.Set("n", []byte(bad)))
		add(1, 0, kv.ErrNotInteger)
		if got, _ := s.Get("n"); string(got) != bad {
			t.Fatalf("%q has become %q", bad, got)
		}
	}
}

// What is refused changes nothing and is not logged.
func TestInvalidArguments(t *testing.T) {
	s := open(t, nil)
	set(t, s, "k", "v")
	before := digest(t, s)
	long := strings.Repeat("k", rdb.MaxKeyBytes+1)
	big := make([]byte, rdb.MaxValueBytes+1)
	check := func(name string, err, want error) {
		t.Helper()
		var invalid *kv.InvalidError
		if want == nil && !errors.As(err, &invalid) || want != nil && !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
	}
	check("empty key", s.Set("", nil), kv.ErrEmptyKey)
	check("long key", s.Set(long, nil), kv.ErrTooLarge)
	check("big value", s.Set("k", big), kv.ErrTooLarge)
	check("no time", s.Set("k", nil, kv.TTL(0)), nil)
	check("past time", s.Set("k", nil, kv.TTL(-1)), nil)
	check("two deadlines", s.Set("k", nil, kv.TTL(1), kv.KeepTTL()), nil)
	check("two moments", s.Set("k", nil, kv.TTL(1), kv.ExpireAt(time.Now())), nil)
	check("both conditions", s.Set("k", nil, kv.IfAbsent(), kv.IfPresent()), nil)
	_, err := s.Add("", 1)
	check("Add to the empty key", err, kv.ErrEmptyKey)
	_, err = s.Add(long, 1)
	check("Add to a long key", err, kv.ErrTooLarge)
	_, err = s.CompareAndSwap("k", []byte("v"), big)
	check("swap for a big value", err, kv.ErrTooLarge)
	_, err = s.Expire("k", 0)
	check("Expire now", err, nil)
	_, err = s.Get("")
	check("Get the empty key", err, kv.ErrNotFound)
	_, err = s.Get(long)
	check("Get a long key", err, kv.ErrNotFound)
	if after := digest(t, s); after != before {
		t.Errorf("something has changed: %+v, was %+v", after, before)
	}
}

func TestLargestKey(t *testing.T) {
	s := open(t, nil)
	key := strings.Repeat("k", rdb.MaxKeyBytes)
	set(t, s, key, "v", kv.TTL(time.Hour))
	wantValue(t, s, key, "v")
	if ok, err := s.Delete(key); !ok || err != nil {
		t.Fatal(ok, err)
	}
	if s.Len() != 0 {
		t.Fatal(s.Len())
	}
}

// The gate's error reaches every kind of write, and nothing has changed.
func TestGateRefuses(t *testing.T) {
	s := open(t, nil)
	set(t, s, "k", "1", kv.TTL(time.Hour))
	set(t, s, "big", strings.Repeat("b", 1<<20))
	before := digest(t, s)
	used, dead := kv.SlabBytes(s)
	refused := errors.New("not here")
	s.Log().SetGate(func() error { return refused })
	for name, write := range map[string]func() error{
		"Set":             func() error { return s.Set("k", []byte("2")) },
		"Set a new key":   func() error { return s.Set("other", []byte("2")) },
		"Set a big one":   func() error { return s.Set("big", make([]byte, 2<<20)) },
		"Set in the past": func() error { return s.Set("k", nil, kv.ExpireAt(time.Unix(1, 0))) },
		"Delete":          func() error { _, err := s.Delete("k"); return err },
		"Add":             func() error { _, err := s.Add("k", 1); return err },
		"CompareAndSwap":  func() error { _, err := s.CompareAndSwap("k", []byte("1"), nil); return err },
		"Expire":          func() error { _, err := s.Expire("k", time.Minute); return err },
		"Persist":         func() error { _, err := s.Persist("k"); return err },
		"Clear":           func() error { return s.Clear() },
		"Pipeline":        func() error { return execAll(s, "k", "other") },
		"Restore":         func() error { return s.Restore(strings.NewReader("")) },
	} {
		if err := write(); err != refused {
			t.Errorf("%s: %v", name, err)
		}
	}
	if after := digest(t, s); after != before {
		t.Errorf("something has changed: %+v, was %+v", after, before)
	}
	if u, d := kv.SlabBytes(s); u != used || d != dead {
		t.Errorf("slabs hold %d bytes, %d dead; before %d, %d", u, d, used, dead)
	}
	s.Log().SetGate(nil)
	set(t, s, "k", "2")
	wantTrueDigest(t, s)
}

// The settler's error is returned although the write stands.
func TestSettlerReports(t *testing.T) {
	s := open(t, nil)
	late := errors.New("nobody has acknowledged")
	var ends []int64
	s.Log().SetSettler(func(end int64) error { ends = append(ends, end); return late })
	if err := s.Set("n", []byte("1")); err != late {
		t.Error(err)
	}
	if n, err := s.Add("n", 2); n != 3 || err != late {
		t.Error(n, err)
	}
	if ok, err := s.Delete("n"); !ok || err != late {
		t.Error(ok, err)
	}
	if ok, err := s.Delete("n"); ok || err != nil {
		t.Errorf("waited for a write that there was none of: %v, %v", ok, err)
	}
	if len(ends) != 3 || ends[2] != s.Position().Offset {
		t.Errorf("settled at %v, log ends at %v", ends, s.Position())
	}
}

func TestClear(t *testing.T) {
	s := open(t, nil)
	must(t, s.Clear())
	if s.Position().Offset != 0 {
		t.Error("clearing an empty store was logged")
	}
	for i := range 5000 {
		set(t, s, key(i), "v")
	}
	must(t, s.Clear())
	if s.Len() != 0 || len(contents(s)) != 0 {
		t.Errorf("%d keys are left", s.Len())
	}
	if used, _ := kv.SlabBytes(s); used != 0 {
		t.Errorf("%d bytes are left", used)
	}
	set(t, s, "k", "v")
	if got := contents(s); len(got) != 1 || got["k"] != "v" {
		t.Errorf("contents after Clear: %v", got)
	}
	wantTrueDigest(t, s)
}

// Drop empties a store that is about to take a full copy.
func TestDrop(t *testing.T) {
	s := open(t, nil)
	set(t, s, "k", "v")
	kept, err := s.Get("k")
	must(t, err)
	before := s.Position()
	r, err := s.Log().NewReader(0)
	must(t, err)
	must(t, s.Drop(rdb.Header{}))
	if now := s.Position(); now.Offset != 0 || now.History == before.History || s.Len() != 0 {
		t.Errorf("%d keys at %v, was at %v", s.Len(), now, before)
	}
	if _, err := r.Next(1); err != backlog.ErrReset {
		t.Errorf("reader of the log: %v", err)
	}
	if string(kept) != "v" {
		t.Errorf("value has become %q", kept)
	}
	set(t, s, "k", "w")
	wantValue(t, s, "k", "w")
}

func TestIterators(t *testing.T) {
	s := open(t, nil)
	for i := range 3000 {
		set(t, s, key(i), key(i))
	}
	n := 0
	for k, v := range s.Prefix("key:00000000001") {
		if !strings.HasPrefix(k, "key:00000000001") || k != string(v) {
			t.Fatalf("%q: %q", k, v)
		}
		n++
	}
	if n != 10 {
		t.Errorf("%d keys have the prefix, want 10", n)
	}
	// The body may change the store, and may stop.
	n = 0
	for k := range s.All() {
		if n++; n > 1000 {
			break
		}
		if _, err := s.Delete(k); err != nil {
			t.Fatal(err)
		}
	}
	if s.Len() != 2000 {
		t.Errorf("%d keys, want 2000", s.Len())
	}
	func() {
		defer func() { _ = recover() }()
		for range s.All() {
			panic("in the body")
		}
	}()
	if v := kv.Views(s); v != 0 {
		t.Errorf("%d views are still in use", v)
	}
}

func TestClosed(t *testing.T) {
	s := kv.New(nil)
	set(t, s, "k", "v", kv.TTL(time.Hour))
	other := open(t, nil)
	n, err := s.Snapshot()
	must(t, err)
	l, err := other.Load(header(t, other, 1))
	must(t, err)
	defer l.Abort()
	late, err := s.Load(header(t, other, 1))
	must(t, err)
	must(t, s.Close())
	must(t, s.Close())
	errs := map[string]error{}
	_, errs["Get"] = s.Get("k")
	_, errs["Append"] = s.Append(nil, "k")
	_, errs["GetMulti"] = s.GetMulti(nil, "k")
	_, errs["Has"] = s.Has("k")
	_, errs["TTL"] = s.TTL("k")
	errs["Set"] = s.Set("k", nil)
	_, errs["Delete"] = s.Delete("k")
	_, errs["Add"] = s.Add("k", 1)
	_, errs["CompareAndSwap"] = s.CompareAndSwap("k", nil, nil)
	_, errs["Expire"] = s.Expire("k", 1)
	_, errs["Persist"] = s.Persist("k")
	errs["Clear"] = s.Clear()
	errs["Pipeline"] = execAll(s, "k")
	errs["Wait"] = s.Wait(t.Context(), s.Position())
	_, errs["Snapshot"] = s.Snapshot()
	_, errs["Digest"] = s.Digest()
	errs["Apply"] = s.Apply(s.Position(), nil)
	errs["Dump"] = s.Dump(t.Context(), nil)
	_, errs["Load"] = s.Load(header(t, other, 1))
	must(t, late.Block(&rdb.Block{First: true, Last: true}))
	errs["Commit"] = late.Commit(rdb.Footer{Position: other.Position()})
	for name, err := range errs {
		if !errors.Is(err, kv.ErrClosed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if s.Len() != 0 || len(contents(s)) != 0 {
		t.Error("a closed store shows keys")
	}
	if n.Len() != 1 || recount(t, n).Keys != 1 {
		t.Error("a snapshot has not outlived its store")
	}
	must(t, n.Close())
	must(t, n.Close())
	if _, err := n.WriteTo(nil); err != kv.ErrClosed {
		t.Errorf("WriteTo of a closed snapshot: %v", err)
	}
	for range n.All() {
		t.Error("a closed snapshot shows keys")
	}
}
