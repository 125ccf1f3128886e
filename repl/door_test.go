package repl_test

import (
	"errors"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/internal/leakcheck"
	"github.com/emberkv/ember/repl"
	"github.com/emberkv/ember/repl/repltest"
)

// TestBruteForce makes ten thousand guesses at the secret, from one address, as fast as
// the master answers or closes. None is right, those that are heard are no more than the
// places a second, and a replica from elsewhere that comes in the middle of it does not notice.
func TestBruteForce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network, a := repltest.NewNetwork(1), newLedger(nil)
		fill(t, a, "k", 10)
		m := master(t, a, network.Host("a"), "a", guarded(keyA))
		b := newLedger(nil)
		early := replica(t, b, network.Host("early"), "a", guarded(keyA))
		synced(t, m, a, early)

		const guesses, at = 10_000, 200
		var made, heard atomic.Int64
		var all sync.WaitGroup
		begun := time.Now()
		for range at {
			all.Go(func() {
				for made.Add(1) <= guesses {
					p := call(t, network.Host("evil"), "a")
					if _, err := p.challenge(newHandProof()); err == nil {
						heard.Add(1)
						p.send(msgProof, make([]byte, 32))
						if rest, _ := io.ReadAll(p); len(rest) != 0 {
							t.Errorf("a guess was answered with % x", rest)
						}
					}
					p.Close()
					time.Sleep(500 * time.Millisecond)
				}
			})
		}
		time.Sleep(5 * time.Second)
		came := time.Now()
		late := replica(t, newLedger(nil), network.Host("late"), "a", guarded(keyA))
		synced(t, m, a, late)
		if took := time.Since(came); took > 2*time.Second {
			t.Errorf("a replica took %v to get in", took)
		}
		all.Wait()
		took := time.Since(begun)
		synctest.Wait()
		s := m.Status()
		if len(s.Followers) != 2 || s.Counters.Unproved > heard.Load() || s.Counters.Unproved+s.Counters.Unheard < guesses {
			t.Errorf("%d followers; %+v of %d", len(s.Followers), s.Counters, heard.Load())
		}
		if most := 64 * (int64(took/time.Second) + 2); heard.Load() > most || heard.Load() < 64 {
			t.Errorf("%d guesses were heard in %v, want at most %d", heard.Load(), took, most)
		}
		fill(t, a, "later", 3)
		synced(t, m, a, early, late)
		if s := early.Status().Upstream; s.Attempts != 1 {
			t.Errorf("an older link was cut off: %s", s.LastError)
		}
	})
}

// TestPenalty: one whose proof was wrong hears nothing for a second, and is let go then,
// or when the node is closed; one who was just wrong about the protocol is at once.
func TestPenalty(t *testing.T) {
	for _, closes := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			network := repl.NewMemory()
			m := master(t, newLedger(nil), network, "a", guarded(keyA))
			wait := func(p *peer) time.Duration {
				begun := time.Now()
				io.Copy(io.Discard, p)
				return time.Since(begun)
			}
			p := call(t, network, "a")
			p.Write([]byte(wireMagic))
			p.send(msgHello, someone(9).body())
			if took := wait(p); took != 0 {
				t.Errorf("one without a proof was let go after %v", took)
			}
			p = call(t, network, "a")
			p.challenge(newHandProof())
			p.send(msgProof, make([]byte, 32))
			want := time.Second
			if closes {
				want = 300 * time.Millisecond
				time.AfterFunc(want, func() { m.Close() })
			}
			if took := wait(p); took != want {
				t.Errorf("one with a wrong proof was let go after %v, want %v", took, want)
			}
		})
	}
}

// TestPenaltyKeepsItsReason: whatever ends the penalty, the operator reads that a proof was
// wrong, and not that somebody was slow.
func TestPenaltyKeepsItsReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := repl.NewMemory()
		var refused error
		o := guarded(keyA)
		o.HandshakeTimeout = 500 * time.Millisecond
		o.Events.Refused = func(_ repl.Peer, err error) { refused = err }
		m := master(t, newLedger(nil), network, "a", o)
		p := call(t, network, "a")
		p.challenge(newHandProof())
		p.send(msgProof, make([]byte, 32))
		begun := time.Now()
		io.Copy(io.Discard, p)
		synctest.Wait()
		if took := time.Since(begun); took != o.HandshakeTimeout || authReason(refused) != int(repl.AuthWrongSecret) || m.Status().Counters.Unproved != 1 {
			t.Errorf("let go after %v: %v", took, refused)
		}
	})
}

