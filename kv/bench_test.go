package kv_test

import (
	"bytes"
	"flag"
	"math/rand/v2"
	"runtime"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/emberkv/ember/kv"
	"github.com/emberkv/ember/rdb"
)

var benchKeys = flag.Int("kv.keys", 1_000_000, "keys in the store of the benchmarks")

// A keyMaker writes keys of 16 bytes, key:%012d, into the same memory again and again.
// The string is good until the next one.
type keyMaker [16]byte

func newKeyMaker() *keyMaker {
	k := new(keyMaker)
	copy(k[:], "key:000000000000")
	return k
}

func (k *keyMaker) key(n int) string {
	for i := 15; i > 3; i-- {
		k[i] = byte('0' + n%10)
		n /= 10
	}
	return unsafe.String(&k[0], len(k))
}

// benchValue is 100 bytes, as a small JSON document would be.
var benchValue = []byte(`{"id":48151623,"name":"Ada Lovelace","mail":"ada@example.org","born":1815,"tags":["math","engines"]}`)

// filled returns a store with the benchmarks' keys. It is made once: ten million keys
// take seconds.
func filled(b *testing.B) *kv.Store {
	if len(benchValue) != 100 {
		b.Fatal(len(benchValue))
	}
	if benchStore == nil {
		benchStore = kv.New(nil)
		done := make(chan bool)
		for w := range 2 {
			go func() {
				k := newKeyMaker()
				for i := w; i < *benchKeys; i += 2 {
					if err := benchStore.Set(k.key(i), benchValue); err != nil {
						b.Error(err)
					}
				}
				done <- true
			}()
		}
		<-done
		<-done
	}
	b.ReportAllocs()
	b.SetBytes(116)
	runtime.GC()
	return benchStore
}

var benchStore *kv.Store

// both runs op serially and on all processors.
func both(b *testing.B, op func(k *keyMaker, r *rand.Rand)) {
	b.Run("serial", func(b *testing.B) {
		filled(b)
		k, r := newKeyMaker(), rand.New(rand.NewPCG(1, 2))
		for b.Loop() {
			op(k, r)
		}
	})
	b.Run("parallel", func(b *testing.B) {
		filled(b)
		var seed atomic.Uint64
		b.ResetTimer()
		b.RunParallel(func(pb *testing.PB) {
			k, r := newKeyMaker(), rand.New(rand.NewPCG(1, seed.Add(1)))
			for pb.Next() {
				op(k, r)
			}
		})
	})
}

func BenchmarkGet(b *testing.B) {
	both(b, func(k *keyMaker, r *rand.Rand) {
		v, err := benchStore.Get(k.key(r.IntN(*benchKeys)))
		if err != nil || v[99] != '}' {
			b.Error(err)
		}
	})
}

// BenchmarkGetBounded is BenchmarkGet of a store that may be read until a moment, and so asks the clock.
func BenchmarkGetBounded(b *testing.B) {
	filled(b)
	benchStore.SetStaleAfter(time.Now().Add(24 * time.Hour))
	defer benchStore.SetStaleAfter(time.Time{})
	BenchmarkGet(b)
}

func BenchmarkGetMissing(b *testing.B) {
	both(b, func(k *keyMaker, r *rand.Rand) {
		if _, err := benchStore.Get(k.key(1e9 + r.IntN(*benchKeys))); err != kv.ErrNotFound {
			b.Error(err)
		}
	})
}

func BenchmarkSet(b *testing.B) {
	both(b, func(k *keyMaker, r *rand.Rand) {
		if err := benchStore.Set(k.key(r.IntN(*benchKeys)), benchValue); err != nil {
			b.Error(err)
		}
	})
}

// BenchmarkPipeline hands writes over 128 at a time.
func BenchmarkPipeline(b *testing.B) {
	run := func(r *rand.Rand, next func() bool) {
		k, p := newKeyMaker(), benchStore.Pipeline()
		for more := true; more; {
			for p.Len() < 128 {
				if more = next(); !more {
					break
				}
				if err := p.Set(k.key(r.IntN(*benchKeys)), benchValue); err != nil {
					b.Error(err)
				}
			}
			if _, err := p.Exec(); err != nil {
				b.Error(err)
			}
		}
	}
	b.Run("serial", func(b *testing.B) {
		filled(b)
		run(rand.New(rand.NewPCG(1, 2)), b.Loop)
	})
	b.Run("parallel", func(b *testing.B) {
		filled(b)
		var seed atomic.Uint64
		b.ResetTimer()
		b.RunParallel(func(pb *testing.PB) { run(rand.New(rand.NewPCG(1, seed.Add(1))), pb.Next) })
	})
}

// BenchmarkMixed reads 95 times of 100, in a zipf distribution.
func BenchmarkMixed(b *testing.B) {
	zipfs := make(map[*rand.Rand]*rand.Zipf)
	lock := make(chan bool, 1)
	zipf := func(r *rand.Rand) *rand.Zipf {
		lock <- true
		defer func() { <-lock }()
		if zipfs[r] == nil {
			zipfs[r] = rand.NewZipf(r, 1.01, 1, uint64(*benchKeys-1))
		}
		return zipfs[r]
	}
	run := func(r *rand.Rand, next func() bool) {
		k, z := newKeyMaker(), zipf(r)
		for next() {
			key := k.key(int(z.Uint64() * 2654435761 % uint64(*benchKeys)))
			if r.IntN(100) < 5 {
				if err := benchStore.Set(key, benchValue); err != nil {
					b.Error(err)
				}
			} else if _, err := benchStore.Get(key); err != nil {
				b.Error(err)
			}
		}
	}
	b.Run("serial", func(b *testing.B) {
		filled(b)
		run(rand.New(rand.NewPCG(1, 2)), b.Loop)
	})
	b.Run("parallel", func(b *testing.B) {
		filled(b)
		var seed atomic.Uint64
		b.ResetTimer()
		b.RunParallel(func(pb *testing.PB) { run(rand.New(rand.NewPCG(1, seed.Add(1))), pb.Next) })
	})
}

