// Command handover tells how the writing moves from one node of a group to another: as a
// planned switch, while clients write, with nothing lost and nobody copied to; what happens
// when the other node does not answer; and what keeps two masters apart when somebody makes
// a second one by hand.
//
//	go run ./examples/handover
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
	"sync/atomic"
	"time"

	"github.com/emberkv/ember/kv"
	"github.com/emberkv/ember/repl"
)

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := run(ctx, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "handover:", err)
		os.Exit(1)
	}
}

// A story is a group of three, its clients, and what has become of them.
type story struct {
	ctx     context.Context
	out     io.Writer
	a, b, c *node
	clients *clients
	lost    atomic.Int64 // writes that a node was told it had alone, before they went
}

func run(ctx context.Context, out io.Writer) error {
	s := &story{ctx: ctx, out: out}
	defer s.end()
	for _, step := range []struct {
		title string
		do    func() error
	}{
		{"Three nodes: a is the master, b and c follow it; four clients write all the while", s.build},
		{"a is to be restarted: it hands over to b", s.handOver},
		{"a has been restarted, with what it had, and follows b; so does c", s.restart},
		{"b hands back to a", s.handBack},
		{"a is to hand over to c, which hangs: a says so in time, and goes on", s.hang},
		{"c is promoted by hand, though a lives: two masters, until a hears of it from b", s.twoMasters},
	} {
		fmt.Fprintf(out, "\n%s\n", step.title)
		if err := step.do(); err != nil {
			return fmt.Errorf("%s: %w", step.title, err)
		}
	}
	return nil
}

func (s *story) end() {
	if s.clients != nil {
		s.clients.stop()
	}
	for _, n := range []*node{s.a, s.b, s.c} {
		if n != nil {
			n.close()
		}
	}
}

func (s *story) store() *kv.Store {
	return kv.New(&kv.Options{OnLostTail: func(tail kv.LostTail) {
		for range tail.Events {
			s.lost.Add(1)
		}
	}})
}

func (s *story) build() (err error) {
	if s.a, err = start("a", "", s.store()); err != nil {
		return err
	}
	if s.b, err = start("b", s.a.addr, s.store()); err != nil {
		return err
	}
	if s.c, err = start("c", s.a.addr, s.store()); err != nil {
		return err
	}
	s.clients = newClients(s.a, s.b, s.c)
	return s.compare(s.a)
}

// give lets from hand over to to, and tells what the clients felt of it.
func (s *story) give(from, to *node) error {
	master, err := from.member.Master()
	if err != nil {
		return err
	}
	s.clients.lap()
	time.Sleep(20 * time.Millisecond) // of ordinary writes before
	ctx, cancel := context.WithTimeout(s.ctx, 30*time.Second)
	defer cancel()
	began := time.Now()
	if _, err := master.Handover(ctx, to.name); err != nil {
		return err
	}
	took := time.Since(began)
	if err := s.compare(to); err != nil {
		return err
	}
	fmt.Fprintf(s.out, "  it took %v; of %s\n", took.Round(10*time.Microsecond), s.clients.lap())
	return nil
}

func (s *story) handOver() error { return s.give(s.a, s.b) }

func (s *story) restart() error {
	store := s.a.leave()
	a, err := start("a", s.b.addr, store)
	if err != nil {
		return err
	}
	s.a = a
	s.clients.replace(0, a)
	if err := s.c.follow(s.b); err != nil {
		return err
	}
	return s.compare(s.b)
}

func (s *story) handBack() error { return s.give(s.b, s.a) }

func (s *story) hang() error {
	if err := s.c.follow(s.a); err != nil {
		return err
	}
	if err := s.c.synced(s.ctx); err != nil {
		return err
	}
	master, err := s.a.member.Master()
	if err != nil {
		return err
	}
	s.c.link.freeze()
	defer s.c.link.thaw()
	s.clients.lap()
	ctx, cancel := context.WithTimeout(s.ctx, 200*time.Millisecond)
	defer cancel()
	_, err = master.Handover(ctx, "c")
	fmt.Fprintln(s.out, "  a says:", err)
	if err == nil || errors.Is(err, repl.ErrInDoubt) || s.a.member.Role() != repl.RoleMaster {
		return fmt.Errorf("a is a %s", s.a.member.Role())
	}
	s.c.link.thaw()
	time.Sleep(20 * time.Millisecond) // until those that were held up have written, too
	if err := s.compare(s.a); err != nil {
		return err
	}
	fmt.Fprintf(s.out, "  of %s\n", s.clients.lap())
	return nil
}

func (s *story) twoMasters() error {
	if err := s.b.follow(s.a); err != nil {
		return err
	}
	s.clients.stop() // what they write on a from now on would be lost, and said so
	if err := s.compare(s.a); err != nil {
		return err
	}
	replica, err := s.c.member.Replica()
	if err != nil {
		return err
	}
	if _, err := replica.Promote(s.ctx); err != nil {
		return err
	}
	fmt.Fprintf(s.out, "  now a is a master, of epoch %.10s..., and c is, of %.10s...\n", epochOf(s.a), epochOf(s.c))
	// Somebody points b at c, and it comes back to a. What is written on a meanwhile, a
	// alone has: b would lose it, too, had it followed a until then.
	if err := s.b.follow(s.c); err != nil {
		return err
	}
	if err := s.b.store.Wait(s.ctx, s.c.store.Position()); err != nil {
		return err
	}
	if err := s.a.store.Set("written on", []byte("a")); err != nil {
		return err
	}
	if err := s.b.follow(s.a); err != nil {
		return err
	}
	select {
	case err := <-s.a.unmade:
		fmt.Fprintln(s.out, "  a has stepped down:", err)
	case <-s.ctx.Done():
		return s.ctx.Err()
	}
	fmt.Fprintln(s.out, "  a write on a gets:", s.a.store.Set("more", nil))
	for _, n := range []*node{s.a, s.b} {
		if err := n.follow(s.c); err != nil {
			return err
		}
	}
	if err := s.compare(s.c); err != nil {
		return err
	}
	fmt.Fprintf(s.out, "  a follows c and has given up what only it had, but not without a word: %d write\n", s.lost.Load())
	if s.lost.Load() != 1 {
		return errors.New("the write on a was not reported")
	}
	return nil
}

func epochOf(n *node) string { return n.member.Status().Lineage.Epoch.String() }
