//go:build unix

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/emberkv/ember/repl"
)

// A keyring is a file of secrets of a story.
type keyring struct {
	t    *testing.T
	path string
}

func newKeyring(t *testing.T, secrets ...repl.Secret) *keyring {
	t.Helper()
	k := &keyring{t, filepath.Join(t.TempDir(), "secrets")}
	k.write(secrets...)
	return k
}

func (k *keyring) write(secrets ...repl.Secret) {
	k.t.Helper()
	text := "\n"
	for _, s := range secrets {
		text += "  " + string(s) + " \r\n"
	}
	if err := os.WriteFile(k.path, []byte(text), 0o600); err != nil {
		k.t.Fatal(err)
	}
}

// reread tells the node to read its files again, and waits until it has found so many.
func (p *process) reread(secrets int) {
	p.t.Helper()
	p.signal(syscall.SIGHUP)
	eventually(p.t, func() error {
		if n := p.status().Secrets; n != secrets {
			return fmt.Errorf("%s has %d secrets, want %d", p.name, n, secrets)
		}
		return nil
	})
}

// TestSecret: nodes that know the same are a group, and others hear nothing of it.
func TestSecret(t *testing.T) {
	t.Parallel()
	ours, theirs := newKeyring(t, repl.NewSecret()), newKeyring(t, repl.NewSecret())
	a := start(t, "a", "-secret", ours.path)
	b := start(t, "b", "-secret", ours.path, "-follow", a.repl)
	c := start(t, "c", "-secret", theirs.path, "-secret", ours.path, "-follow", b.repl)
	c.gets("k", "v", a.put("k", "v"))
	same(t, a, b, c)
	for _, p := range []*process{b, c} {
		if up := p.status().Upstream; !up.Sealed || up.Secret != map[*process]int{b: 1, c: 2}[p] {
			t.Errorf("%s: %+v", p.name, up)
		}
	}

	wrong := start(t, "wrong", "-secret", theirs.path, "-follow", a.repl)
	without := start(t, "without", "-follow", a.repl)
	wrong.complains("the peer has accepted no secret of this node")
	without.complains("closed without an answer")
	wrong.lacks("k")
	without.lacks("k")
	open := start(t, "open")
	b.follow(open)
	b.complains("or has no secrets")
	b.has("k", "v")
	b.follow(a)
	b.gets("k2", "v2", a.put("k2", "v2"))
	if n := a.status().Counters.Unproved; n == 0 {
		t.Error("a says of nobody that he has proved nothing")
	}
}

// TestChangeOfSecret: the whole group gets another secret, a node at a time, and nobody
// notices who does not ask.
func TestChangeOfSecret(t *testing.T) {
	t.Parallel()
	before, after := repl.NewSecret(), repl.NewSecret()
	var rings []*keyring
	var group []*process
	for i, name := range []string{"a", "b", "c"} {
		rings = append(rings, newKeyring(t, before))
		flags := []string{"-secret", rings[i].path}
		if i > 0 {
			flags = append(flags, "-follow", group[i-1].repl)
		}
		group = append(group, start(t, name, flags...))
	}
	a, c := group[0], group[2]
	c.gets("k", "v", a.put("k", "v"))
	attempts := make(map[*process]int64)
	for _, p := range group[1:] {
		attempts[p] = p.status().Upstream.Attempts // c may have come before b had anything
	}
	for i, p := range group {
		rings[i].write(after, before)
		p.reread(2)
	}
	for i, p := range group {
		rings[i].write() // somebody has saved an empty file
		p.signal(syscall.SIGHUP)
		rings[i].write("too short") // and then one that has to do with nothing
		p.signal(syscall.SIGHUP)
		rings[i].write(after)
		p.reread(1)
	}
	c.gets("k", "still here", a.put("k", "still here"))
	for _, p := range group[1:] {
		if up := p.status().Upstream; up.Attempts != attempts[p] {
			t.Errorf("%s has lost its link: %+v", p.name, up)
		}
	}
	late := start(t, "late", "-secret", newKeyring(t, before).path, "-follow", a.repl)
	late.complains("the peer has accepted no secret of this node")
	late.terminate()
	late = start(t, "in time", "-secret", newKeyring(t, after).path, "-follow", c.repl)
	late.gets("k", "still here", c.do(200, "GET", "/keys/k", "", "").position)
}

// TestSecretFiles: what makes no secret, and that none is shown.
func TestSecretFiles(t *testing.T) {
	short := newKeyring(t, "not long enough").path
	for name, c := range map[string]struct {
		file string
		want string
		code int
	}{
		"missing":  {filepath.Join(t.TempDir(), "none"), "no such file", 1},
		"a folder": {t.TempDir(), "is a directory", 1},
		"empty":    {newKeyring(t).path, "no secret in", 1},
		"short":    {short, short + ":2: repl: invalid option: the secret's length is 15, want at least 16 bytes", 2},
		"five":     {newKeyring(t, slices.Repeat([]repl.Secret{"0123456789abcdef"}, 5)...).path, "len(Secrets) is 5", 2},
	} {
		out, err := command("-http", "127.0.0.1:0", "-repl", "127.0.0.1:0", "-secret", c.file).CombinedOutput()
		var exit interface{ ExitCode() int }
		if !errors.As(err, &exit) || exit.ExitCode() != c.code || !strings.Contains(string(out), c.want) || strings.Contains(string(out), "not long enough") {
			t.Errorf("%s: %v, %s; want %d and %q", name, err, out, c.code, c.want)
		}
	}
}
