package repl_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/repl"
)

// A wiretap notes what goes by.
type wiretap struct {
	mu     sync.Mutex
	pieces []piece
}

func (w *wiretap) edit(p piece) [][]byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pieces = append(w.pieces, p)
	return [][]byte{p.raw}
}

// said returns all that went by, in one direction of one connection.
func (w *wiretap) said(conn int, up bool) (all [][]byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range w.pieces {
		if p.conn == conn && p.up == up {
			all = append(all, p.raw)
		}
	}
	return all
}

// An outpost is a guarded master at "a", and a replica that reaches it by way of
// somebody at "way".
type outpost struct {
	net     *repl.Memory
	a, b    *ledger
	master  *repl.Master
	replica *repl.Replica
	diary   *diary // of the replica
	refused []error
}

func newOutpost(t testing.TB, secret repl.Secret, edit func(piece) [][]byte) *outpost {
	t.Helper()
	o := &outpost{net: repl.NewMemory(), a: newLedger(nil), b: newLedger(nil)}
	fill(t, o.a, "k", 10)
	o.a.put("treasure", "buried under the oak")
	above, below := guarded(), guarded()
	if secret != "" {
		above, below = guarded(secret), guarded(secret)
	}
	above.Name, below.Name = "the upstream", "the follower"
	above.Events.Refused = func(_ repl.Peer, err error) { o.refused = append(o.refused, err) }
	o.diary = keep(below)
	o.master = master(t, o.a, o.net, "a", above)
	between(t, o.net, "way", "a", edit)
	o.replica = replica(t, o.b, o.net, "way", below)
	t.Cleanup(func() { // before those on the way
		o.replica.Close()
		o.master.Close()
	})
	return o
}

// TestNothingIsSaidBeforeTheProof, nor in clear after it: whoever listens on a guarded
// link finds no name, no id, no history, no key, no value; on another he finds them
// all.
func TestNothingIsSaidBeforeTheProof(t *testing.T) {
	for _, secret := range []repl.Secret{"", keyA} {
		synctest.Test(t, func(t *testing.T) {
			tap := &wiretap{}
			o := newOutpost(t, secret, tap.edit)
			synced(t, o.master, o.a, o.replica)
			o.a.put("later", "moved to the well")
			caughtUp(t, o.replica, o.b, o.a)
			time.Sleep(5 * time.Second)
			var all []byte
			for _, up := range []bool{true, false} {
				all = append(all, slices.Concat(tap.said(0, up)...)...)
			}
			history, id := o.a.Log().Lineage().Current, o.replica.Node().ID()
			for _, what := range [][]byte{
				[]byte("prod"), []byte("the upstream"), []byte("the follower"), id[:], history[:],
				[]byte("treasure"), []byte("buried under the oak"), []byte("moved to the well"),
			} {
				if bytes.Contains(all, what) != (secret == "") {
					t.Errorf("with secret %q, %q is on the wire: %v", string(secret), what, secret != "")
				}
			}
			if secret != "" && bytes.Contains(all, []byte(secret)) {
				t.Error("the secret is on the wire")
			}
		})
	}
}

