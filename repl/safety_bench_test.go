package repl_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"slices"
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

// BenchmarkBesideSlowReader is a Set on a master with a replica that keeps up, and with
// one beside that which reads 1 KiB a second.
func BenchmarkBesideSlowReader(b *testing.B) {
	value := make([]byte, 100)
	for _, reader := range []string{"none", "slow"} {
		b.Run(reader, func(b *testing.B) {
			store, addr := benchStores(b, 1, nil)
			if reader == "slow" {
				defer readSlowly(b, addr, store)()
			}
			took := make([]time.Duration, 0, 1<<22)
			for b.Loop() {
				began := time.Now()
				store.Set("key", value)
				if len(took) < cap(took) {
					took = append(took, time.Since(began))
				}
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2]), "p50-ns")
			b.ReportMetric(float64(took[len(took)*99/100]), "p99-ns")
		})
	}
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
