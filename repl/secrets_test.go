package repl_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/rdb"
	"github.com/emberkv/ember/repl"
)

const (
	keyA = repl.Secret("a secret of some twenty bytes")
	keyB = repl.Secret("another of about as many bytes")
	keyC = repl.Secret("a third one, which is not shared")
)

// guarded returns options with these secrets.
func guarded(secrets ...repl.Secret) *repl.Options {
	return &repl.Options{Group: "prod", Security: repl.Security{Secrets: secrets}}
}

// authReason returns the reason in err, or -1 if it is no AuthError.
func authReason(err error) int {
	var auth *repl.AuthError
	if !errors.As(err, &auth) || !errors.Is(err, repl.ErrAuth) {
		return -1
	}
	return int(auth.Reason)
}

// TestSecrets: who gets together with whom, and what each of the others is told.
func TestSecrets(t *testing.T) {
	list := func(s ...repl.Secret) []repl.Secret { return s }
	for _, c := range []struct {
		upstream, follower []repl.Secret
		there, here        int // the secret that each finds the other to know; 0 for no link
		refused, ended     int // the reasons; -1 for no AuthError
	}{
		{nil, nil, 0, 0, -1, -1},
		{list(keyA), list(keyA), 1, 1, 0, 0},
		{list(keyB, keyA), list(keyA), 2, 1, 0, 0},
		{list(keyA), list(keyB, keyA), 1, 2, 0, 0},
		{list(keyB, keyA), list(keyA, keyB), 1, 2, 0, 0}, // the upstream's newest
		{list(keyC, keyB), list(keyA, keyB), 2, 2, 0, 0},
		{list(keyA), list(keyB), 0, 0, int(repl.AuthWrongSecret), int(repl.AuthRefused)},
		{list(keyA), list(keyA + "x"), 0, 0, int(repl.AuthWrongSecret), int(repl.AuthRefused)},
		{list(keyA, keyB), list(keyC), 0, 0, int(repl.AuthWrongSecret), int(repl.AuthRefused)},
		{list(keyA), nil, 0, 0, int(repl.AuthNoProof), -1},
		{nil, list(keyA), 0, 0, int(repl.AuthNoSecret), -1},
	} {
		synctest.Test(t, func(t *testing.T) {
			net, a, b := repl.NewMemory(), newLedger(nil), newLedger(nil)
			fill(t, a, "k", 10)
			below, above := guarded(c.follower...), guarded(c.upstream...)
			var refused []error
			d := keep(below)
			above.Events.Refused = func(_ repl.Peer, err error) { refused = append(refused, err) }
			m := master(t, a, net, "a", above)
			r := replica(t, b, net, "a", below)
			what := fmt.Sprintf("%d of the upstream, %d of the follower", len(c.upstream), len(c.follower))
			if c.refused == -1 && c.ended == -1 || c.there > 0 {
				synced(t, m, a, r)
				same(t, a, b)
				f, u := m.Status().Followers[0], r.Status().Upstream
				if f.Secret != c.there || u.Secret != c.here || f.Sealed != (c.there > 0) || u.Sealed != f.Sealed || u.Attempts != 1 {
					t.Errorf("%s: found %d and %d, sealed %v and %v", what, f.Secret, u.Secret, f.Sealed, u.Sealed)
				}
				return
			}
			time.Sleep(3 * time.Second)
			r.Close()
			m.Close()
			if len(refused) == 0 || authReason(refused[0]) != c.refused || authReason(d.ends[0]) != c.ended {
				t.Errorf("%s: %v, and %v", what, refused, d.ends)
			}
			if s := m.Status().Counters; s.Unproved == 0 || s.Handshakes > s.Unproved+1 || // one may be under way
				b.Len() != 0 || d.saw(repl.ErrGroup) {
				t.Errorf("%s: %+v, %d entries", what, s, b.Len())
			}
			if c.ended == -1 && !strings.Contains(d.ends[0].Error(), "secret") {
				t.Errorf("%s: %v does not say what to look for", what, d.ends[0])
			}
		})
	}
}

// TestSealedLinks: everything works as on a link that is not, with compression or
// without: large values, full copies, and heartbeats in between.
func TestSealedLinks(t *testing.T) {
	for _, packs := range []rdb.Compression{rdb.None, rdb.S2} {
		synctest.Test(t, func(t *testing.T) {
			net, a, b := repl.NewMemory(), newLedger(nil), newLedger(nil)
			fill(t, a, "k", 500)
			o := guarded(keyA)
			o.Compression = packs
			m := master(t, a, net, "a", o)
			r := replica(t, b, net, "a", o)
			synced(t, m, a, r)
			a.put("big", strings.Repeat("all of it ", 100_000))
			fill(t, a, "more", 100)
			time.Sleep(time.Minute)
			synced(t, m, a, r)
			same(t, a, b)
			u := r.Status().Upstream
			if u.Attempts != 1 || !u.Sealed || (u.Read < 900_000) != (packs != rdb.None) {
				t.Errorf("%v: %+v", packs, u)
			}
			f := m.Status().Followers[0]
			if last := u.Read - f.Written; u.ReadPlain-f.WrittenPlain != last || packs == rdb.None && u.Read != u.ReadPlain {
				t.Errorf("%v: read %d for %d, written %d for %d", packs, u.Read, u.ReadPlain, f.Written, f.WrittenPlain)
			}
		})
	}
}

