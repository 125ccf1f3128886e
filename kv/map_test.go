package kv_test

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/kv"
	"github.com/emberkv/ember/rdb"
)

type user struct {
	Name string
	Born int
}

// newMap returns a map that is closed when the test ends.
func newMap[K, V any](tb testing.TB, s *kv.Store, prefix string, opts *kv.MapOptions[K, V]) *kv.Map[K, V] {
	tb.Helper()
	m, err := kv.NewMap(s, prefix, opts)
	must(tb, err)
	tb.Cleanup(func() { must(tb, m.Close()) })
	return m
}

// wantMap fails unless a map's Get says so; nil stands for ErrNotFound.
func wantMap[K any, V comparable](tb testing.TB, m *kv.Map[K, V], key K, want *V) {
	tb.Helper()
	got, err := m.Get(key)
	has, hasErr := m.Has(key)
	must(tb, hasErr)
	if want == nil && err != kv.ErrNotFound || want != nil && (err != nil || got != *want) || has != (want != nil) {
		tb.Fatalf("Get(%v) = %v, %v, Has = %v", key, got, err, has)
	}
}

// entries returns what an iterator yields, as "key=value", or an error's text.
func entries[K, V any](seq func(func(kv.MapEntry[K, V], error) bool)) (all []string) {
	for e, err := range seq {
		if err != nil {
			all = append(all, err.Error())
			continue
		}
		all = append(all, fmt.Sprintf("%v=%v", e.Key, e.Value))
	}
	return all
}

func wantEntries(tb testing.TB, got []string, want ...string) {
	tb.Helper()
	if !slices.Equal(got, want) {
		tb.Fatalf("%q, want %q", got, want)
	}
}

func TestMapGetSetDelete(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, nil)
		m := newMap[string, user](t, s, "user:", nil)
		ada := user{"Ada", 1815}
		wantMap(t, m, "1", nil)
		must(t, m.Set("1", ada))
		wantMap(t, m, "1", &ada)
		wantValue(t, s, "user:1", `{"Name":"Ada","Born":1815}`)
		if err := m.Set("1", user{}, kv.IfAbsent()); err != kv.ErrExists {
			t.Fatal(err)
		}
		if err := m.Set("2", user{}, kv.IfPresent()); err != kv.ErrNotFound {
			t.Fatal(err)
		}
		must(t, m.Set("2", user{"Grace", 1906}, kv.TTL(time.Second)))
		time.Sleep(time.Second)
		wantMap(t, m, "2", nil)
		for _, want := range []bool{true, false} {
			if existed, err := m.Delete("1"); existed != want || err != nil {
				t.Fatal(existed, err)
			}
		}
		wantMap(t, m, "1", nil)
		// Without a loader Load is Get.
		if _, err := m.Load(t.Context(), "1"); err != kv.ErrNotFound {
			t.Fatal(err)
		}
		must(t, s.Close())
		_, getErr := m.Get("1")
		_, deleteErr := m.Delete("1")
		for _, err := range []error{getErr, deleteErr, m.Set("1", ada)} {
			if err != kv.ErrClosed {
				t.Errorf("%v after Close", err)
			}
		}
		wantEntries(t, entries(m.All()), kv.ErrClosed.Error())
	})
}

