package repl_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/klauspost/compress/s2"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/kv"
	"github.com/emberkv/ember/rdb"
	"github.com/emberkv/ember/repl"
	"github.com/emberkv/ember/repl/repltest"
)

// profile returns a value as services keep them.
func profile(rng *rand.Rand) string {
	return fmt.Sprintf(`{"id":%d,"name":"user %d","mail":"u%d@example.com","active":%t,"score":%d,"tags":["a","b"]}`,
		rng.IntN(1e6), rng.IntN(1e6), rng.IntN(1e6), rng.IntN(2) == 0, rng.IntN(1000))
}

// TestCompressionIsNegotiated: every pair of wishes. Both ends say the same, the
// copy and the stream come out the same, and only what was agreed is compressed.
func TestCompressionIsNegotiated(t *testing.T) {
	all := []rdb.Compression{rdb.Off, rdb.None, rdb.S2, rdb.Zstd}
	want := map[rdb.Compression][]rdb.Compression{ // of the upstream's, by the follower's
		rdb.Off:  {rdb.None, rdb.None, rdb.None, rdb.None},
		rdb.None: {rdb.None, rdb.None, rdb.S2, rdb.Zstd},
		rdb.S2:   {rdb.None, rdb.S2, rdb.S2, rdb.Zstd},
		rdb.Zstd: {rdb.None, rdb.Zstd, rdb.S2, rdb.Zstd},
	}
	for _, ours := range all {
		for i, theirs := range all {
			t.Run(fmt.Sprintf("%v serves %v", ours, theirs), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					net, a, b := repl.NewMemory(), newLedger(nil), newLedger(nil)
					rng := rand.New(rand.NewPCG(1, 1))
					for i := range 40 {
						a.put(fmt.Sprint("k", i), profile(rng)+profile(rng)+profile(rng))
					}
					m := master(t, a, net, "a", &repl.Options{Compression: ours})
					r := replica(t, b, net, "a", &repl.Options{Compression: theirs})
					synced(t, m, a, r)
					for i := range 40 {
						a.put(fmt.Sprint("k", i), profile(rng)+profile(rng)+profile(rng))
					}
					synced(t, m, a, r)
					time.Sleep(2 * repl.DefaultHeartbeat)
					synctest.Wait()
					same(t, a, b)
					down, up := m.Status().Followers[0], r.Status().Upstream
					if down.Compression != want[ours][i] || up.Compression != want[ours][i] {
						t.Errorf("agreed on %v and %v, want %v", down.Compression, up.Compression, want[ours][i])
					}
					if smaller := 3*down.Written < 2*down.WrittenPlain; smaller != (want[ours][i] != rdb.None) {
						t.Errorf("%d bytes were sent for %d", down.Written, down.WrittenPlain)
					}
					if want[ours][i] == rdb.None && down.Written != down.WrittenPlain {
						t.Errorf("without compression %d bytes for %d", down.Written, down.WrittenPlain)
					}
					// The one counts when a frame has come, the other before it goes.
					if last := up.Read - down.Written; last < 0 || last > 100 || up.ReadPlain-down.WrittenPlain != last {
						t.Errorf("read %d for %d, written %d for %d", up.Read, up.ReadPlain, down.Written, down.WrittenPlain)
					}
				})
			})
		}
	}
}

// TestCompressionSavesBytes counts what the network carries, for a copy and for
// the stream, of stores as programs use them.
func TestCompressionSavesBytes(t *testing.T) {
	carried := func(c rdb.Compression) (copied, streamed int64) {
		synctest.Test(t, func(t *testing.T) {
			net := repltest.NewNetwork(1)
			defer net.Close()
			s := newStores(t, 2)
			rng := rand.New(rand.NewPCG(2, 2))
			write := func(n int) {
				for range n {
					s[0].Set(fmt.Sprintf("user:%011d", rng.Uint32()), []byte(profile(rng)))
				}
			}
			write(5000)
			m, err := repl.NewMaster(s[0], seeded(t, nil))
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			serve(t, m, net.Host("a"), "a")
			r, err := repl.NewReplica(s[1], "a", seeded(t, &repl.Options{Transport: net.Host("b"), Compression: c}))
			if err != nil {
				t.Fatal(err)
			}
			go r.Run(t.Context())
			defer r.Close()
			if err := r.WaitSynced(t.Context()); err != nil {
				t.Fatal(err)
			}
			copied = net.Stats().Bytes
			net.Link("a", "b").Refuse() // a burst, as the feed finds it that comes back to its work: it sends it in runs
			net.Link("a", "b").Cut()
			write(2000)
			net.HealAll()
			if _, err := m.Wait(t.Context(), s[0].Position(), 1); err != nil {
				t.Fatal(err)
			}
			streamed = net.Stats().Bytes - copied
			equalStores(t, s[0], s[1])
		})
		return copied, streamed
	}
	copied, streamed := carried(rdb.None)
	for c, share := range map[rdb.Compression]int64{rdb.S2: 2, rdb.Zstd: 3} {
		lessCopied, lessStreamed := carried(c)
		t.Logf("%v: copy of %d in %d bytes, stream of %d in %d", c, copied, lessCopied, streamed, lessStreamed)
		if share*lessCopied > copied || share*lessStreamed > streamed {
			t.Errorf("%v: copy of %d in %d bytes, stream of %d in %d", c, copied, lessCopied, streamed, lessStreamed)
		}
	}
}

