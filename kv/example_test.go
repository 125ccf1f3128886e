package kv_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/kv"
	"github.com/emberkv/ember/rdb"
)

// A store by itself: write, read, list, and take all of it elsewhere.
func Example() {
	s := kv.New(nil)
	defer s.Close()
	if err := s.Set("user:1", []byte("Ada"), kv.TTL(time.Hour)); err != nil {
		fmt.Println(err)
	}
	s.Set("user:2", []byte("Grace"))
	s.Add("visits", 3)
	for key, value := range s.Prefix("user:") {
		fmt.Printf("%s = %s\n", key, value)
	}

	snapshot, err := s.Snapshot()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer snapshot.Close()
	var file bytes.Buffer
	snapshot.WriteTo(&file)
	other := kv.New(nil)
	defer other.Close()
	fmt.Println(other.Restore(&file))
	name, err := other.Get("user:1")
	fmt.Printf("%s %v\n", name, err)
	// Output:
	// user:1 = Ada
	// user:2 = Grace
	// <nil>
	// Ada <nil>
}

func ExampleStore() {
	s := kv.New(nil)
	defer s.Close()
	if err := s.Set("user:1", []byte("Ada")); err != nil {
		fmt.Println(err)
	}
	name, err := s.Get("user:1")
	fmt.Printf("%s %v\n", name, err)
	_, err = s.Get("user:2")
	fmt.Println(err)
	n, _ := s.Add("visits", 3)
	fmt.Println(n)
	// Output:
	// Ada <nil>
	// kv: key not found
	// 3
}

func ExampleOptions() {
	// A store that nobody follows needs no log.
	s := kv.New(&kv.Options{LogBytes: -1})
	defer s.Close()
	s.Set("k", []byte("v"))
	w := s.Log().Window()
	fmt.Println(w.End - w.First)
	// Output: 0
}

func ExampleSetOption() {
	s := kv.New(nil)
	defer s.Close()
	// A lock that ends by itself.
	fmt.Println(s.Set("lock", []byte("me"), kv.IfAbsent(), kv.TTL(time.Minute)))
	fmt.Println(s.Set("lock", []byte("you"), kv.IfAbsent(), kv.TTL(time.Minute)))
	// Output:
	// <nil>
	// kv: key exists
}

func ExamplePipeline() {
	s := kv.New(nil)
	defer s.Close()

	p := s.Pipeline()
	for i := range 1000 {
		if err := p.Set(fmt.Sprint("user:", i), []byte("Ada"), kv.TTL(time.Hour)); err != nil {
			fmt.Println(err)
		}
	}
	p.Delete("user:7")
	fmt.Println(p.Len(), "writes,", s.Len(), "keys")
	n, err := p.Exec()
	fmt.Println(n, err, s.Len(), "keys")

	// Output:
	// 1001 writes, 0 keys
	// 1001 <nil> 999 keys
}

func ExampleStore_CompareAndSwap() {
	s := kv.New(nil)
	defer s.Close()
	s.Set("state", []byte("open"))
	ok, _ := s.CompareAndSwap("state", []byte("open"), []byte("closed"))
	fmt.Println(ok)
	ok, _ = s.CompareAndSwap("state", []byte("open"), []byte("closed"))
	fmt.Println(ok)
	// Output:
	// true
	// false
}

func ExampleStore_Prefix() {
	s := kv.New(nil)
	defer s.Close()
	s.Set("user:1", []byte("Ada"))
	s.Set("group:1", []byte("engineers"))
	for key, value := range s.Prefix("user:") {
		fmt.Printf("%s = %s\n", key, value)
	}
	// Output: user:1 = Ada
}

func ExampleStore_Range() {
	s := kv.New(&kv.Options{Ordered: true})
	defer s.Close()
	for _, day := range []string{"2026-03-01", "2026-01-15", "2026-02-03", "2026-02-28"} {
		s.Set(day, []byte("…"))
	}
	// A page of two, and then the next one, from behind the last key on.
	from := "2026-01-01"
	for {
		n := 0
		for key := range s.Range(from, "2026-03-01") {
			fmt.Println(key)
			from = key + "\x00"
			if n++; n == 2 {
				break
			}
		}
		if n < 2 {
			return
		}
		fmt.Println("--")
	}
	// Output:
	// 2026-01-15
	// 2026-02-03
	// --
	// 2026-02-28
}