// Updates of one key by many are all there.
func TestMapUpdate(t *testing.T) {
	s := open(t, &kv.Options{MaxRetries: 1 << 20})
	m := newMap[string, int](t, s, "n:", nil)
	must(t, m.Set("k", 0, kv.TTL(time.Hour)))
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 250 {
				if _, err := m.Update("k", func(n int, exists bool) (int, error) { return n + 1, nil }); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	want := 1000
	wantMap(t, m, "k", &want)
	if ttl, err := s.TTL("n:k"); err != nil || ttl <= 0 {
		t.Errorf("the deadline has gone: %v, %v", ttl, err)
	}

	mine := errors.New("mine")
	before := digest(t, s)
	if _, err := m.Update("new", func(n int, exists bool) (int, error) {
		if n != 0 || exists {
			t.Error(n, exists)
		}
		return 1, mine
	}); err != mine {
		t.Error(err)
	}
	func() {
		defer func() {
			if r := recover(); r != mine {
				t.Errorf("panic %v", r)
			}
		}()
		m.Update("new", func(int, bool) (int, error) { panic(mine) })
	}()
	var invalid *kv.InvalidError
	if _, err := m.Update("new", nil); !errors.As(err, &invalid) {
		t.Error(err)
	}
	if digest(t, s) != before {
		t.Error("something has changed")
	}
	if n, err := m.Update("new", func(n int, exists bool) (int, error) { return 7, nil }); n != 7 || err != nil {
		t.Error(n, err)
	}
}

func TestMapOrder(t *testing.T) {
	for _, ordered := range []bool{false, true} {
		s := open(t, &kv.Options{Ordered: ordered})
		m := newMap[int, string](t, s, "n:", nil)
		other := newMap[int, string](t, s, "o:", nil)
		for _, n := range []int{3, -1, 0, math.MaxInt, math.MinInt, -300} {
			must(t, m.Set(n, "v"))
			must(t, other.Set(n, "not mine"))
		}
		first, last := fmt.Sprint(math.MinInt, "=v"), fmt.Sprint(math.MaxInt, "=v")
		wantEntries(t, entries(m.All()), first, "-300=v", "-1=v", "0=v", "3=v", last)
		wantEntries(t, entries(m.AllBackward()), last, "3=v", "0=v", "-1=v", "-300=v", first)
		wantEntries(t, entries(m.Range(-300, 3)), "-300=v", "-1=v", "0=v")
		wantEntries(t, entries(m.Backward(-300, 3)), "0=v", "-1=v", "-300=v")
		wantEntries(t, entries(m.From(3)), "3=v", last)
		wantEntries(t, entries(m.Range(3, 3)))
		wantEntries(t, entries(m.Range(3, -3)))

		// An empty string leaves an end open, but that of the map.
		text := newMap[string, string](t, s, "m:", nil)
		must(t, text.Set("a", "1"))
		must(t, text.Set("", "0"))
		wantEntries(t, entries(text.Range("", "")), "=0", "a=1")
		wantEntries(t, entries(text.Backward("a", "")), "a=1")

		for range m.All() {
			break
		}
		snapshot, err := s.Snapshot()
		must(t, err)
		must(t, text.Set("a", "2"))
		wantEntries(t, entries(text.Decode(snapshot.Range("", ""))), "=0", "a=1")
		must(t, snapshot.Close())
		must(t, s.View(func(tx *kv.Tx) error {
			wantEntries(t, entries(text.Decode(tx.Prefix(text.Prefix()))), "=0", "a=2")
			return nil
		}))
	}
}

// Clear takes the map's keys and no others, however many they are.
func TestMapClear(t *testing.T) {
	for _, n := range []int{0, 9, 10, 11, 95} {
		s := open(t, &kv.Options{MaxTxKeys: 10})
		m := newMap[int, int](t, s, "n:", nil)
		for i := range n {
			must(t, m.Set(i, i))
		}
		set(t, s, "m", "before")
		set(t, s, "o", "behind")
		if got, err := m.Clear(); got != n || err != nil {
			t.Fatalf("Clear() = %d, %v, want %d", got, err, n)
		}
		if s.Len() != 2 {
			t.Errorf("%d keys are left, want 2", s.Len())
		}
	}
}

// One failing codec fails all that needs it, with a typed error, and changes nothing.
type failing struct{ encode, decode error }

func (f *failing) Append(dst []byte, v string) ([]byte, error) { return append(dst, v...), f.encode }
func (f *failing) Decode(src []byte) (string, error)           { return string(src), f.decode }

func TestMapCodecFails(t *testing.T) {
	s := open(t, nil)
	keys, values := new(failing), new(failing)
	m := newMap(t, s, "p:", &kv.MapOptions[string, string]{Keys: keys, Values: values})
	must(t, m.Set("k", "v"))
	before := digest(t, s)
	mine := errors.New("mine")
	want := func(op, key string, err error) {
		t.Helper()
		var c *kv.CodecError
		if !errors.As(err, &c) || c.Op != op || c.Key != key || !errors.Is(err, mine) {
			t.Errorf("%v, want a CodecError of %s, key %q", err, op, key)
		}
		if after := digest(t, s); after != before {
			t.Error("something has changed")
		}
	}
	update := func() error {
		_, err := m.Update("k", func(string, bool) (string, error) { return "new", nil })
		return err
	}
	last := func(seq func(func(kv.MapEntry[string, string], error) bool)) (err error) {
		n := 0
		for e, got := range seq {
			if n++; e.Value != "" {
				t.Error("a value with an error")
			}
			err = got
		}
		if n != 1 {
			t.Errorf("%d entries", n)
		}
		return err
	}

	keys.encode = mine
	_, getErr := m.Get("k")
	_, hasErr := m.Has("k")
	_, deleteErr := m.Delete("k")
	for _, err := range []error{getErr, hasErr, deleteErr, m.Set("k", "new"), update(), last(m.Range("a", "b")), last(m.From("a")), last(m.Backward("a", "b"))} {
		want("encode key", "", err)
	}
	*keys, *values = failing{decode: mine}, failing{}
	want("decode key", "p:k", last(m.All()))
	*keys, *values = failing{}, failing{encode: mine}
	for _, err := range []error{m.Set("k", "new"), m.Set("k", "new", kv.TTL(time.Second)), update()} {
		want("encode value", "p:k", err)
	}
	*values = failing{decode: mine}
	_, getErr = m.Get("k")
	for _, err := range []error{getErr, update(), last(m.All())} {
		want("decode value", "p:k", err)
	}
	if got := (&kv.CodecError{Op: "encode key", Err: mine}).Error(); got != "kv: encode key: mine" {
		t.Error(got)
	}
}

// A codec that does not append cannot reach keys that are not the map's.
type notAppending struct{ kv.Strings[string] }

func (notAppending) Append(dst []byte, v string) ([]byte, error) { return append(dst[:0], v...), nil }

func TestMapCodecMustAppend(t *testing.T) {
	s := open(t, nil)
	set(t, s, "theirs", "v")
	m := newMap(t, s, "mine:", &kv.MapOptions[string, string]{Keys: notAppending{}})
	var c *kv.CodecError
	if _, err := m.Delete("theirs"); !errors.As(err, &c) {
		t.Errorf("%v, want a CodecError", err)
	}
	if err := m.Set("theirs", "w"); !errors.As(err, &c) {
		t.Errorf("%v, want a CodecError", err)
	}
	wantValue(t, s, "theirs", "v")
}

// An entry that cannot be decoded does not hide those behind it.
func TestMapGoesOnBehindWhatItCannotDecode(t *testing.T) {
	s := open(t, nil)
	m := newMap[uint32, user](t, s, "u", nil)
	must(t, m.Set(1, user{Name: "a"}))
	must(t, m.Set(3, user{Name: "c"}))
	set(t, s, "u\x00\x00\x00\x00\x00\x00\x00\x02", "{")
	set(t, s, "u?", "{}")
	set(t, s, "u\x00\x00\x00\x01\x00\x00\x00\x00", "{}")
	got := entries(m.All())
	if len(got) != 5 || got[0] != "1={a 0}" || !strings.Contains(got[1], "decode value") || got[2] != "3={c 0}" ||
		!strings.Contains(got[3], "does not fit") || !strings.Contains(got[4], "8 bytes") {
		t.Errorf("%q", got)
	}
}

func TestMapBadOptions(t *testing.T) {
	s := open(t, nil)
	type named string
	load := func(o kv.MapOptions[string, int]) error { _, err := kv.NewMap(s, "", &o); return err }
	_, noCodec := kv.NewMap[named, int](s, "", nil)
	_, noCodecEither := kv.NewMap[any, int](s, "", nil)
	for field, err := range map[string]error{
		"MapOptions.Keys":         noCodec,
		"MapOptions.Keys ":        noCodecEither,
		"MapOptions.TTL":          load(kv.MapOptions[string, int]{TTL: -1}),
		"MapOptions.NegativeTTL":  load(kv.MapOptions[string, int]{NegativeTTL: -1}),
		"MapOptions.ErrorTTL":     load(kv.MapOptions[string, int]{ErrorTTL: -1}),
		"MapOptions.RefreshAfter": load(kv.MapOptions[string, int]{RefreshAfter: 2, TTL: 2}),
	} {
		var invalid *kv.InvalidError
		if !errors.As(err, &invalid) || invalid.Field != strings.TrimSpace(field) {
			t.Errorf("%v, want an InvalidError for %s", err, field)
		}
	}
	if _, err := kv.NewMap(s, "", &kv.MapOptions[named, int]{Keys: kv.Strings[named]{}}); err != nil {
		t.Error(err)
	}
}

// Keys and values that no store takes get its errors.
func TestMapBounds(t *testing.T) {
	s := open(t, nil)
	m := newMap[string, []byte](t, s, "", nil)
	if err := m.Set("", nil); err != kv.ErrEmptyKey {
		t.Error(err)
	}
	if err := m.Set(strings.Repeat("k", rdb.MaxKeyBytes+1), nil); !errors.Is(err, kv.ErrTooLarge) {
		t.Error(err)
	}
	if _, err := m.Get(strings.Repeat("k", rdb.MaxKeyBytes+1)); err != kv.ErrNotFound {
		t.Error(err)
	}
}

func testIntegers[T kv.Integer](t *testing.T, values ...T) {
	t.Helper()
	var codec kv.Integers[T]
	r := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		values = append(values, T(r.Uint64()))
	}
	slices.Sort(values)
	var last []byte
	for i, v := range values {
		b, err := codec.Append([]byte("x"), v)
		must(t, err)
		if got, err := codec.Decode(b[1:]); got != v || err != nil {
			t.Fatalf("%T: %v became %v, %v", v, v, got, err)
		}
		if i > 0 && bytes.Compare(last, b) != cmp.Compare(values[i-1], v) {
			t.Fatalf("%T: %v does not come before %v", v, values[i-1], v)
		}
		last = b
	}
}