// TestStrangersLearnNothing: what one gets who has no secret, or a wrong one, however he
// asks. Both ends in turn: one who dials, and one who is dialled.
func TestStrangersLearnNothing(t *testing.T) {
	for name, asks := range map[string]func(p *peer){
		"Hello":             func(p *peer) { p.Write([]byte(wireMagic)); p.send(msgHello, someone(9).body()) },
		"a random proof":    func(p *peer) { p.challenge(newHandProof()); p.send(msgProof, make([]byte, 32)) },
		"four of them":      func(p *peer) { p.challenge(newHandProof()); p.send(msgProof, make([]byte, 128)) },
		"the wrong secret":  func(p *peer) { p.prove(string(keyB)) },
		"Hello for a proof": func(p *peer) { p.challenge(newHandProof()); p.send(msgHello, someone(9).body()) },
	} {
		synctest.Test(t, func(t *testing.T) {
			network := repl.NewMemory()
			m := master(t, newLedger(nil), network, "a", guarded(keyA))
			p := call(t, network, "a")
			asks(p)
			begun := time.Now()
			rest, _ := io.ReadAll(p)
			synctest.Wait()
			if len(rest) != 0 || time.Since(begun) > time.Second || m.Status().Counters.Handshakes != 1 {
				t.Errorf("%s: answered % x after %v, %+v", name, rest, time.Since(begun), m.Status().Counters)
			}
		})
	}
	for name, c := range map[string]struct {
		answers func(p *peer)
		want    error
	}{
		"Welcome":          {func(p *peer) { p.readMagic(); p.Write([]byte(wireMagic)); p.send(msgWelcome, someone(8).body()) }, repl.ErrProtocol},
		"Refuse":           {func(p *peer) { p.readMagic(); p.Write([]byte(wireMagic)); p.send(msgRefuse, []byte{3}) }, repl.ErrAuth},
		"another version":  {func(p *peer) { p.readMagic(); p.Write([]byte(wireMagic)); p.send(msgRefuse, []byte{1, 0, 5, 0, 6, 0}) }, repl.ErrVersion},
		"a random proof":   {func(p *peer) { p.heed(); p.next(); p.send(msgProof, make([]byte, 32)) }, repl.ErrAuth},
		"no proof":         {func(p *peer) { p.heed(); p.next(); p.send(msgWelcome, someone(8).body()) }, repl.ErrProtocol},
		"the wrong secret": {func(p *peer) { p.accept(string(keyB)) }, repl.ErrAuth},
	} {
		synctest.Test(t, func(t *testing.T) {
			network, b := repl.NewMemory(), newLedger(nil)
			var heard []byte
			upstream(t, network, "a", func(n int, p *peer) {
				c.answers(p)
				rest, _ := io.ReadAll(p)
				heard = append(heard, rest...)
			})
			o := guarded(keyA)
			d := keep(o)
			r := replica(t, b, network, "a", o)
			time.Sleep(5 * time.Second)
			r.Close()
			synctest.Wait()
			if err := d.ends[0]; !errors.Is(err, c.want) {
				t.Errorf("%s: %v, want %v", name, err, c.want)
			}
			if id := r.Node().ID(); bytes.Contains(heard, id[:]) || bytes.Contains(heard, []byte("prod")) || strings.Contains(d.kinds(), " connected") {
				t.Errorf("%s: the follower has said who it is", name)
			}
		})
	}
}

// TestProofByHand: what PROTOCOL.md says is what both ends do.
func TestProofByHand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network, a := repl.NewMemory(), newLedger(nil)
		fill(t, a, "k", 10)
		m := master(t, a, network, "a", guarded(keyB, keyA))
		p := call(t, network, "a")
		if err := p.prove(string(keyA)); err != nil {
			t.Fatal(err)
		}
		who := someone(9).at(a)
		who.group = "prod"
		p.send(msgHello, who.body())
		if k, _, err := p.next(); k != msgWelcome || err != nil {
			t.Fatalf("kind %d, %v; want Welcome", k, err)
		}
		if _, _, err := p.await(msgContinue); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if f := m.Status().Followers; len(f) != 1 || f[0].Secret != 2 || !f[0].Sealed {
			t.Errorf("%+v", f)
		}
		p.Close()

		b := newLedger(nil)
		upstream(t, network, "hand", func(_ int, p *peer) {
			if err := p.accept(string(keyB)); err != nil {
				return
			}
			p.await(msgHello)
			who := someone(8).at(b)
			who.group = "prod"
			p.send(msgWelcome, who.body())
			p.send(msgContinue, int64s(0))
			p.send(msgLog, logBody(0, record("by", "hand")))
			io.Copy(io.Discard, p)
		})
		r := replica(t, b, network, "hand", guarded(keyA, keyB))
		time.Sleep(time.Second)
		if u := r.Status().Upstream; b.state()["by"] != "hand" || u.Secret != 2 {
			t.Errorf("%v, %+v", b.state(), u)
		}
		r.Close()
	})
}