// TestChangeOfSecret: a group goes from one secret to another, a node at a time, and
// no link ends; nor does one that could not be made anew. Those that come have to
// know what is in force.
func TestChangeOfSecret(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := repl.NewMemory()
		var ledgers []*ledger
		var nodes []*repl.Node
		for range 3 {
			ledgers = append(ledgers, newLedger(nil))
		}
		m := master(t, ledgers[0], net, "a", guarded(keyA))
		b := replica(t, ledgers[1], net, "a", guarded(keyA))
		serve(t, b, net, "b")
		fill(t, ledgers[0], "k", 10)
		synced(t, m, ledgers[0], b)
		c := replica(t, ledgers[2], net, "b", guarded(keyA))
		nodes = append(nodes, m.Node(), b.Node(), c.Node())
		unbroken := func(when string) {
			t.Helper()
			fill(t, ledgers[0], when, 5)
			caughtUp(t, c, ledgers[2], ledgers[0])
			for _, r := range []*repl.Replica{b, c} {
				if s := r.Status().Upstream; s.Attempts != 1 || s.LastError != "" {
					t.Errorf("%s: %d attempts, %s", when, s.Attempts, s.LastError)
				}
			}
		}
		unbroken("before")
		comes := func(when string, want bool, secrets ...repl.Secret) {
			t.Helper()
			for _, addr := range []string{"a", "b"} {
				r := replica(t, newLedger(nil), net, addr, guarded(secrets...))
				time.Sleep(2 * time.Second)
				if up := r.Status().Upstream.Synced; up != want {
					t.Errorf("%s: one who comes to %s is synced: %v", when, addr, up)
				}
				r.Close()
			}
		}
		for i, n := range nodes {
			if err := n.SetSecrets([]repl.Secret{keyB, keyA}); err != nil {
				t.Fatal(err)
			}
			unbroken(fmt.Sprint("both at ", i))
		}
		comes("both", true, keyA)
		comes("both", true, keyB)
		comes("both", false, keyC)
		for i, n := range nodes {
			if err := n.SetSecrets([]repl.Secret{keyB}); err != nil {
				t.Fatal(err)
			}
			unbroken(fmt.Sprint("new at ", i))
		}
		comes("new", true, keyB)
		comes("new", false, keyA)
		unbroken("after")

		// What is given up does not come back by way of the list that was handed over.
		mine := []repl.Secret{keyB, keyC}
		m.Node().SetSecrets(mine)
		mine[0] = keyA
		r := replica(t, newLedger(nil), net, "a", guarded(keyA))
		time.Sleep(2 * time.Second)
		if r.Status().Upstream.Synced {
			t.Error("the list of a node that runs was changed from outside")
		}
		if n := m.Status().Secrets; n != 2 {
			t.Errorf("status says %d secrets", n)
		}
	})
}

// TestSecretsMustBeGood: lists that nobody can have meant, and secrets that can be guessed.
func TestSecretsMustBeGood(t *testing.T) {
	short := repl.Secret("fifteen bytes..")
	for _, list := range [][]repl.Secret{{}, {short}, {keyA, short}, {keyA, ""}, {keyA, keyA, keyA, keyA, keyA}} {
		m, err := repl.NewMaster(newLedger(nil), seeded(t, guarded(list...)))
		if len(list) == 0 {
			m, err = repl.NewMaster(newLedger(nil), seeded(t, &repl.Options{Security: repl.Security{Secrets: list}}))
		}
		var option *repl.OptionError
		if !errors.As(err, &option) || !strings.Contains(option.Field, "Secrets") {
			t.Errorf("%d secrets: %v, %v", len(list), m, err)
		}
		if err != nil && strings.Contains(err.Error(), string(short)) {
			t.Errorf("%v shows a secret", err)
		}
		m, err = repl.NewMaster(newLedger(nil), seeded(t, guarded(keyA)))
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Node().SetSecrets(list); !errors.Is(err, repl.ErrOption) || m.Status().Secrets != 1 {
			t.Errorf("SetSecrets of %d: %v, %d in force", len(list), err, m.Status().Secrets)
		}
		if err := m.Node().SetSecrets(nil); !errors.Is(err, repl.ErrOption) {
			t.Errorf("the last secret could be taken away: %v", err)
		}
		m.Close()
	}
}

// TestSecretsAreNotShown, by nothing that prints or encodes.
func TestSecretsAreNotShown(t *testing.T) {
	o := *guarded(keyA)
	text := fmt.Sprintf("%v %+v %#v %s %q %x %d", o.Security, o, o.Security, keyA, keyA, keyA, keyA) + keyA.String()
	out, err := json.Marshal(o.Security)
	if err != nil {
		t.Fatal(err)
	}
	text += string(out)
	for _, shown := range []string{string(keyA), fmt.Sprintf("%x", string(keyA)), fmt.Sprint([]byte(keyA))} {
		if strings.Contains(text, shown) {
			t.Errorf("a secret is shown in %s", text)
		}
	}
	if !strings.Contains(text, "(secret)") {
		t.Error("nothing shows that there is one")
	}
	if a, b := repl.NewSecret(), repl.NewSecret(); a == b || len(a) != 64 {
		t.Errorf("NewSecret of %d bytes", len(a))
	}
}