func TestIntegersKeepTheirOrder(t *testing.T) {
	testIntegers[int8](t, math.MinInt8, -1, 0, 1, math.MaxInt8)
	testIntegers[int16](t, math.MinInt16, -1, 0, 1, math.MaxInt16)
	testIntegers[int32](t, math.MinInt32, -1, 0, 1, math.MaxInt32)
	testIntegers[int64](t, math.MinInt64, -1, 0, 1, math.MaxInt64)
	testIntegers[int](t, math.MinInt, -1, 0, 1, math.MaxInt)
	testIntegers[uint8](t, 0, math.MaxUint8)
	testIntegers[uint16](t, 0, math.MaxUint16)
	testIntegers[uint32](t, 0, math.MaxUint32)
	testIntegers[uint64](t, 0, math.MaxUint64)
	testIntegers[uint](t, 0, math.MaxUint)
	testIntegers[time.Duration](t, -1, 0)

	// Each type of key has its codec.
	s := open(t, nil)
	one[int](t, s)
	one[int8](t, s)
	one[int16](t, s)
	one[int32](t, s)
	one[int64](t, s)
	one[uint](t, s)
	one[uint8](t, s)
	one[uint16](t, s)
	one[uint32](t, s)
	one[uint64](t, s)
}

func one[K kv.Integer](t *testing.T, s *kv.Store) {
	m := newMap[K, string](t, s, fmt.Sprintf("%T", K(0)), nil)
	must(t, m.Set(100, "v"))
	wantEntries(t, entries(m.All()), "100=v")
}

