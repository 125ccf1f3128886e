package kv_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/kv"
)

type city struct {
	Name   string
	People int
}

// Keys are numbers and come in their order; values are JSON.
func ExampleMap() {
	s := kv.New(nil)
	defer s.Close()
	cities, err := kv.NewMap[int, city](s, "city:", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	cities.Set(10, city{"Oslo", 700_000})
	cities.Set(9, city{"Bern", 134_000})
	cities.Set(-1, city{"Atlantis", 0}, kv.TTL(time.Hour))
	bern, err := cities.Get(9)
	fmt.Println(bern.Name, err)
	for e, err := range cities.From(0) {
		fmt.Println(e.Key, e.Value, err)
	}
	// Output:
	// Bern <nil>
	// 9 {Bern 134000} <nil>
	// 10 {Oslo 700000} <nil>
}

func ExampleMap_Update() {
	s := kv.New(nil)
	defer s.Close()
	cities, _ := kv.NewMap[string, city](s, "city:", nil)
	for range 2 {
		oslo, err := cities.Update("oslo", func(c city, exists bool) (city, error) {
			c.People++ // c is the zero value when there is none
			return c, nil
		})
		fmt.Println(oslo.People, err)
	}
	// Output:
	// 1 <nil>
	// 2 <nil>
}

// Two maps that change together: one has what the other's values name.
func ExampleMapTx() {
	s := kv.New(nil)
	defer s.Close()
	cities, _ := kv.NewMap[int, city](s, "city:", nil)
	byName, _ := kv.NewMap[string, int](s, "city-by-name:", nil)
	rename := func(id int, name string) error {
		return s.Update(func(tx *kv.Tx) error {
			cities, byName := cities.In(tx), byName.In(tx)
			c, err := cities.Get(id)
			if err != nil {
				return err
			}
			if _, err := byName.Delete(c.Name); err != nil {
				return err
			}
			if err := byName.Set(name, id, kv.IfAbsent()); err != nil {
				return err
			}
			c.Name = name
			return cities.Set(id, c)
		})
	}
	cities.Set(1, city{"Kristiania", 250_000})
	cities.Set(2, city{"Bern", 134_000})
	byName.Set("Kristiania", 1)
	byName.Set("Bern", 2)
	fmt.Println(rename(1, "Bern"))
	fmt.Println(rename(1, "Oslo"))
	id, err := byName.Get("Oslo")
	fmt.Println(id, err)
	_, err = byName.Get("Kristiania")
	fmt.Println(err)
	// Output:
	// kv: key exists
	// <nil>
	// 1 <nil>
	// kv: key not found
}

// A cache in front of something slow: it is asked once.
func ExampleMap_Load() {
	s := kv.New(nil)
	defer s.Close()
	cities, _ := kv.NewMap(s, "city:", &kv.MapOptions[string, city]{
		TTL:          time.Hour,
		RefreshAfter: 50 * time.Minute,
		NegativeTTL:  time.Minute,
		Load: func(ctx context.Context, key string) (city, time.Duration, error) {
			fmt.Println("the database is asked for", key)
			if key != "oslo" {
				return city{}, 0, kv.ErrNotFound
			}
			return city{"Oslo", 700_000}, 0, nil
		},
	})
	defer cities.Close()
	for _, key := range []string{"oslo", "oslo", "atlantis", "atlantis"} {
		c, err := cities.Load(context.Background(), key)
		fmt.Println(c.Name, err)
	}
	// Output:
	// the database is asked for oslo
	// Oslo <nil>
	// Oslo <nil>
	// the database is asked for atlantis
	//  kv: key not found
	//  kv: key not found
}

// A replica has the master's node load, so that all replicas have the value. Here both are
// in one program; otherwise Forward is a request to a service on the master's node.
func ExampleMapOptions() {
	type options = kv.MapOptions[string, string]
	load := func(_ context.Context, key string) (string, time.Duration, error) {
		return strings.ToUpper(key), time.Hour, nil
	}
	s := kv.New(nil)
	defer s.Close()
	master, _ := kv.NewMap(s, "upper:", &options{Load: load})
	defer master.Close()
	_, err := kv.NewMap(s, "upper:", &options{
		Load: load, // when the master's node does not answer
		Forward: func(ctx context.Context, key string) (backlog.Position, error) {
			_, err := master.Load(ctx, key)
			return s.Position(), err
		},
		RefreshAfter: time.Minute,
		TTL:          time.Second,
	})
	fmt.Println(err)
	// Output: kv: invalid argument: MapOptions.RefreshAfter is 1m0s, want less than the TTL of 1s
}

// An entry that cannot be read says so, and those behind it come all the same.
func ExampleMapEntry() {
	s := kv.New(nil)
	defer s.Close()
	s.Set("n:a", []byte("1"))
	s.Set("n:b", []byte("two"))
	s.Set("n:c", []byte("3"))
	numbers, _ := kv.NewMap[string, int](s, "n:", nil)
	for e, err := range numbers.All() {
		if err != nil {
			fmt.Println(e.Key, "is no number")
			continue
		}
		fmt.Println(e.Key, e.Value)
	}
	// Output:
	// a 1
	// b is no number
	// c 3
}

func ExampleMapEvent() {
	s := kv.New(nil)
	defer s.Close()
	cities, _ := kv.NewMap[string, city](s, "city:", nil)
	cities.Set("oslo", city{"Oslo", 700_000})
	for e, err := range cities.Watch(context.Background(), backlog.Position{}) {
		if err != nil {
			fmt.Println(err)
			break
		}
		switch e.Kind {
		case kv.EventSynced: // all that there was has come: now something changes
			cities.Delete("oslo")
		case kv.EventPut:
			fmt.Println(e.Key, "has", e.Value.People)
		case kv.EventDelete:
			fmt.Println(e.Key, "has gone")
			return
		}
	}
	// Output:
	// oslo has 700000
	// oslo has gone
}

func ExampleMapStats() {
	s := kv.New(nil)
	defer s.Close()
	m, _ := kv.NewMap(s, "", &kv.MapOptions[string, string]{
		Load: func(context.Context, string) (string, time.Duration, error) { return "v", 0, nil },
	})
	defer m.Close()
	for range 3 {
		m.Load(context.Background(), "k")
	}
	fmt.Println(m.Stats().Loads)
	// Output: 1
}

// A point is encoded in 8 bytes.
type point struct{ X, Y int32 }

type points struct{}

func (points) Append(dst []byte, p point) ([]byte, error) {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(dst, uint32(p.X)), uint32(p.Y)), nil
}

