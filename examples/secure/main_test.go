package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/emberkv/ember/internal/leakcheck"
	"github.com/emberkv/ember/repl"
)

func TestMain(m *testing.M) { leakcheck.Main(m) }

// The program's own checks are the test; what it says is compared where it is not theirs.
func TestRun(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), &out); err != nil {
		t.Fatalf("%v, after\n%s", err, &out)
	}
	for _, want := range []string{
		"b follows a, which has proved to know secret 1",
		"the other end does not accept this node's certificate",
		repl.AuthNoProof.String(),
		repl.AuthWrongSecret.String(),
		"c has the new one alone; links lost: 0",
		"without a secret, he reads the group's name",
		"with a secret, he reads none of them",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("nothing of %q in\n%s", want, &out)
		}
	}
}

// TestShowIsNotBlind: one who has everything is let in, and the program says so as an error.
func TestShowIsNotBlind(t *testing.T) {
	var out bytes.Buffer
	s := &show{ctx: t.Context(), out: &out, secret: repl.NewSecret()}
	defer s.close()
	var err error
	if s.ours, err = newAuthority("test"); err != nil {
		t.Fatal(err)
	}
	if err := s.gather(); err != nil {
		t.Fatal(err)
	}
	transport, err := s.ours.transport("guest")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.try(stranger{"no stranger", transport, []repl.Secret{s.secret}}); err == nil || !strings.Contains(err.Error(), "let in") {
		t.Errorf("one who has a certificate and the secret: %v", err)
	}
	before := map[*member]int64{s.group[1]: s.group[1].lost.Load()}
	s.group[1].node.Close()
	if s.lost(before) == 0 {
		t.Error("a link that ends is not counted")
	}
}
