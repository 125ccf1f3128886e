package repl_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/emberkv/ember/repl"
)

// benchPair returns a master and its synced replica on a network in memory.
func benchPair(b *testing.B, opts *repl.Options) (*repl.Master, *ledger) {
	b.Helper()
	net, top, below := repl.NewMemory(), newLedger(nil), newLedger(nil)
	m := master(b, top, net, "a", opts)
	synced(b, m, top, replica(b, below, net, "a", opts))
	return m, top
}

// BenchmarkStream writes 16 MiB of records at a time and waits until the replica
// has applied them. The ledger's own work is in the figure.
func BenchmarkStream(b *testing.B) {
	for _, c := range []struct {
		name string
		size int
		opts *repl.Options
	}{{"100", 100, nil}, {"10000", 10_000, nil}, {"100/sealed", 100, guarded(keyA)}, {"10000/sealed", 10_000, guarded(keyA)}} {
		b.Run(c.name, func(b *testing.B) {
			size := c.size
			m, top := benchPair(b, c.opts)
			value, n := strings.Repeat("x", size), (16<<20)/size
			begin := top.Log().End()
			top.put("key0", value)
			b.SetBytes((top.Log().End() - begin) * int64(n))
			b.ReportAllocs()
			for b.Loop() {
				for range n {
					top.put("key0", value)
				}
				if _, err := m.Wait(context.Background(), top.Log().Position(), 1); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkWriteToAck is one write, its way to the replica, its effect there, and
// the way of the ack back.
func BenchmarkWriteToAck(b *testing.B) {
	m, top := benchPair(b, nil)
	value := strings.Repeat("x", 100)
	b.ReportAllocs()
	for b.Loop() {
		top.put("key", value)
		if _, err := m.Wait(context.Background(), top.Log().Position(), 1); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkFullSync copies a table of 16 MiB to a replica that has nothing.
func BenchmarkFullSync(b *testing.B) {
	net, top := repl.NewMemory(), newLedger(nil)
	value := strings.Repeat("x", 10_000)
	for i := range 1600 {
		top.put(fmt.Sprint("k", i), value)
	}
	master(b, top, net, "a", nil)
	b.SetBytes(16 << 20)
	b.ReportAllocs()
	for b.Loop() {
		r, err := repl.NewReplica(newLedger(nil), "a", &repl.Options{Transport: net})
		if err != nil {
			b.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		go r.Run(ctx)
		if err := r.WaitSynced(ctx); err != nil {
			b.Fatal(err)
		}
		r.Close()
		cancel()
	}
}
