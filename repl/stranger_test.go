package repl_test

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/repl"
)

// bystander attaches a replica to the master at addr and returns a check that
// it has not noticed anything: still the same link, and still fed.
func bystander(t testing.TB, net repl.Transport, m *repl.Master, a *ledger, addr string) (unaffected func()) {
	t.Helper()
	var o repl.Options
	d := keep(&o)
	b := newLedger(nil)
	r := replica(t, b, net, addr, &o)
	synced(t, m, a, r)
	return func() {
		t.Helper()
		fill(t, a, "later", 3)
		caughtUp(t, r, b, a)
		same(t, a, b)
		if err := d.last(); err != nil {
			t.Errorf("another follower was cut off: %v", err)
		}
	}
}

// TestStrangersAreTurnedAway lets a live master have what scanners, other
// programs and nodes of other groups send.
func TestStrangersAreTurnedAway(t *testing.T) {
	hello := func(change func(*identity)) []byte {
		i := someone(9)
		i.group = "prod"
		change(&i)
		p := &peer{}
		return append([]byte(wireMagic), p.frame(msgHello, 0, i.body())...)
	}
	frame := func(kind, flags byte, body []byte) []byte {
		p := &peer{}
		return append([]byte(wireMagic), p.frame(kind, flags, body)...)
	}
	own := repl.NodeID{1}
	for _, c := range []struct {
		name   string
		sends  []byte
		code   byte // of the refusal; 0 for none
		silent bool // not even the magic comes back
	}{
		{"HTTP", []byte("GET / HTTP/1.1\r\nHost: ember\r\n\r\n"), 0, true},
		{"TLS", []byte("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"), 0, true},
		{"zeroes", make([]byte, 4096), 0, true},
		{"magic after line ends were translated", []byte("\x89EMBR\n\x1a" + strings.Repeat("x", 64)), 0, true},
		{"garbage behind the magic", []byte(wireMagic + strings.Repeat("garbage", 10)), 0, true},
		{"newer protocol", hello(func(i *identity) { i.versionMin, i.versionMax = 2, 7 }), 1, false},
		{"older protocol", hello(func(i *identity) { i.versionMin, i.versionMax = 0, 0 }), 1, false},
		{"older records", hello(func(i *identity) { i.records = 0 }), 1, false},
		{"another group", hello(func(i *identity) { i.group = "test" }), 2, false},
		{"itself", hello(func(i *identity) { i.id = own }), 3, false},
		{"smaller records", hello(func(i *identity) { i.maxRecord = 1 << 20 }), 10, false},
		{"a name too long", hello(func(i *identity) { i.name = strings.Repeat("n", 65) }), 0, true},
		{"a lineage that cannot be", hello(func(i *identity) { i.lineage = backlog.Lineage{} }), 0, true},
		{"hello of 1025 bytes", frame(msgHello, 0, make([]byte, 1025)), 0, true},
		{"hello in many frames", frame(msgHello, 1, make([]byte, 1024)), 0, true},
		{"an ack", frame(msgAck, 0, ackBody(0, 0, 0, 0)), 0, true},
		{"a block in many frames", frame(msgBlock, 1, make([]byte, 1024)), 0, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				net, a := repl.NewMemory(), newLedger(nil)
				fill(t, a, "k", 10)
				before := a.state()
				var o repl.Options
				o.ID, o.Group = own, "prod"
				d := keep(&o)
				m := master(t, a, net, "a", &o)
				p := call(t, net, "a")
				begun := time.Now()
				p.Write(c.sends)
				if c.silent {
					if got, _ := io.ReadAll(p); len(got) != 0 {
						t.Errorf("answered % x", got)
					}
				} else if err := p.readMagic(); err != nil {
					t.Errorf("no magic before the refusal: %v", err)
				} else if code := p.drain(); code != c.code {
					t.Errorf("refused with code %d, want %d", code, c.code)
				}
				if took := time.Since(begun); took > repl.DefaultHandshakeTimeout {
					t.Errorf("turned away after %v", took)
				}
				synctest.Wait()
				s := m.Status()
				if s.Counters.Handshakes != 1 || len(s.Followers) != 0 || d.kinds() != "" {
					t.Errorf("%d failed handshakes, %d followers, events %q", s.Counters.Handshakes, len(s.Followers), d.kinds())
				}
				if got := a.state(); len(got) != len(before) {
					t.Errorf("the state has changed")
				}
			})
		})
	}
}