func equalStores(t testing.TB, a, b *kv.Store) {
	t.Helper()
	x, errA := a.Digest()
	y, errB := b.Digest()
	if x != y || errors.Join(errA, errB) != nil {
		t.Errorf("%+v, %v; %+v, %v", x, errA, y, errB)
	}
}

// TestCompressedBesidePlain: followers that have agreed on different things are
// copied to by one pass, under faults and writes, and all end up with the
// master's state. Then again, in the same process.
func TestCompressedBesidePlain(t *testing.T) {
	for seed := range uint64(2) {
		synctest.Test(t, func(t *testing.T) {
			net := repltest.NewNetwork(seed)
			defer net.Close()
			net.SetDelay(time.Millisecond, time.Millisecond)
			net.All().SetChop(300)
			rng := rand.New(rand.NewPCG(seed, 3))
			a := newLedger(&backlog.Options{MaxBytes: 64 << 10})
			for i := range 300 {
				a.put(fmt.Sprint("k", i), profile(rng)+profile(rng))
			}
			slowly(a, 5*time.Millisecond)
			m := master(t, a, net.Host("a"), "a", nil)
			var ledgers []*ledger
			var replicas []*repl.Replica
			for i, c := range []rdb.Compression{rdb.Off, rdb.None, rdb.S2, rdb.Zstd} {
				host := fmt.Sprint("r", i)
				b := newLedger(nil)
				ledgers = append(ledgers, b)
				replicas = append(replicas, replica(t, b, net.Host(host), "a", &repl.Options{Compression: c, Name: host}))
			}
			stop := make(chan struct{})
			go func() {
				rng := rand.New(rand.NewPCG(seed, 4))
				for {
					select {
					case <-stop:
						return
					case <-time.After(2 * time.Millisecond):
						a.put(fmt.Sprint("k", rng.IntN(400)), profile(rng)+profile(rng))
					}
				}
			}()
			time.Sleep(30 * time.Millisecond)
			if n := len(m.Status().Followers); n != 4 {
				t.Errorf("%d followers are being copied to, want 4", n)
			}
			captures := a.captures()
			for range 40 {
				time.Sleep(time.Duration(rng.IntN(100)) * time.Millisecond)
				link := net.Link("a", fmt.Sprint("r", rng.IntN(4)))
				switch rng.IntN(3) {
				case 0:
					link.Cut()
				case 1:
					link.FlipNext(rng.Int64N(20_000), 1<<rng.IntN(8))
				case 2:
					link.Stall()
					time.Sleep(50 * time.Millisecond)
					link.Heal()
				}
			}
			close(stop)
			net.HealAll()
			synced(t, m, a, replicas...)
			for i, b := range ledgers {
				same(t, a, b)
				if s := replicas[i].Status().Upstream; s.Fulls < 1 || i > 1 == (s.Compression == rdb.None) {
					t.Errorf("replica %d: %+v", i, s)
				}
			}
			if captures > 2*ledgerShards {
				t.Errorf("%d shards were captured for the first four copies", captures)
			}
		})
	}
}

// TestChainsAgreeLinkByLink: what a replica asks for is not what it grants.
func TestChainsAgreeLinkByLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, a, b, c := repl.NewMemory(), newLedger(nil), newLedger(nil), newLedger(nil)
		fill(t, a, "k", 100)
		m := master(t, a, net, "a", nil)
		middle := replica(t, b, net, "a", &repl.Options{Compression: rdb.Zstd})
		serve(t, middle, net, "b")
		synced(t, m, a, middle)
		last := replica(t, c, net, "b", &repl.Options{Compression: rdb.S2})
		caughtUp(t, last, c, a)
		same(t, a, c)
		if x, y := middle.Status().Upstream.Compression, last.Status().Upstream.Compression; x != rdb.Zstd || y != rdb.S2 {
			t.Errorf("the links have %v and %v", x, y)
		}
	})
}