// TestCrowdAtTheDoor: a thousand who say nothing, and go on coming, take no more
// goroutines than there are places, and keep nobody out who comes from elsewhere.
func TestCrowdAtTheDoor(t *testing.T) {
	for _, secrets := range [][]repl.Secret{nil, {keyA}} {
		synctest.Test(t, func(t *testing.T) {
			network, a := repltest.NewNetwork(1), newLedger(nil)
			fill(t, a, "k", 10)
			m := master(t, a, network.Host("a"), "a", guarded(secrets...))
			synctest.Wait()
			before := leakcheck.Bubbled(t)
			crowd := func(n int) {
				for range n {
					call(t, network.Host("crowd"), "a")
				}
			}
			crowd(1000)
			synctest.Wait()
			if n := leakcheck.Bubbled(t) - before; n > 64+10 {
				t.Errorf("%d goroutines for a thousand strangers", n)
			}
			for i := range 20 {
				crowd(64)
				r := replica(t, newLedger(nil), network.Host("b"), "a", guarded(secrets...))
				begun := time.Now()
				synced(t, m, a, r)
				if took := time.Since(begun); took > 100*time.Millisecond {
					t.Errorf("with the door crowded, the replica with number %d got in after %v", i, took)
				}
				r.Close()
				time.Sleep(500 * time.Millisecond)
			}
			if n := m.Status().Counters.Unheard; n < 1000-64 {
				t.Errorf("%d were turned away", n)
			}
		})
	}
}

// A state is where a link stands in its handshake.
type state struct {
	name    string
	secrets []repl.Secret
	comes   func(p *peer) // as far as that; nil for the first word
	fine    []byte        // the kinds that belong there
}

// TestEveryKindInEveryStateOfTheHandshake, at both ends: what does not belong there ends
// it, at once and for nobody else.
func TestEveryKindInEveryStateOfTheHandshake(t *testing.T) {
	greets := func(p *peer) { p.Write([]byte(wireMagic)) }
	for _, s := range []state{
		{"a stranger's first word", nil, greets, []byte{msgHello, msgControl}},
		{"a stranger's first word to a guarded node", []repl.Secret{keyA}, greets, []byte{msgChallenge}},
		{"after the challenge", []repl.Secret{keyA}, func(p *peer) { p.challenge(newHandProof()) }, []byte{msgProof}},
		{"after the proof", []repl.Secret{keyA}, func(p *peer) { p.prove(string(keyA)) }, []byte{msgHello, msgControl}},
	} {
		for kind, body := range every() {
			synctest.Test(t, func(t *testing.T) {
				network, a := repl.NewMemory(), newLedger(nil)
				var refused error
				o := &repl.Options{Security: repl.Security{Secrets: s.secrets}}
				o.Events.Refused = func(_ repl.Peer, err error) { refused = err }
				m := master(t, a, network, "a", o)
				p := call(t, network, "a")
				s.comes(p)
				begun := time.Now()
				p.send(kind, body)
				go io.Copy(io.Discard, p)
				time.Sleep(1100 * time.Millisecond)
				synctest.Wait()
				fine := slices.Contains(s.fine, kind)
				if fine && refused != nil && authReason(refused) != int(repl.AuthWrongSecret) {
					t.Errorf("%s: kind %d: %v", s.name, kind, refused)
				}
				if !fine && (!errors.Is(refused, repl.ErrProtocol) && !errors.Is(refused, repl.ErrAuth) || m.Status().Counters.Handshakes != 1) {
					t.Errorf("%s: kind %d: %v", s.name, kind, refused)
				}
				if took := time.Since(begun); took > 2*time.Second {
					t.Errorf("%s: kind %d: after %v", s.name, kind, took)
				}
				p.Close()
			})
		}
	}
	heeds := func(p *peer) { p.heed(); p.next() }
	for _, s := range []state{
		{"the upstream's first word", nil, func(p *peer) { p.readMagic(); p.next(); greets(p) }, []byte{msgWelcome, msgRefuse}},
		{"a guarded upstream's first word", []repl.Secret{keyA}, func(p *peer) { p.readMagic(); p.next(); greets(p) }, []byte{msgChallenge}},
		{"where its proof is due", []repl.Secret{keyA}, heeds, nil},
		{"after the proofs", []repl.Secret{keyA}, func(p *peer) { p.accept(string(keyA)); p.await(msgHello) }, []byte{msgWelcome, msgRefuse}},
	} {
		for kind, body := range every() {
			synctest.Test(t, func(t *testing.T) {
				network, b := repl.NewMemory(), newLedger(nil)
				fill(t, b, "mine", 3)
				upstream(t, network, "a", func(n int, p *peer) {
					if n == 0 {
						s.comes(p)
						p.send(kind, body)
					}
					io.Copy(io.Discard, p)
				})
				o := &repl.Options{Security: repl.Security{Secrets: s.secrets}}
				d := keep(o)
				r := replica(t, b, network, "a", o)
				time.Sleep(2 * time.Second)
				synctest.Wait()
				err := d.last()
				refusal := new(repl.RefusedError)
				switch {
				case slices.Contains(s.fine, kind) && kind == msgRefuse:
					if !errors.As(err, &refusal) {
						t.Errorf("%s: a refusal: %v", s.name, err)
					}
				case slices.Contains(s.fine, kind):
					if err != nil {
						t.Errorf("%s: kind %d: %v", s.name, kind, err)
					}
				case !errors.Is(err, repl.ErrProtocol) && !errors.Is(err, repl.ErrAuth):
					t.Errorf("%s: kind %d: %v", s.name, kind, err)
				}
				if b.Len() != 3 {
					t.Errorf("%s: kind %d has changed the state", s.name, kind)
				}
				r.Close()
			})
		}
	}
}