// BenchmarkInsert adds keys in ascending order, and BenchmarkDelete removes as many.
func BenchmarkInsert(b *testing.B) {
	benchEnds(b, func(k *keyMaker, n int) error {
		return benchStore.Set(k.key(n), benchValue)
	}, nil)
}

func BenchmarkDelete(b *testing.B) {
	benchEnds(b, func(k *keyMaker, n int) error {
		_, err := benchStore.Delete(k.key(n))
		return err
	}, func(k *keyMaker, n int) error {
		return benchStore.Set(k.key(n), benchValue)
	})
}

// benchEnds runs op on keys that are not in the filled store, after prepare, and
// removes them afterwards.
func benchEnds(b *testing.B, op, prepare func(k *keyMaker, n int) error) {
	for _, mode := range []string{"serial", "parallel"} {
		b.Run(mode, func(b *testing.B) {
			filled(b)
			const batch = 500_000
			base := 1_000_000_000
			var next atomic.Int64
			each := func(f func(k *keyMaker, n int) error) {
				k := newKeyMaker()
				for i := range batch {
					if err := f(k, base+i); err != nil {
						b.Error(err)
					}
				}
			}
			remove := func(k *keyMaker, n int) error {
				_, err := benchStore.Delete(k.key(n))
				return err
			}
			b.ResetTimer()
			for left := b.N; left > 0; left -= batch {
				n := min(left, batch)
				if prepare != nil {
					b.StopTimer()
					each(prepare)
					b.StartTimer()
				}
				next.Store(0)
				work := func(done chan<- bool) {
					k := newKeyMaker()
					for {
						// By the hundred, or the counter is what is measured.
						from := int(next.Add(100)) - 100
						if from >= n {
							break
						}
						for i := from; i < min(from+100, n); i++ {
							if err := op(k, base+i); err != nil {
								b.Error(err)
							}
						}
					}
					done <- true
				}
				workers := 1
				if mode == "parallel" {
					workers = runtime.GOMAXPROCS(0)
				}
				done := make(chan bool, workers)
				for range workers {
					go work(done)
				}
				for range workers {
					<-done
				}
				b.StopTimer()
				each(remove)
				b.StartTimer()
			}
		})
	}
}

// BenchmarkDump encodes the whole store; bytes are those of the entries.
func BenchmarkDump(b *testing.B) {
	s := filled(b)
	h := dumpHeader(b, s)
	b.SetBytes(h.Bytes)
	for b.Loop() {
		if err := s.Dump(b.Context(), &discard{shards: h.Shards}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(*benchKeys), "ns/key")
}

// A discard takes a dump and keeps nothing.
type discard struct {
	next   atomic.Int64
	shards int
}

func (d *discard) Begin(rdb.Header) error      { return nil }
func (d *discard) Next() (int, bool)           { i := int(d.next.Add(1)) - 1; return i, i < d.shards }
func (d *discard) WriteBlock(*rdb.Block) error { return nil }
func (d *discard) End(rdb.Footer) error        { return nil }

// BenchmarkCopy makes a full copy of the store.
func BenchmarkCopy(b *testing.B) {
	s := filled(b)
	b.SetBytes(dumpHeader(b, s).Bytes)
	for b.Loop() {
		to := kv.New(nil)
		fullCopy(b, s, to)
		if err := to.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(*benchKeys), "ns/key")
}

// BenchmarkRestore restores a store from memory.
func BenchmarkRestore(b *testing.B) {
	s := filled(b)
	n, err := s.Snapshot()
	if err != nil {
		b.Fatal(err)
	}
	defer n.Close()
	var saved bytes.Buffer
	if _, err := n.WriteTo(&saved); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(saved.Len()))
	to := kv.New(nil)
	defer to.Close()
	for b.Loop() {
		if err := to.Restore(bytes.NewReader(saved.Bytes())); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(*benchKeys), "ns/key")
}

// BenchmarkSnapshot takes a cut, which holds up all writers.
func BenchmarkSnapshot(b *testing.B) {
	s := filled(b)
	b.SetBytes(0)
	for b.Loop() {
		n, err := s.Snapshot()
		if err != nil {
			b.Fatal(err)
		}
		if err := n.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkApply overwrites random keys by records, 16 KB at a time, as they come off a
// connection, and after three overwrites a key: what is dead is moved out of at the rate at
// which it comes. The records are made anew each time, for in an order that repeats whole slabs
// would die and nothing be moved; that is not timed.
func BenchmarkApply(b *testing.B) {
	const records = 16 << 10 / 120
	s := filled(b)
	k, r := newKeyMaker(), rand.New(rand.NewPCG(1, 2))
	var batch []byte
	apply := func() time.Duration {
		batch = batch[:0]
		for range records {
			batch = appendEntry(batch, k.key(r.IntN(*benchKeys)), string(benchValue), 0)
		}
		began := time.Now()
		if err := s.Apply(s.Position(), batch); err != nil {
			b.Fatal(err)
		}
		return time.Since(began)
	}
	for range 3 * *benchKeys / records {
		apply()
	}
	var took time.Duration
	for b.Loop() {
		took += apply()
	}
	b.SetBytes(0)
	b.ReportMetric(0, "ns/op") // with what makes the records
	b.ReportMetric(float64(took.Nanoseconds())/float64(b.N)/records, "ns/record")
}