// packedLog returns the body of a packed Log, by PROTOCOL.md.
func packedLog(at int64, records []byte) []byte {
	body := logBody(at, records)
	return append(binary.LittleEndian.AppendUint32(nil, uint32(len(body))), s2.Encode(nil, body)...)
}

// TestPackedFramesByHand: a follower takes packed log, written by hand, if Welcome
// has named the algorithm; a Welcome that names what was not offered, and packed
// frames that were not agreed, end the link with the data as they were.
func TestPackedFramesByHand(t *testing.T) {
	value := string(make([]byte, 1000))
	for _, c := range []struct {
		name   string
		asks   rdb.Compression
		chosen byte // in Welcome
		want   error
	}{
		{"agreed", rdb.None, 0x13, nil},
		{"asked for", rdb.S2, 0x10, nil},
		{"not agreed", rdb.S2, 0x03, repl.ErrProtocol},
		{"another one agreed", rdb.None, 0x23, repl.ErrProtocol},
		{"refused", rdb.Off, 0x13, repl.ErrProtocol},
		{"unknown", rdb.Zstd, 0x3f, repl.ErrProtocol},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				net, b := repl.NewMemory(), newLedger(nil)
				fill(t, b, "mine", 5)
				before, at := b.state(), b.Log().End()
				upstream(t, net, "a", func(n int, p *peer) {
					who := someone(8).at(b)
					who.packing = c.chosen
					if n > 0 {
						who.packing = 0
					}
					p.welcome(who)
					p.send(msgContinue, int64s(b.Log().End()))
					if n == 0 {
						p.Write(p.frame(msgLog, 2, packedLog(at, record("new", value))))
					}
					p.drain()
				})
				o := repl.Options{Compression: c.asks}
				d := keep(&o)
				replica(t, b, net, "a", &o)
				time.Sleep(2 * time.Second)
				synctest.Wait()
				if err := d.last(); !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
					t.Errorf("the link ended with %v, want %v", err, c.want)
				}
				got := b.state()
				if taken := got["new"] == value; taken != (c.want == nil) || !taken && !maps.Equal(got, before) {
					t.Errorf("taken: %v", taken)
				}
			})
		})
	}
}

// TestFollowersMayNotPack: what goes up is never packed, whatever was agreed.
func TestFollowersMayNotPack(t *testing.T) {
	for _, kind := range []byte{msgAck, msgSyncStart, msgRefuse, msgBlock, msgLog} {
		synctest.Test(t, func(t *testing.T) {
			net, a := repl.NewMemory(), newLedger(nil)
			var o repl.Options
			d := keep(&o)
			master(t, a, net, "a", &o)
			fill(t, a, "k", 10)
			who := someone(9).at(a)
			who.packing = 0x13
			p := follow(t, net, "a", who)
			p.await(msgContinue)
			p.Write(p.frame(kind, 2, packedLog(0, make([]byte, 1000))))
			p.drain()
			synctest.Wait()
			if !errors.Is(d.last(), repl.ErrProtocol) {
				t.Errorf("kind %d: %v, want ErrProtocol", kind, d.last())
			}
		})
	}
}

// BenchmarkCompressedSync copies a store of JSON entries to one that has nothing, at
// the rate of the entries.
func BenchmarkCompressedSync(b *testing.B) {
	net, s := repl.NewMemory(), kv.New(nil)
	defer s.Close()
	rng := rand.New(rand.NewPCG(5, 5))
	var size int64
	for range 50_000 {
		key, value := fmt.Sprintf("user:%011d", rng.Uint32()), profile(rng)
		s.Set(key, []byte(value))
		size += int64(len(key) + len(value))
	}
	m, err := repl.NewMaster(s, nil)
	if err != nil {
		b.Fatal(err)
	}
	defer m.Close()
	serve(b, m, net, "a")
	for _, c := range []rdb.Compression{rdb.None, rdb.S2, rdb.Zstd} {
		b.Run(c.String(), func(b *testing.B) {
			b.SetBytes(size)
			b.ReportAllocs()
			var read, plain int64
			for b.Loop() {
				to := kv.New(nil)
				r, err := repl.NewReplica(to, "a", &repl.Options{Transport: net, Compression: c})
				if err != nil {
					b.Fatal(err)
				}
				go r.Run(b.Context())
				if err := r.WaitSynced(b.Context()); err != nil {
					b.Fatal(err)
				}
				up := r.Status().Upstream
				read, plain = up.Read, up.ReadPlain
				r.Close()
				to.Close()
			}
			b.ReportMetric(float64(plain)/float64(read), "ratio")
		})
	}
}
