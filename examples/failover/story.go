package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/rpc"
	"slices"
	"sync"
	"time"

	"github.com/emberkv/ember/kv"
	"github.com/emberkv/ember/repl/sentinel"
)

// quietTime is how long the client writes between two events.
const quietTime = 500 * time.Millisecond

// A story is a group of processes, its client, and what has become of them.
type story struct {
	ctx       context.Context
	out       io.Writer
	downAfter time.Duration

	sentinels []*process
	client    *client
	killed    string // name of the node that is down

	mu    sync.Mutex
	nodes map[string]*process // by name, those that live
}

func (s *story) printf(format string, args ...any) { fmt.Fprintf(s.out, "  "+format+"\n", args...) }

func (s *story) end() {
	if s.client != nil {
		s.client.stop()
	}
	for _, p := range append(s.sentinels, slices.Collect(maps.Values(s.nodes))...) {
		p.end()
	}
}

// startNode starts a node under this name. It follows upstream, if there is one.
func (s *story) startNode(name, upstream string) (*process, error) {
	p, err := run(s.ctx, nodeArgument, name, "-follow", upstream)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.nodes[name] = p
	return p, nil
}

// where returns where clients reach a node.
func (s *story) where(name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.nodes[name]; p != nil {
		return p.clients()
	}
	return ""
}

func (s *story) build() error {
	a, err := s.startNode("a", "")
	if err != nil {
		return err
	}
	for _, name := range []string{"b", "c"} {
		if _, err := s.startNode(name, a.repl()); err != nil {
			return err
		}
	}
	var addrs []string
	for _, name := range []string{"s1", "s2", "s3"} {
		// One node is all that it is told of.
		p, err := run(s.ctx, sentinelArgument, name, "-monitor", a.repl(), "-down-after", s.downAfter.String())
		if err != nil {
			return err
		}
		s.sentinels = append(s.sentinels, p)
		addrs = append(addrs, p.addrs[0])
	}
	s.client = newClient(s.ctx, addrs, s.where)
	return s.settle()
}

// settle waits until writes are acknowledged and every node has what the master has, lets
// the client write a little, and says how it stands.
func (s *story) settle() error {
	before := s.client.look().writes
	err := s.until("every node to have what the master has", func() bool {
		return s.client.look().writes > before && s.level()
	})
	if err != nil {
		return err
	}
	time.Sleep(quietTime)
	l := s.client.look()
	s.printf("%s is the master, in epoch %d; %d writes acknowledged", l.master.Name, l.master.Epoch.Counter, l.writes)
	return nil
}

// level reports whether all nodes have the write that was acknowledged last.
func (s *story) level() bool {
	s.client.mu.Lock()
	last := s.client.acked[len(s.client.acked)-1:]
	s.client.mu.Unlock()
	s.mu.Lock()
	nodes := slices.Collect(maps.Values(s.nodes))
	s.mu.Unlock()
	for _, p := range nodes {
		n := 0
		if err := p.call("Count", last, &n); err != nil || n == 0 {
			return false
		}
	}
	return true
}

// kill kills the master and waits for writes on another one.
func (s *story) kill() error {
	old := s.client.look().master
	s.mu.Lock()
	p := s.nodes[old.Name]
	delete(s.nodes, old.Name)
	s.mu.Unlock()
	s.killed = old.Name
	s.client.begin()
	began := time.Now()
	p.end()
	var l lap
	if err := s.until("another master", func() bool {
		l = s.client.look()
		return l.master.ID != old.ID && l.last.After(began) && l.gap > 0
	}); err != nil {
		return err
	}
	before := l.writes
	if err := s.until("writes", func() bool { return s.client.look().writes > before }); err != nil {
		return err
	}
	l = s.client.look()
	s.printf("%s was the master until kill -9, %s is, in epoch %d", old.Name, l.master.Name, l.master.Epoch.Counter)
	s.printf("the client was without a master for %v (DownAfter is %v); %d attempts failed", l.gap.Round(time.Millisecond), s.downAfter, l.failed)
	time.Sleep(quietTime)
	return nil
}

// restart starts the node that was killed as a replica of the master that the sentinels name.
func (s *story) restart() error {
	var addrs []string
	for _, p := range s.sentinels {
		addrs = append(addrs, p.addrs[0])
	}
	master, err := sentinel.Resolve(s.ctx, addrs, "", nil)
	if err != nil {
		return err
	}
	if _, err := s.startNode(s.killed, master.Addr); err != nil {
		return err
	}
	return s.settle()
}

// count looks for every write that was acknowledged, on every node.
func (s *story) count() error {
	s.client.stop()
	if err := s.until("the nodes to be alike", s.alike); err != nil {
		return err
	}
	acked := s.client.acked
	for _, name := range slices.Sorted(maps.Keys(s.nodes)) {
		n := 0
		if err := s.nodes[name].call("Count", acked, &n); err != nil {
			return err
		}
		if n < len(acked) {
			return fmt.Errorf("%s has %d of %d acknowledged writes", name, n, len(acked))
		}
		s.printf("%s has all %d writes that were acknowledged", name, n)
	}
	return nil
}

// alike reports whether all nodes hold the same.
func (s *story) alike() bool {
	seen := make(map[kv.Digest]bool)
	for _, p := range s.nodes {
		var d kv.Digest
		if err := p.call("Digest", struct{}{}, &d); err != nil {
			return false
		}
		seen[d] = true
	}
	return len(seen) == 1
}

// call calls a method of a node's Store.
func (p *process) call(method string, args, reply any) error {
	link, err := rpc.Dial("tcp", p.clients())
	if err != nil {
		return err
	}
	defer link.Close()
	return link.Call("Store."+method, args, reply)
}

// until waits for f to be true.
func (s *story) until(what string, f func() bool) error {
	for !f() {
		select {
		case <-time.After(5 * time.Millisecond):
		case <-s.ctx.Done():
			return fmt.Errorf("waiting for %s: %w", what, s.ctx.Err())
		}
	}
	return nil
}