func ExampleStore_Backward() {
	s := kv.New(&kv.Options{Ordered: true})
	defer s.Close()
	for _, time := range []string{"log:0815", "log:0816", "log:0930", "user:1"} {
		s.Set(time, nil)
	}
	for key := range s.Backward("log:", "log:09") {
		fmt.Println(key)
	}
	// Output:
	// log:0816
	// log:0815
}

// A queue: the smallest key is the next one.
func ExampleStore_Min() {
	s := kv.New(&kv.Options{Ordered: true})
	defer s.Close()
	s.Set("job:2", []byte("sweep"))
	s.Set("job:1", []byte("cook"))
	for {
		key, value, err := s.Min()
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%s: %s\n", key, value)
		s.Delete(key)
	}
	// Output:
	// job:1: cook
	// job:2: sweep
	// kv: key not found
}

func ExampleStore_Max() {
	s := kv.New(&kv.Options{Ordered: true})
	defer s.Close()
	s.Set("2026-01", []byte("17"))
	s.Set("2026-02", []byte("23"))
	key, value, err := s.Max()
	fmt.Printf("%s: %s, %v\n", key, value, err)
	// Output: 2026-02: 23, <nil>
}

func ExampleSnapshot_Range() {
	s := kv.New(&kv.Options{Ordered: true})
	defer s.Close()
	s.Set("a", []byte("1"))
	s.Set("b", []byte("2"))
	snapshot, err := s.Snapshot()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer snapshot.Close()
	s.Delete("a")
	s.Set("c", []byte("3"))
	for key, value := range snapshot.Range("", "") {
		fmt.Printf("%s = %s\n", key, value)
	}
	// Output:
	// a = 1
	// b = 2
}

// A reader on another node sees what was written here before it was told so.
func ExampleStore_Wait() {
	s := kv.New(nil)
	defer s.Close()
	s.Set("k", []byte("v"))
	token := s.Position().String() // into a cookie, say

	pos, err := backlog.ParsePosition(token)
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	fmt.Println(s.Wait(ctx, pos)) // on the other node
	// Output: <nil>
}

func ExampleSnapshot() {
	s := kv.New(nil)
	defer s.Close()
	s.Set("k", []byte("before"))
	snapshot, err := s.Snapshot()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer snapshot.Close()
	s.Set("k", []byte("after"))
	for key, value := range snapshot.All() {
		fmt.Printf("%s = %s\n", key, value)
	}
	var file bytes.Buffer
	if _, err := snapshot.WriteTo(&file); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(s.Restore(&file))
	value, _ := s.Get("k")
	fmt.Printf("%s\n", value)
	// Output:
	// k = before
	// <nil>
	// before
}

// Equal digests mean equal contents, wherever they are.
func ExampleDigest() {
	a, b := kv.New(nil), kv.New(nil)
	defer a.Close()
	defer b.Close()
	a.Set("k", []byte("v"))
	b.Set("other", nil)
	b.Delete("other")
	b.Set("k", []byte("v"))
	da, _ := a.Digest()
	db, _ := b.Digest()
	fmt.Println(da.Sum == db.Sum, da.Keys == db.Keys, da.Position == db.Position)
	// Output: true true false
}

func ExampleInvalidError() {
	s := kv.New(nil)
	defer s.Close()
	err := s.Set("k", nil, kv.TTL(-time.Second))
	var invalid *kv.InvalidError
	if errors.As(err, &invalid) {
		fmt.Println(invalid.Field, invalid.Value, errors.Is(err, kv.ErrInvalid))
	}
	fmt.Println(err)
	// Output:
	// TTL -1s true
	// kv: invalid argument: TTL is -1s, want more than 0, and an end within 64 bits of milliseconds since 1970
}

