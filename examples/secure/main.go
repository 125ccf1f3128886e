// Command secure shows who may connect to a group and who may not: nodes that have a
// certificate and know a secret, both made on the fly, and strangers who lack one or the other.
// Then the group gets another secret while it works, and no link ends.
//
//	go run ./examples/secure
//
// At last it leaves TLS away and listens on the wire, once without a secret and once with one.
// The program exits with 1 when somebody gets in who should not, a link ends that should
// not, something is read on the wire, or the nodes differ.
//
// Reading order: authority.go makes certificates, member.go is a node of the group, stranger.go
// one who is not, change.go the change of the secret, tap.go who listens.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/emberkv/ember/repl"
)

func main() {
	flag.Parse() // there are none: -help says so, and what is misspelt is refused
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := run(ctx, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "secure:", err)
		os.Exit(1)
	}
}

// A show is a group of a master and two replicas, one behind the other.
type show struct {
	ctx    context.Context
	out    io.Writer
	ours   *authority
	secret repl.Secret
	group  []*member // the master, who follows it, who follows that one
}

func run(ctx context.Context, out io.Writer) error {
	s := &show{ctx: ctx, out: out, secret: repl.NewSecret()}
	defer s.close()
	var err error
	if s.ours, err = newAuthority("the group's authority"); err != nil {
		return err
	}
	for _, part := range []func() error{s.gather, s.strangers, s.change, s.listen} {
		if err := part(); err != nil {
			return err
		}
	}
	return nil
}

func (s *show) say(format string, args ...any) { fmt.Fprintf(s.out, format+"\n", args...) }

func (s *show) close() {
	for i := len(s.group) - 1; i >= 0; i-- {
		s.group[i].close()
	}
}

// gather makes the group, over mutual TLS and with a secret.
func (s *show) gather() error {
	s.say("A group over TLS: each node shows a certificate of the group's authority, and knows a secret.")
	upstream := ""
	for _, name := range []string{"a", "b", "c"} {
		transport, err := s.ours.transport(name)
		if err != nil {
			return err
		}
		m, err := newMember(name, transport, upstream, s.secret)
		if err != nil {
			return err
		}
		s.group = append(s.group, m)
		upstream = m.addr
		if err := m.synced(s.ctx); err != nil {
			return err
		}
	}
	if err := s.master().set("greeting", "hello"); err != nil {
		return err
	}
	for _, m := range s.group[1:] {
		if err := m.has(s.ctx, s.master(), "greeting", "hello"); err != nil {
			return err
		}
		up := m.node.Status().Upstream
		s.say("  %s follows %s, which has proved to know secret %d; encrypted by TLS", m.name, up.Peer.Name, up.Secret)
	}
	return nil
}

func (s *show) master() *member { return s.group[0] }