// firstLinkFails makes the group with somebody on the way who spoils the first
// connection, and fails t unless that never becomes a link, and the next does.
func firstLinkFails(t *testing.T, what string, edit func(piece) [][]byte) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		o := newOutpost(t, keyA, func(p piece) [][]byte {
			if p.conn > 0 {
				return [][]byte{p.raw}
			}
			return edit(p)
		})
		time.Sleep(15 * time.Second)
		if first, _, _ := strings.Cut(o.diary.kinds(), " "); first != "disconnected" {
			t.Errorf("%s: the follower has taken it for a link: %s", what, o.diary.kinds())
		}
		synced(t, o.master, o.a, o.replica)
		same(t, o.a, o.b)
	})
}

// TestEditedHandshake flips each bit of each thing that is said in a handshake, and
// mends the checksum.
func TestEditedHandshake(t *testing.T) {
	tap := &wiretap{}
	synctest.Test(t, func(t *testing.T) {
		o := newOutpost(t, keyA, tap.edit)
		synced(t, o.master, o.a, o.replica)
	})
	for _, up := range []bool{true, false} {
		for n, raw := range tap.said(0, up)[:4] { // magic, Challenge, Proof, Hello or Welcome
			for bit := range 8 * len(raw) {
				if n == 3 && bit%7 != 0 || bit%everyNth != 0 || n > 0 && n < 3 && bit/32 == 3 {
					continue // Hello is long, and a checksum would be mended
				}
				firstLinkFails(t, "a flipped bit", func(p piece) [][]byte {
					if p.up != up || p.n != n {
						return [][]byte{p.raw}
					}
					p.raw = bytes.Clone(p.raw)
					p.raw[bit/8] ^= 1 << (bit % 8)
					if p.n == 3 {
						return [][]byte{p.raw}
					}
					return [][]byte{p.mended()}
				})
			}
		}
	}
}

// TestDowngrade: whatever somebody on the way says about what the two ends could do
// without, there is no link.
func TestDowngrade(t *testing.T) {
	hello := someone(9)
	hello.group = "prod"
	plain := func(kind byte, n uint32) []byte { return (&peer{out: n}).frame(kind, 0, hello.body()) }
	body := func(p piece, at int, values ...byte) [][]byte {
		p.raw = bytes.Clone(p.raw)
		copy(p.raw[16+at:], values)
		return [][]byte{p.mended()}
	}
	for what, edit := range map[string]func(piece) [][]byte{
		"more versions offered": func(p piece) [][]byte { return body(p, 0, 0, 9) },
		"fewer offered":         func(p piece) [][]byte { return body(p, 0, 0, 1) },
		"another channel":       func(p piece) [][]byte { return body(p, 2, 1) },
		"an empty key":          func(p piece) [][]byte { return body(p, 3, make([]byte, 32)...) },
		"Hello in its place":    func(piece) [][]byte { return [][]byte{plain(msgHello, 0)} },
		"Welcome in its place":  func(piece) [][]byte { return [][]byte{plain(msgWelcome, 0)} },
	} {
		for _, up := range []bool{true, false} {
			firstLinkFails(t, what, func(p piece) [][]byte {
				if p.up == up && p.kind() == msgChallenge {
					return edit(p)
				}
				return [][]byte{p.raw}
			})
		}
	}
	// Both ends say that there is TLS, and there is none: nothing would be sealed.
	firstLinkFails(t, "TLS that is not there", func(p piece) [][]byte {
		if p.kind() == msgChallenge {
			return body(p, 2, 1)
		}
		return [][]byte{p.raw}
	})
}

