package main

import (
	"context"
	"fmt"
	"slices"
	"text/tabwriter"
	"time"
)

// write sets so many more keys on the master.
func (s *story) write(n int) error {
	for range n {
		s.keys++
		if err := s.nodes[0].store.Set(fmt.Sprintf("key-%06d", s.keys), []byte("some value")); err != nil {
			return err
		}
	}
	fmt.Fprintf(s.out, "  %d keys set on %s\n", n, s.nodes[0].name)
	return nil
}

// lag returns how long a write takes to the end of the chain, in the median.
func (s *story) lag() (time.Duration, error) {
	top, bottom := s.nodes[0].store, s.nodes[len(s.nodes)-1].store
	times := make([]time.Duration, 0, 200)
	for range cap(times) {
		began := time.Now()
		if err := top.Set("lag", []byte("now")); err != nil {
			return 0, err
		}
		if err := bottom.Wait(s.ctx, top.Position()); err != nil {
			return 0, err
		}
		times = append(times, time.Since(began))
	}
	slices.Sort(times)
	return times[len(times)/2], nil
}

// compare waits until every node has what the master has, and prints how they stand.
func (s *story) compare() error {
	ctx, cancel := context.WithTimeout(s.ctx, 40*time.Second)
	defer cancel()
	want, err := s.nodes[0].store.Digest()
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "  node\trole\tfollows\tkeys\tposition\tfull copies\tpartial")
	for _, n := range s.nodes {
		if err := n.store.Wait(ctx, want.Position); err != nil {
			return fmt.Errorf("%s does not come to %s: %w; %+v", n.name, want.Position, err, n.member.Status().Upstream)
		}
		got, err := n.store.Digest()
		if err != nil {
			return err
		}
		if got != want {
			return fmt.Errorf("%s has %+v, the master %+v", n.name, got, want)
		}
		st := n.member.Status()
		follows, fulls, partials := "-", int64(0), int64(0)
		if u := st.Upstream; u != nil {
			follows, fulls, partials = u.Peer.Name, u.Fulls, u.Partials
		}
		fmt.Fprintf(w, "  %s\t%s\t%s\t%d\t%d of %.8s\t%d\t%d\n",
			n.name, st.Role, follows, got.Keys, got.Position.Offset, got.Position.History, fulls, partials)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(s.out, "  all equal")
	return nil
}