// Whatever is in the store, a map says what it is or a typed error.
func FuzzMapDecode(f *testing.F) {
	for _, b := range []string{"", "\x01", "\x01{}", "\x02\x00\x00\x00\x00\x00\x00\x00\x01[]", "\x02short", "\x03", "\x03!", "\x04text", "\x09", "\x80\x00\x00\x00\x00\x00\x00\x07"} {
		f.Add([]byte(b))
	}
	s := kv.New(nil)
	plain, err := kv.NewMap[string, any](s, "", nil)
	must(f, err)
	numbers, err := kv.NewMap(s, "", &kv.MapOptions[string, int16]{Values: kv.Integers[int16]{}})
	must(f, err)
	loading, err := kv.NewMap(s, "", &kv.MapOptions[string, any]{Load: notFound[any], RefreshAfter: time.Hour})
	must(f, err)
	f.Fuzz(func(t *testing.T, b []byte) {
		must(t, s.Set("k", b))
		_, err1 := plain.Get("k")
		_, err2 := numbers.Get("k")
		_, err3 := loading.Load(t.Context(), "k")
		for _, err := range []error{err1, err2, err3} {
			var c *kv.CodecError
			var l *kv.LoadError
			if err != nil && !errors.As(err, &c) && !errors.As(err, &l) && err != kv.ErrNotFound {
				t.Errorf("%q: %v", b, err)
			}
		}
		if err2 == nil && len(b) != 8 {
			t.Errorf("%q was taken for an integer", b)
		}
	})
	s.Close()
}

// What is read and written by the codecs of memory allocates nothing.
func TestMapDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates, and lets pools lose what they have")
	}
	s := open(t, nil)
	value := []byte("value")
	texts := newMap[string, string](t, s, "t:", nil)
	raw := newMap[string, []byte](t, s, "b:", nil)
	numbers := newMap(t, s, "n:", &kv.MapOptions[int, int64]{Values: kv.Integers[int64]{}})
	loading := newMap(t, s, "l:", &kv.MapOptions[string, []byte]{Load: notFound[[]byte], RefreshAfter: time.Hour})
	ctx := t.Context()
	for name, op := range map[string]func() error{
		"Strings Set":  func() error { return texts.Set("k", "v") },
		"Strings Get":  func() error { _, err := texts.Get("k"); return err },
		"Strings Has":  func() error { _, err := texts.Has("k"); return err },
		"Bytes Set":    func() error { return raw.Set("k", value) },
		"Bytes Get":    func() error { _, err := raw.Get("k"); return err },
		"Integers Set": func() error { return numbers.Set(-7, 7) },
		"Integers Get": func() error { _, err := numbers.Get(-7); return err },
		"Load, Set":    func() error { return loading.Set("k", value) },
		"Load, Get":    func() error { _, err := loading.Get("k"); return err },
		"Load":         func() error { _, err := loading.Load(ctx, "k"); return err },
	} {
		for _, m := range []error{texts.Set("k", "v"), raw.Set("k", value), numbers.Set(-7, 7), loading.Set("k", value)} {
			must(t, m)
		}
		// Now and then a write makes a slab, which the average of so many does not show.
		if allocs := testing.AllocsPerRun(1000, func() { must(t, op()) }); allocs != 0 {
			t.Errorf("%s allocates %v times", name, allocs)
		}
	}
}