// TestVersions offers each range of versions to a node, with a secret and without: it takes
// what both speak, and otherwise both ends hear of both ranges.
func TestVersions(t *testing.T) {
	for _, c := range []struct {
		from, to byte
		chosen   byte // 0 for none
	}{{0, 0, 0}, {0, 1, 1}, {1, 1, 1}, {1, 9, 1}, {0, 255, 1}, {2, 2, 0}, {2, 9, 0}, {255, 255, 0}} {
		for _, secrets := range [][]repl.Secret{nil, {keyA}} {
			synctest.Test(t, func(t *testing.T) {
				network := repl.NewMemory()
				var refused error
				o := &repl.Options{Security: repl.Security{Secrets: secrets}}
				o.Events.Refused = func(_ repl.Peer, err error) { refused = err }
				master(t, newLedger(nil), network, "a", o)
				p := call(t, network, "a")
				p.Write([]byte(wireMagic))
				who, wants := someone(9), msgWelcome
				who.versionMin, who.versionMax = c.from, c.to
				if secrets == nil {
					p.send(msgHello, who.body())
				} else {
					h := newHandProof()
					h.body[0], h.body[1] = c.from, c.to
					p.send(msgChallenge, h.body)
					wants = msgChallenge
				}
				if err := p.readMagic(); err != nil {
					t.Fatalf("%d to %d: %v", c.from, c.to, err)
				}
				k, body, err := p.next()
				if err != nil {
					t.Fatalf("%d to %d: %v", c.from, c.to, err)
				}
				synctest.Wait()
				if c.chosen != 0 {
					if k != wants || body[0] != c.chosen || body[1] != c.chosen || refused != nil {
						t.Errorf("%d to %d: kind %d, % x, %v", c.from, c.to, k, body[:2], refused)
					}
					return
				}
				var v *repl.VersionError
				if k != msgRefuse || body[0] != 1 || body[2] != 1 || !errors.As(refused, &v) || v.Theirs != int(c.from) || v.TheirsMax != int(c.to) {
					t.Errorf("%d to %d: kind %d, % x, %v", c.from, c.to, k, body, refused)
				}
			})
		}
	}
}

// TestReplay plays what a good session has said once more: whole, every part of it from
// the beginning, and each end's words to itself. Nothing of it is accepted.
func TestReplay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tap := &wiretap{}
		o := newOutpost(t, keyA, tap.edit)
		synced(t, o.master, o.a, o.replica)
		time.Sleep(5 * time.Second)
		up, down := tap.said(0, true), tap.said(0, false)
		if len(up) < 6 || len(down) < 6 {
			t.Fatalf("%d pieces up and %d down are not a session", len(up), len(down))
		}
		before, events := o.a.Log().Position(), len(o.master.Status().Followers)
		tries := 0
		for n := range up {
			p := call(t, o.net, "a")
			p.Write(slices.Concat(up[:n+1]...))
			got, _ := io.ReadAll(p)
			if want := 8 + 16 + 35; n > 0 && len(got) != want || n == 0 && len(got) != 0 {
				t.Errorf("%d pieces of a session were answered with %d bytes", n+1, len(got))
			}
			tries++
		}
		for n := range down { // what the upstream has said, to itself
			p := call(t, o.net, "a")
			p.Write(slices.Concat(down[:n+1]...))
			if got, _ := io.ReadAll(p); len(got) > 8+16+35 {
				t.Errorf("%d pieces of the upstream's own were answered with %d bytes", n+1, len(got))
			}
			tries++
		}
		synctest.Wait()
		s := o.master.Status()
		if s.Counters.Handshakes != int64(tries) || len(s.Followers) != events || o.a.Log().Position() != before {
			t.Errorf("%d tries, %d failed; %d followers", tries, s.Counters.Handshakes, len(s.Followers))
		}
		b := newLedger(nil)
		plays := 0
		upstream(t, o.net, "replay", func(n int, p *peer) {
			plays++
			go p.Write(slices.Concat(down[:min(n+1, len(down))]...))
			io.Copy(io.Discard, p)
		})
		below := guarded(keyA)
		d := keep(below)
		r := replica(t, b, o.net, "replay", below)
		time.Sleep(time.Minute)
		r.Close()
		if plays < len(down) || b.Len() != 0 || strings.Contains(d.kinds(), "connected partial") {
			t.Errorf("%d plays to a follower: %d entries, %s", plays, b.Len(), d.kinds())
		}
	})
}