func (points) Decode(src []byte) (p point, err error) {
	if len(src) != 8 {
		return p, errors.New("a point is 8 bytes")
	}
	p.X, p.Y = int32(binary.BigEndian.Uint32(src)), int32(binary.BigEndian.Uint32(src[4:]))
	return p, nil
}

// A codec of one's own is two methods.
func ExampleCodec() {
	s := kv.New(nil)
	defer s.Close()
	places, _ := kv.NewMap(s, "place:", &kv.MapOptions[string, point]{Values: points{}})
	places.Set("home", point{59, 10})
	home, err := places.Get("home")
	fmt.Println(home, err)
	// Output: {59 10} <nil>
}

// A key that is two fields: it sorts by the first, then by the second.
type visitKey struct {
	User uint32
	At   int64
}

type visitKeys struct{}

func (visitKeys) Append(dst []byte, k visitKey) ([]byte, error) {
	dst = binary.BigEndian.AppendUint32(dst, k.User)
	return kv.Integers[int64]{}.Append(dst, k.At)
}

func (visitKeys) Decode(src []byte) (k visitKey, err error) {
	if len(src) != 12 {
		return k, errors.New("a visit's key is 12 bytes")
	}
	k.User = binary.BigEndian.Uint32(src)
	k.At, err = kv.Integers[int64]{}.Decode(src[4:])
	return k, err
}