// TestSilentStrangers: neither one who says nothing, nor one who sends a byte
// a second, holds a place for longer than the handshake may take, and a flood of
// them keeps nobody out for longer than that.
func TestSilentStrangers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, a := repl.NewMemory(), newLedger(nil)
		m := master(t, a, net, "a", nil)
		unaffected := bystander(t, net, m, a, "a")
		hello := append([]byte(wireMagic), (&peer{}).frame(msgHello, 0, someone(9).body())...)
		for _, send := range []func(p *peer){
			func(*peer) {},
			func(p *peer) { p.Write(hello[:8]) },
			func(p *peer) { // each part in time, the whole not
				time.Sleep(4 * time.Second)
				p.Write(hello[:8])
				time.Sleep(2 * time.Second)
				p.Write(hello[8:])
			},
			func(p *peer) {
				for _, b := range hello {
					if _, err := p.Write([]byte{b}); err != nil {
						return
					}
					time.Sleep(time.Second)
				}
			},
		} {
			p := call(t, net, "a")
			begun := time.Now()
			sent := make(chan struct{})
			go func() {
				defer close(sent)
				send(p)
			}()
			io.Copy(io.Discard, p)
			if took := time.Since(begun); took != repl.DefaultHandshakeTimeout {
				t.Errorf("closed after %v, want %v", took, repl.DefaultHandshakeTimeout)
			}
			<-sent
			synctest.Wait() // the place at the door is given back behind the connection
		}
		var flood []*peer
		for range 200 {
			flood = append(flood, call(t, net, "a"))
		}
		synctest.Wait()
		open := 0
		for _, p := range flood {
			p.SetReadDeadline(time.Now().Add(time.Millisecond))
			if _, err := p.Read(make([]byte, 1)); err != io.EOF {
				open++
			}
		}
		if open != 64 {
			t.Errorf("%d of 200 strangers were given a place, want 64", open)
		}
		if n := m.Status().Counters.Unheard; n != 200-64 {
			t.Errorf("%d connections are counted as unheard, want %d", n, 200-64)
		}
		r := replica(t, newLedger(nil), net, "a", nil)
		begun := time.Now()
		synced(t, m, a, r)
		if took := time.Since(begun); took > repl.DefaultHandshakeTimeout+time.Second {
			t.Errorf("a follower got in after %v", took)
		}
		unaffected()
	})
}

// TestWrongUpstreams lets a replica with data dial what it should not have. It
// must say what is wrong, keep its data and go on trying, less and less often.
func TestWrongUpstreams(t *testing.T) {
	answer := func(change func(*identity)) func(*peer) {
		return func(p *peer) {
			i := someone(8)
			i.group = "prod"
			change(&i)
			if p.welcome(i) == nil {
				p.drain()
			}
		}
	}
	says := func(raw string) func(*peer) {
		return func(p *peer) {
			p.Write([]byte(raw))
			io.Copy(io.Discard, p)
		}
	}
	refuses := func(code byte, rest string) func(*peer) {
		return func(p *peer) {
			p.readMagic()
			p.await(msgHello)
			p.Write([]byte(wireMagic))
			p.send(msgRefuse, append([]byte{code}, rest...))
		}
	}
	self := repl.NodeID{1}
	for _, c := range []struct {
		name string
		play func(*peer)
		want error
	}{
		{"HTTP server", says("HTTP/1.1 400 Bad Request\r\n\r\n"), repl.ErrProtocol},
		{"Redis", says("-ERR unknown command\r\n"), repl.ErrProtocol},
		{"SSH", says("SSH-2.0-OpenSSH_9.9\r\n"), repl.ErrProtocol},
		{"silent", func(p *peer) { io.Copy(io.Discard, p) }, repl.ErrTimeout},
		{"closes at once", func(*peer) {}, io.ErrUnexpectedEOF},
		{"newer protocol", answer(func(i *identity) { i.versionMin, i.versionMax = 3, 4 }), repl.ErrVersion},
		{"a range as the version", answer(func(i *identity) { i.versionMax = 4 }), repl.ErrProtocol},
		// What an upstream can read and take matters to those who send it records.
		{"reads older records, and says no more", answer(func(i *identity) { i.records = 0 }), repl.ErrTimeout},
		{"takes smaller records, and says no more", answer(func(i *identity) { i.maxRecord = 1 }), repl.ErrTimeout},
		{"another group", answer(func(i *identity) { i.group = "test" }), repl.ErrGroup},
		{"itself", answer(func(i *identity) { i.id = self }), repl.ErrCycle},
		{"a name too long", answer(func(i *identity) { i.name = strings.Repeat("n", 65) }), repl.ErrProtocol},
		{"refuses the version", refuses(1, "\x00\x05\x00\x06\x00too old"), repl.ErrVersion},
		{"refuses the group", refuses(2, "other"), repl.ErrGroup},
		{"is not ready", refuses(4, ""), repl.ErrNotReady},
		{"is busy", refuses(5, ""), repl.ErrBusy},
		{"refuses with a code to come", refuses(200, "who knows"), repl.ErrProtocol},
		{"says no more after the handshake", answer(func(*identity) {}), repl.ErrTimeout},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				net, b := repl.NewMemory(), newLedger(nil)
				fill(t, b, "mine", 5)
				before, at := b.state(), b.Log().Position()
				var o repl.Options
				o.ID, o.Group = self, "prod"
				d := keep(&o)
				upstream(t, net, "a", func(_ int, p *peer) { c.play(p) })
				r := replica(t, b, net, "a", &o)
				time.Sleep(30 * time.Second)
				synctest.Wait()
				if !d.saw(c.want) {
					t.Errorf("%v, want %v", d.last(), c.want)
				}
				var link *repl.LinkError
				if !errors.As(d.last(), &link) || link.Peer == "" {
					t.Errorf("%v is no *LinkError with a peer", d.last())
				}
				if v := new(repl.VersionError); c.want == repl.ErrVersion && (!errors.As(d.last(), &v) || v.OursMax != 1 || v.What == "") {
					t.Errorf("%v does not say both versions", d.last())
				}
				s := r.Status().Upstream
				if s.LastError != d.last().Error() || s.Synced || s.Attempts < 4 || s.Attempts > 400 {
					t.Errorf("%d attempts, synced %v, last error %q", s.Attempts, s.Synced, s.LastError)
				}
				if got := b.state(); !slices.Equal(keysOf(got), keysOf(before)) || b.Log().Position() != at {
					t.Errorf("the data are not as before")
				}
				r.Close() // while the upstream by hand may be in the middle of something
			})
		})
	}
}

func keysOf(m map[string]string) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