// TestReflection: what a follower says, sent back to it.
func TestReflection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network, b := repl.NewMemory(), newLedger(nil)
		upstream(t, network, "mirror", func(_ int, p *peer) { io.Copy(p, p.Conn) })
		o := guarded(keyA)
		d := keep(o)
		r := replica(t, b, network, "mirror", o)
		time.Sleep(10 * time.Second)
		r.Close()
		if authReason(d.ends[0]) != int(repl.AuthWrongSecret) || strings.Contains(d.kinds(), " connected") {
			t.Errorf("%v", d.ends[0])
		}
	})
}

// TestLedBackToItself: a node that is relayed to its own listener proves itself to
// itself, and then finds out.
func TestLedBackToItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network, b := repl.NewMemory(), newLedger(nil)
		o := guarded(keyA)
		d := keep(o)
		r := replica(t, b, network, "way", o)
		serve(t, r, network, "b")
		between(t, network, "way", "b", func(p piece) [][]byte { return [][]byte{p.raw} })
		time.Sleep(10 * time.Second)
		r.Close()
		if !d.saw(repl.ErrCycle) {
			t.Errorf("%v, want ErrCycle", d.last())
		}
	})
}

// TestFramesOfASealedLink that are repeated, dropped, exchanged, damaged or sent the
// other way end the link. Nothing of them is applied, and the next link goes on.
func TestFramesOfASealedLink(t *testing.T) {
	var held []byte
	for what, edit := range map[string]func(p piece) [][]byte{
		"repeated": func(p piece) [][]byte { return [][]byte{p.raw, p.raw} },
		"dropped":  func(piece) [][]byte { return [][]byte{} },
		"damaged":  func(p piece) [][]byte { p.raw = bytes.Clone(p.raw); p.raw[len(p.raw)-1] ^= 1; return [][]byte{p.raw} },
		"in clear": func(p piece) [][]byte {
			return [][]byte{(&peer{out: uint32(p.n - 1)}).frame(p.raw[0], 0, p.raw[16:len(p.raw)-16])}
		},
		"exchanged": func(p piece) [][]byte { held = p.raw; return [][]byte{} },
		"made up":   func(p piece) [][]byte { p.raw = bytes.Clone(p.raw); rand.Read(p.raw[16:]); return [][]byte{p.raw} },
	} {
		for _, up := range []bool{true, false} {
			synctest.Test(t, func(t *testing.T) {
				frames := 0
				held = nil
				o := newOutpost(t, keyA, func(p piece) [][]byte {
					out := [][]byte{p.raw}
					if p.conn == 0 && p.up == up && p.n > 3 {
						if frames++; frames == 4 {
							out = edit(p)
						} else if held != nil {
							out, held = append(out, held), nil
						}
					}
					return out
				})
				for i := range 20 {
					fill(t, o.a, what+string(rune('a'+i)), 5)
					time.Sleep(500 * time.Millisecond)
				}
				synced(t, o.master, o.a, o.replica)
				same(t, o.a, o.b)
				if s := o.replica.Status().Upstream; s.Attempts < 2 || s.LastError == "" {
					t.Errorf("%s: %d attempts, %s", what, s.Attempts, s.LastError)
				}
			})
		}
	}
}

