// Command chain tells the story of a chain of replicas: each node follows the one
// above it, and all hold the same bytes at the same offsets. It loses a node in the
// middle, loses its master, puts others in their places, and nobody who has been there
// before ever needs a full copy.
//
//	go run ./examples/chain
//
// Every node has its own store and its own port on loopback. It exits with 1 when
// anything differs from what it tells.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/emberkv/ember/kv"
	"github.com/emberkv/ember/repl"
)

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := run(ctx, os.Stdout, 10_000); err != nil {
		fmt.Fprintln(os.Stderr, "chain:", err)
		os.Exit(1)
	}
}

// A story is a chain and what has become of it.
type story struct {
	ctx   context.Context
	out   io.Writer
	nodes []*node // all that live, from the master down
	left  *node   // the old master, and its store
	keys  int     // written so far
}

func run(ctx context.Context, out io.Writer, keys int) error {
	s := &story{ctx: ctx, out: out}
	defer func() {
		for _, n := range s.nodes {
			n.close()
		}
	}()
	for _, step := range []struct {
		title string
		do    func() error
	}{
		{"Four nodes in a chain: a <- b <- c <- d", func() error { return s.build(keys) }},
		{"c dies; d follows b in its place, and goes on where it stood", s.loseTheMiddle},
		{"c comes back with nothing, at the end of the chain: it alone takes a full copy", s.returnEmpty},
		{"d is pointed at c, which follows it: a ring, which is refused", s.ring},
		{"a dies; b is promoted, and nobody else has to be told", s.loseTheMaster},
		{"a comes back with what it had, as the last of the chain", s.returnAsLast},
	} {
		fmt.Fprintf(out, "\n%s\n", step.title)
		if err := step.do(); err != nil {
			return err
		}
		if err := s.compare(); err != nil {
			return err
		}
	}
	return nil
}

func (s *story) build(keys int) error {
	upstream := ""
	for _, name := range []string{"a", "b", "c", "d"} {
		n, err := start(name, upstream, kv.New(nil))
		if err != nil {
			return err
		}
		s.nodes = append(s.nodes, n)
		upstream = n.addr
	}
	if err := s.write(keys); err != nil {
		return err
	}
	// Only now, when nothing else is under way.
	if err := s.compare(); err != nil {
		return err
	}
	lag, err := s.lag()
	fmt.Fprintf(s.out, "  a write on a can be read on d, three links further, after %v in the median\n", lag.Round(time.Microsecond))
	return err
}

func (s *story) loseTheMiddle() error {
	b, c, d := s.nodes[1], s.nodes[2], s.nodes[3]
	c.close()
	s.nodes = []*node{s.nodes[0], b, d}
	if err := s.write(1000); err != nil { // which d does not get
		return err
	}
	return d.follow(b.addr)
}

func (s *story) returnEmpty() error {
	c, err := start("c", s.nodes[2].addr, kv.New(nil))
	if err != nil {
		return err
	}
	s.nodes = append(s.nodes, c)
	return nil
}

func (s *story) ring() error {
	b, d, c := s.nodes[1], s.nodes[2], s.nodes[3]
	refused := d.expect(repl.ErrCycle)
	if err := d.follow(c.addr); err != nil {
		return err
	}
	select {
	case err := <-refused:
		fmt.Fprintln(s.out, "  d says:", err)
	case <-s.ctx.Done():
		return errors.New("the ring was not refused")
	}
	return d.follow(b.addr)
}

func (s *story) loseTheMaster() error {
	a, b := s.nodes[0], s.nodes[1]
	if err := s.compare(); err != nil { // else b might lack what only a has
		return err
	}
	a.leave()
	s.left, s.nodes = a, s.nodes[1:]
	replica, err := b.member.Replica()
	if err != nil {
		return err
	}
	if _, err := replica.Promote(s.ctx); err != nil {
		return err
	}
	fmt.Fprintln(s.out, "  a is gone, and b is the master")
	return s.write(1000)
}

func (s *story) returnAsLast() error {
	last := s.nodes[len(s.nodes)-1]
	a, err := start("a", last.addr, s.left.store)
	if err != nil {
		return err
	}
	s.nodes = append(s.nodes, a)
	return nil
}