func ExampleKeyCodec() {
	s := kv.New(&kv.Options{Ordered: true})
	defer s.Close()
	visits, _ := kv.NewMap(s, "visit:", &kv.MapOptions[visitKey, string]{Keys: visitKeys{}})
	visits.Set(visitKey{2, 5}, "/")
	visits.Set(visitKey{1, 9}, "/about")
	visits.Set(visitKey{1, -9}, "/")
	for e := range visits.Range(visitKey{1, -100}, visitKey{2, -100}) {
		fmt.Println(e.Key.User, e.Key.At, e.Value)
	}
	// Output:
	// 1 -9 /
	// 1 9 /about
}

func ExampleIntegers() {
	s := kv.New(nil)
	defer s.Close()
	m, _ := kv.NewMap(s, "", &kv.MapOptions[int, time.Duration]{Values: kv.Integers[time.Duration]{}})
	for _, n := range []int{1, -1, -100, 100} {
		m.Set(n, time.Duration(n)*time.Second)
	}
	for e := range m.All() {
		fmt.Println(e.Key, e.Value)
	}
	// Output:
	// -100 -1m40s
	// -1 -1s
	// 1 1s
	// 100 1m40s
}

func ExampleInteger() {
	type userID uint32 // has the underlying type, so there is a codec
	b, err := kv.Integers[userID]{}.Append(nil, 7)
	fmt.Println(b, err)
	// Output: [0 0 0 0 0 0 0 7] <nil>
}

func ExampleStrings() {
	type name string
	s := kv.New(nil)
	defer s.Close()
	m, _ := kv.NewMap(s, "born:", &kv.MapOptions[name, int]{Keys: kv.Strings[name]{}})
	m.Set("Ada", 1815)
	raw, err := s.Get("born:Ada")
	fmt.Printf("%s %v\n", raw, err)
	// Output: 1815 <nil>
}

func ExampleBytes() {
	s := kv.New(nil)
	defer s.Close()
	blobs, _ := kv.NewMap[string, []byte](s, "blob:", nil) // Bytes is the default
	blobs.Set("a", []byte("raw"))
	raw, err := blobs.Get("a")
	fmt.Printf("%s %v\n", raw, err)
	// Output: raw <nil>
}

func ExampleJSON() {
	s := kv.New(nil)
	defer s.Close()
	m, _ := kv.NewMap[string, map[string]int](s, "", nil) // JSON is the default
	m.Set("k", map[string]int{"a": 1})
	raw, err := s.Get("k")
	fmt.Printf("%s %v\n", raw, err)
	// Output: {"a":1} <nil>
}

func ExampleCodecError() {
	s := kv.New(nil)
	defer s.Close()
	m, _ := kv.NewMap[string, func()](s, "", nil) // which JSON does not take
	var failed *kv.CodecError
	if err := m.Set("k", func() {}); errors.As(err, &failed) {
		fmt.Println(failed.Op, failed.Key)
	}
	// Output: encode value k
}

func ExampleLoadError() {
	s := kv.New(nil)
	defer s.Close()
	m, _ := kv.NewMap(s, "user:", &kv.MapOptions[string, string]{
		ErrorTTL: time.Minute, // so as not to ask again at once
		Load: func(context.Context, string) (string, time.Duration, error) {
			return "", 0, errors.New("database is down")
		},
	})
	defer m.Close()
	for range 2 {
		_, err := m.Load(context.Background(), "1")
		var failed *kv.LoadError
		if errors.As(err, &failed) {
			fmt.Println(failed.Key, failed.Err, failed.Cached)
		}
	}
	// Output:
	// user:1 database is down false
	// user:1 database is down true
}

func ExamplePanicError() {
	s := kv.New(nil)
	defer s.Close()
	m, _ := kv.NewMap(s, "", &kv.MapOptions[string, string]{
		Load: func(context.Context, string) (string, time.Duration, error) { panic("oh") },
	})
	defer m.Close()
	_, err := m.Load(context.Background(), "k")
	var p *kv.PanicError
	fmt.Println(errors.As(err, &p), err)
	// Output: true kv: load of "k": panic: oh
}