// TestCrossedSessions: two sessions of the same two nodes run at once, and somebody
// puts what is said in the one into the other.
func TestCrossedSessions(t *testing.T) {
	for _, k := range []byte{msgChallenge, msgProof, msgHello, msgWelcome} {
		synctest.Test(t, func(t *testing.T) {
			network, a := repl.NewMemory(), newLedger(nil)
			fill(t, a, "k", 5)
			m := master(t, a, network, "a", guarded(keyA))
			swap := [2]chan []byte{make(chan []byte, 1), make(chan []byte, 1)}
			between(t, network, "way", "a", func(p piece) [][]byte {
				if p.kind() != k || p.conn > 1 || p.up != (k != msgWelcome) {
					return [][]byte{p.raw}
				}
				swap[1-p.conn] <- p.raw
				return [][]byte{<-swap[p.conn]}
			})
			var diaries []*diary
			var replicas []*repl.Replica
			for range 2 {
				o := guarded(keyA)
				diaries = append(diaries, keep(o))
				replicas = append(replicas, replica(t, newLedger(nil), network, "way", o))
			}
			time.Sleep(10 * time.Second)
			for _, d := range diaries {
				if first, _, _ := strings.Cut(d.kinds(), " "); first != "disconnected" {
					t.Errorf("kind %d of another session: %s", k, d.kinds())
				}
			}
			synced(t, m, a, replicas...)
			for _, r := range replicas {
				r.Close()
			}
			m.Close()
		})
	}
}

// A relay ends TLS on one side and begins it on the other, with a certificate of the group.
func relay(t *testing.T, network repl.Transport, addr string, over repl.TLS, to string) {
	t.Helper()
	ln, err := over.Listen(addr)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			below, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer below.Close()
				above, err := over.Dial(t.Context(), to)
				if err != nil {
					return
				}
				go func() { io.Copy(above, below); above.Close() }()
				io.Copy(below, above)
			}()
		}
	}()
	t.Cleanup(func() { ln.Close() })
}

// TestSecretsOverTLS: the link is not encrypted twice, and who has a certificate and
// stands on the way gets nothing, though he would without the secret.
func TestSecretsOverTLS(t *testing.T) {
	config, err := newGroup("a", "way")
	if err != nil {
		t.Fatal(err)
	}
	network := repl.NewMemory()
	over := repl.TLS{Over: network, Config: config}
	relay(t, network, "way", over, "a")
	for _, secret := range [][]repl.Secret{nil, {keyA}} {
		for _, addr := range []string{"a", "way"} {
			a, b := newLedger(nil), newLedger(nil)
			fill(t, a, "k", 10)
			above, below := guarded(secret...), guarded(secret...)
			refused, ended := make(chan error, 1), make(chan error, 1)
			above.Events.Refused = func(_ repl.Peer, err error) { put(refused, err) }
			below.Events.Disconnected = func(_ repl.Peer, err error) { put(ended, err) }
			m := master(t, a, over, "a", above)
			r := replica(t, b, over, addr, below)
			if secret == nil || addr == "a" {
				synced(t, m, a, r)
				same(t, a, b)
				if u := r.Status().Upstream; u.Sealed || u.Secret != len(secret) {
					t.Errorf("by %s: sealed %v, secret %d", addr, u.Sealed, u.Secret)
				}
			} else {
				if text := first(t, "the master", refused); !strings.Contains(text, repl.AuthWrongSecret.String()) {
					t.Errorf("the master says %q", text)
				}
				if text := first(t, "the replica", ended); !strings.Contains(text, repl.AuthRefused.String()) {
					t.Errorf("the replica says %q", text)
				}
			}
			r.Close()
			m.Close()
		}
	}
}

// A cloak hides that a connection is TLS.
type cloak struct{ repl.Transport }

func (c cloak) Listen(addr string) (net.Listener, error) {
	ln, err := c.Transport.Listen(addr)
	return tappedListener{Listener: ln}, err
}

// TestTLSThatOneEndCannotSee: the link is sealed as if there were none.
func TestTLSThatOneEndCannotSee(t *testing.T) {
	config, err := newGroup("a")
	if err != nil {
		t.Fatal(err)
	}
	over := repl.TLS{Over: repl.NewMemory(), Config: config}
	a, b := newLedger(nil), newLedger(nil)
	fill(t, a, "k", 10)
	m := master(t, a, cloak{over}, "a", guarded(keyA))
	r := replica(t, b, over, "a", guarded(keyA))
	synced(t, m, a, r)
	same(t, a, b)
	if u := r.Status().Upstream; !u.Sealed {
		t.Error("the link is not sealed")
	}
}
