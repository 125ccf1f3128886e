package repl_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/kv"
	"github.com/emberkv/ember/repl"
	"github.com/emberkv/ember/repl/repltest"
)

// TestCopyBesideMuchLog: while one shard is under way more log is written than may
// go out beside it. It waits, and goes out in whole records.
func TestCopyBesideMuchLog(t *testing.T) {
	for name, value := range map[string]int{"many records": 1000, "one large record": 40 << 20} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				net, a, b := repl.NewMemory(), newLedger(nil), newLedger(nil)
				fill(t, a, "k", 200)
				a.mu.Lock()
				a.onEntry = func() { time.Sleep(time.Second) }
				a.mu.Unlock()
				var o repl.Options
				d := keep(&o)
				m := master(t, a, net, "a", nil)
				r := replica(t, b, net, "a", &o)
				time.Sleep(4500 * time.Millisecond) // the first block of the first shard is sent
				v := strings.Repeat("x", value)
				for i := range (36 << 20) / value {
					a.put(fmt.Sprint("w", i%50), v)
				}
				if value > 36<<20 {
					a.put("w", v)
				}
				time.Sleep(20 * time.Second)
				a.mu.Lock()
				a.onEntry = nil
				a.mu.Unlock()
				synced(t, m, a, r)
				same(t, a, b)
				if err := d.last(); err != nil {
					t.Errorf("the link was cut: %v", err)
				}
			})
		})
	}
}

// TestCopyOverSlowLink: a link whose buffers hold seconds of data is slow, not
// dead, and the copy needs one connection.
func TestCopyOverSlowLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := repltest.NewNetwork(1)
		net.SetDelay(10*time.Millisecond, 0)
		net.All().SetBandwidth(1_000_000)
		net.All().SetWindow(4 << 20)
		a, b := newLedger(nil), newLedger(nil)
		v := strings.Repeat("x", 10_000)
		for i := range 2000 {
			a.put(fmt.Sprint("k", i), v)
		}
		var o, mo repl.Options
		d := keep(&o)
		m := master(t, a, net.Host("a"), "a", &mo)
		r := replica(t, b, net.Host("b"), "a", &o)
		synced(t, m, a, r)
		same(t, a, b)
		if err := d.last(); err != nil {
			t.Errorf("a slow link without any fault was cut: %v", err)
		}
		if p := r.Status().Upstream.Progress; p.Keys != 2000 || p.Shards != p.ShardsTotal {
			t.Errorf("progress at the end: %+v", p)
		}
	})
}

// TestProgressAfterResume: what was thrown away is not counted.
func TestProgressAfterResume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := repltest.NewNetwork(3)
		net.SetDelay(time.Millisecond, 0)
		a, b := newLedger(nil), newLedger(nil)
		fill(t, a, "k", 400)
		a.mu.Lock()
		a.onEntry = func() { time.Sleep(10 * time.Millisecond) }
		a.mu.Unlock()
		m := master(t, a, net.Host("a"), "a", nil)
		r := replica(t, b, net.Host("b"), "a", nil)
		for range 3 {
			time.Sleep(900 * time.Millisecond)
			net.Link("a", "b").Cut()
		}
		synced(t, m, a, r)
		same(t, a, b)
		up := r.Status().Upstream
		if p := up.Progress; p.Keys != 400 || p.Shards != ledgerShards || up.Fulls < 3 {
			t.Errorf("after %d starts %d keys and %d shards, want 400 and %d", up.Fulls, p.Keys, p.Shards, ledgerShards)
		}
	})
}

// TestCopyWithManyCores: the machine's dump asks for shards from many goroutines.
// None of them may wait for ever, however slow the follower, nor stay behind.
func TestCopyWithManyCores(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(8))
	for _, bandwidth := range []int64{100_000, 500_000, 2_000_000} {
		for _, size := range []int{100, 1000, 4000} {
			synctest.Test(t, func(t *testing.T) {
				net := repltest.NewNetwork(1)
				net.SetDelay(time.Millisecond, 0)
				net.All().SetWindow(64 << 10)
				net.All().SetBandwidth(bandwidth)
				s, c := kv.New(nil), kv.New(nil)
				defer s.Close()
				defer c.Close()
				value := []byte(strings.Repeat("x", size))
				for i := range 500 {
					s.Set(fmt.Sprint("k", i), value)
				}
				m, err := repl.NewMaster(s, seeded(t, nil))
				if err != nil {
					t.Fatal(err)
				}
				defer m.Close()
				ln, err := net.Host("a").Listen("a")
				if err != nil {
					t.Fatal(err)
				}
				go m.Serve(ln)
				r, err := repl.NewReplica(c, "a", seeded(t, &repl.Options{Transport: net.Host("b")}))
				if err != nil {
					t.Fatal(err)
				}
				go r.Run(context.Background())
				defer r.Close()
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
				defer cancel()
				if err := r.WaitSynced(ctx); err != nil {
					t.Errorf("at %d bytes a second with values of %d: %v, %+v", bandwidth, size, err, r.Status().Upstream.Progress)
				}
			})
		}
	}
}

// TestSlowCommit: a machine takes long to put a copy to use. The link stays.
func TestSlowCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, a, b := repl.NewMemory(), newLedger(nil), newLedger(nil)
		fill(t, a, "k", 100)
		m := master(t, a, net, "a", nil)
		b.onCommit = func() { time.Sleep(20 * time.Second) }
		var o repl.Options
		d := keep(&o)
		r := replica(t, b, net, "a", &o)
		stop := keepWriting(a, 100*time.Millisecond, 1)
		time.Sleep(time.Minute)
		stop()
		synced(t, m, a, r)
		same(t, a, b)
		if len(d.ends) != 0 {
			t.Errorf("the link broke: %v", d.ends)
		}
	})
}
