package repl_test

import (
	"context"
	"fmt"
	"io"
	"math"
	"net"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/emberkv/ember/kv"
	"github.com/emberkv/ember/repl"
)

// benchStores returns a master's store that n replicas follow over TCP on loopback, all in
// this process, and where the master listens.
func benchStores(b *testing.B, n int, o *repl.Options) (*kv.Store, string) {
	b.Helper()
	store := kv.New(nil)
	b.Cleanup(func() { store.Close() })
	m, err := repl.NewMaster(store, o)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { m.Close() })
	ln, err := repl.TCP{}.Listen("127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	go m.Serve(ln)
	for range n {
		below := kv.New(nil)
		b.Cleanup(func() { below.Close() })
		r, err := repl.NewReplica(below, ln.Addr().String(), nil)
		if err != nil {
			b.Fatal(err)
		}
		go r.Run(context.Background())
		b.Cleanup(func() { r.Close() })
		if err := r.WaitSynced(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
	return store, ln.Addr().String()
}

// BenchmarkAck is a Set that waits for one replica, of one writer and of many at once,
// beside one that does not wait. An iteration is a hundred of them for each writer.
func BenchmarkAck(b *testing.B) {
	const writes = 100
	value := make([]byte, 100)
	for _, ack := range []int{0, 1} {
		for _, writers := range []int{1, 8, 64} {
			b.Run(fmt.Sprintf("ack=%d/writers=%d", ack, writers), func(b *testing.B) {
				store, _ := benchStores(b, 1, &repl.Options{Safety: repl.Safety{Ack: ack, AckTimeout: time.Minute}})
				b.ReportAllocs()
				began, n := time.Now(), 0
				for b.Loop() {
					var all sync.WaitGroup
					for w := range writers {
						key := fmt.Sprintf("key-%012d", w)
						all.Go(func() {
							for range writes {
								if err := store.Set(key, value); err != nil {
									b.Error(err)
								}
							}
						})
					}
					all.Wait()
					n += writers * writes
				}
				b.ReportMetric(float64(n)/time.Since(began).Seconds(), "writes/s")
			})
		}
	}
}

// BenchmarkGate is a Set with nobody to wait for, and one whose gate looks whether enough
// replicas are near.
func BenchmarkGate(b *testing.B) {
	value := make([]byte, 100)
	for _, n := range []int{0, 1} {
		b.Run(fmt.Sprintf("min=%d", n), func(b *testing.B) {
			o := minReplicas(n, 0)
			store, _ := benchStores(b, 1, o)
			for store.Set("key", value) != nil {
				time.Sleep(10 * time.Millisecond)
			}
			b.ReportAllocs()
			for b.Loop() {
				if err := store.Set("key", value); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkLease is a Set on a node that is not supervised, on one that is and needs no lease
// yet, and on one that writes by a lease.
func BenchmarkLease(b *testing.B) {
	value := make([]byte, 100)
	for _, c := range []struct {
		name       string
		supervised bool
		need       int
	}{{"none", false, 0}, {"free", true, 0}, {"armed", true, 1}} {
		b.Run(c.name, func(b *testing.B) {
			store, addr := benchStores(b, 0, &repl.Options{Supervision: repl.Supervision{Supervised: c.supervised}})
			if c.need > 0 {
				renew(b, control(b, &repl.TCP{}, addr, 1), repl.MaxLease, c.need)
			}
			b.ReportAllocs()
			for b.Loop() {
				if err := store.Set("key", value); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// slowTurn is for how long each of the two is measured before it is the other's turn.
const slowTurn = 5 * time.Second

// BenchmarkBesideSlowReader is a writer at full speed on a master with a replica that keeps
// up, by turns without and with one beside that which reads 1 KiB a second. An iteration is a
// turn of each, so a minute of it is
//
//	go test ./repl -run '^$' -bench BesideSlowReader -benchtime 6x
//
// p99-beside-ns is to be within 10 % of p99-alone-ns, and heap-beside-MiB, which is what lives
// at the end of a turn, the same as heap-alone-MiB except for some frames.
func BenchmarkBesideSlowReader(b *testing.B) {
	store, addr := benchStores(b, 1, nil)
	var alone, beside latencies
	new(latencies).write(b, store, slowTurn/2) // until the windows of both logs are full
	b.ReportAllocs()
	for b.Loop() {
		alone.write(b, store, slowTurn)
		stop := readSlowly(b, addr, store)
		beside.write(b, store, slowTurn)
		stop()
	}
	for name, l := range map[string]*latencies{"alone": &alone, "beside": &beside} {
		b.ReportMetric(l.quantile(0.50), "p50-"+name+"-ns")
		b.ReportMetric(l.quantile(0.99), "p99-"+name+"-ns")
		b.ReportMetric(float64(l.heap)/(1<<20), "heap-"+name+"-MiB")
	}
}

// latencies counts how long writes took, in classes that are some 1 % wide, so that the count
// costs no memory of its own.
type latencies struct {
	classes [64 * latencyClasses]int
	n       int
	heap    uint64 // what lived at the end of a turn, at most
}

const latencyClasses = 128 // for each power of two

// write sets keys for a time.
func (l *latencies) write(b *testing.B, store *kv.Store, d time.Duration) {
	value := make([]byte, 100)
	for began := time.Now(); time.Since(began) < d; {
		at := time.Now()
		if err := store.Set("key", value); err != nil {
			b.Fatal(err)
		}
		l.add(time.Since(at))
	}
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	l.heap = max(l.heap, m.HeapAlloc)
}

func (l *latencies) add(d time.Duration) {
	fraction, exponent := math.Frexp(float64(max(d, 1))) // 0.5 to 1
	l.classes[min(exponent, 63)*latencyClasses+int((fraction-0.5)*2*latencyClasses)]++
	l.n++
}

// quantile returns the lower end of the class in which the share q of all ends.
func (l *latencies) quantile(q float64) float64 {
	left := int(q * float64(l.n))
	for i, n := range l.classes {
		if left -= n; left < 0 {
			return math.Ldexp(0.5+float64(i%latencyClasses)/(2*latencyClasses), i/latencyClasses)
		}
	}
	return math.NaN()
}

// readSlowly attaches followers, one after the other, that read 1 KiB a second of the log,
// and returns a function that ends that.
func readSlowly(b *testing.B, addr string, store *kv.Store) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() {
		for ctx.Err() == nil {
			conn, err := net.Dial("tcp", addr)
			if err != nil {
				b.Error(err)
				return
			}
			release := context.AfterFunc(ctx, func() { conn.Close() })
			conn.(*net.TCPConn).SetReadBuffer(4 << 10)
			who := someone(9)
			pos := store.Position()
			who.end, who.lineage = pos.Offset, store.Log().Lineage()
			p := &peer{Conn: conn}
			p.Write([]byte(wireMagic))
			p.send(msgHello, who.body())
			for err == nil {
				time.Sleep(time.Second)
				_, err = io.CopyN(io.Discard, conn, 1<<10)
			}
			release()
			conn.Close()
		}
	})
	return func() { cancel(); done.Wait() }
}