func ExampleRecordError() {
	s := kv.New(nil)
	defer s.Close()
	err := s.Apply(s.Position(), []byte{1, 99})
	var bad *kv.RecordError
	if errors.As(err, &bad) {
		fmt.Println(bad.Offset, errors.Is(err, kv.ErrRecord))
	}
	// Output: 0 true
}

// A copyTo is the least that takes a dump: it hands the blocks to a loader. Nothing is
// written meanwhile, so there is no log to send along.
type copyTo struct {
	store  *kv.Store
	loader rdb.Loader
	shards chan int
	blocks chan *rdb.Block
	footer rdb.Footer
}

func (c *copyTo) Begin(h rdb.Header) (err error) {
	c.shards = make(chan int, h.Shards)
	for i := range h.Shards {
		c.shards <- i
	}
	close(c.shards)
	c.loader, err = c.store.Load(h)
	return err
}

func (c *copyTo) Next() (int, bool) { i, ok := <-c.shards; return i, ok }

func (c *copyTo) WriteBlock(b *rdb.Block) error {
	own := *b
	own.Data = bytes.Clone(b.Data)
	c.blocks <- &own // several shards are dumped at once; the loader is for one goroutine
	return nil
}

func (c *copyTo) End(f rdb.Footer) error { c.footer = f; close(c.blocks); return nil }

func ExampleStore_Dump() {
	from, to := kv.New(nil), kv.New(nil)
	defer from.Close()
	defer to.Close()
	from.Set("k", []byte("v"))

	c := &copyTo{store: to, blocks: make(chan *rdb.Block, 1024)}
	if err := from.Dump(context.Background(), c); err != nil {
		fmt.Println(err)
		return
	}
	for b := range c.blocks {
		if err := c.loader.Block(b); err != nil {
			fmt.Println(err)
		}
	}
	fmt.Println(c.loader.Commit(c.footer))
	value, _ := to.Get("k")
	fmt.Printf("%s %v\n", value, to.Position() == from.Position())
	// Output:
	// <nil>
	// v true
}

var _ io.WriterTo = (*kv.Snapshot)(nil)

// A view that is kept up to date, and goes on where it was after a restart.
func ExampleStore_Watch() {
	s := kv.New(nil)
	defer s.Close()
	s.Set("user:1", []byte("Ada"))
	s.Set("group:1", []byte("engineers"))

	names := make(map[string]string)
	var at backlog.Position // kept with the view, say in the same file
	follow := func() {
		for e, err := range s.Watch(context.Background(), "user:", at) {
			if err != nil {
				fmt.Println(err)
				return
			}
			switch e.Kind {
			case kv.EventPut:
				names[e.Key] = string(e.Value)
			case kv.EventDelete, kv.EventExpire, kv.EventEvict:
				delete(names, e.Key)
			case kv.EventDeletePrefix:
				maps.DeleteFunc(names, func(key, _ string) bool { return strings.HasPrefix(key, e.Key) })
			case kv.EventReset:
				clear(names)
			}
			if e.Last {
				at = e.Position
			}
			if e.Kind == kv.EventSynced {
				return // a service would go on
			}
		}
	}
	follow()
	fmt.Println(names)
	s.Set("user:2", []byte("Grace"))
	s.Delete("user:1")
	follow()
	fmt.Println(names)
	// Output:
	// map[user:1:Ada]
	// map[user:2:Grace]
}

func ExampleEvent() {
	s := kv.New(nil)
	defer s.Close()
	from := s.Position()
	s.Set("k", []byte("v"))
	s.Clear()
	for e, err := range s.Watch(context.Background(), "", from) {
		if err != nil || e.Kind == kv.EventSynced {
			break
		}
		fmt.Printf("%v %q=%q, behind: %d bytes, resume here: %v\n", e.Kind, e.Key, e.Value, e.Behind, e.Last)
	}
	// Output:
	// put "k"="v", behind: 2 bytes, resume here: true
	// delete prefix ""="", behind: 0 bytes, resume here: true
}
