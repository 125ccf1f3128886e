package repl_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/kv"
	"github.com/emberkv/ember/repl"
	"github.com/emberkv/ember/repl/repltest"
)

// TestWritableReplica: what is written on a replica goes nowhere, neither up nor down, and
// moves no position; it outlives a partial resync, ends with a full copy, and becomes
// everybody's with a promotion.
func TestWritableReplica(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := repltest.NewNetwork(9)
		a := newStation(t, net, "a", "", repl.Reading{})
		other := newStation(t, net, "other", "", repl.Reading{})
		b := writableStation(t, net, "b", "a")
		// Local writes are no data to be careful of: the first copy comes all the same.
		set(t, b, "early", "local")
		set(t, a, "k", "replicated")
		set(t, other, "k", "another's")
		c := newStation(t, net, "c", "b", repl.Reading{})
		b.becomes(t, nil)
		if has, _ := b.Has("early"); has {
			t.Error("a local write has outlived a full copy")
		}
		set(t, b, "k", "local")
		set(t, b, "mine", "local")
		for i := range 10 {
			set(t, a, fmt.Sprint("more", i), "replicated")
		}
		alike(t, a, b, c)
		want(t, a, "k", "replicated")
		want(t, b, "k", "local")
		want(t, c, "k", "replicated")
		if has, _ := c.Has("mine"); has || b.Len() != 12 || c.Len() != 11 {
			t.Errorf("%d keys on the replica, %d on its own", b.Len(), c.Len())
		}

		net.Link("a", "b").Cut()
		set(t, a, "behind", "replicated")
		alike(t, a, b, c)
		want(t, b, "mine", "local")

		promote(t, b)
		want(t, b, "k", "local")
		set(t, b, "after", "replicated")
		alike(t, b, c)
		want(t, c, "k", "local")
		want(t, c, "mine", "local")

		if _, err := must1(b.node.Master()).Demote("other", repl.AllowForeign); err != nil {
			t.Fatal(err)
		}
		set(t, b, "mine", "local again")
		alike(t, other, b)
		want(t, b, "k", "another's")
		if has, _ := b.Has("mine"); has {
			t.Error("a local write has outlived a full copy")
		}
	})
}

func writableStation(t *testing.T, net *repltest.Network, name, upstream string) *station {
	t.Helper()
	host := net.Host(name)
	s := &station{Store: kv.New(&kv.Options{WritableReplica: true})}
	t.Cleanup(func() { s.Close() })
	r, err := repl.NewReplica(s, upstream, seeded(t, &repl.Options{Name: name, Transport: host}))
	if err != nil {
		t.Fatal(err)
	}
	s.node = r.Node()
	t.Cleanup(func() { s.node.Close() })
	serve(t, s.node, host, name)
	go s.node.Run(context.Background())
	return s
}

func must1[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func promote(t *testing.T, s *station) {
	t.Helper()
	if _, err := must1(s.node.Replica()).Promote(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func set(t *testing.T, s *station, key, value string) {
	t.Helper()
	if err := s.Set(key, []byte(value)); err != nil {
		t.Fatal(err)
	}
}

func want(t *testing.T, s *station, key, value string) {
	t.Helper()
	if v, err := s.Get(key); err != nil || string(v) != value {
		t.Errorf("%s: %s is %q, %v; want %q", s.node.Name(), key, v, err, value)
	}
}

// alike waits until all stations have the digest and the position of the first.
func alike(t *testing.T, first *station, others ...*station) {
	t.Helper()
	want := must1(first.Digest())
	for _, s := range others {
		eventually(t, func() bool { return must1(s.Digest()) == want }, s.stateOf)
	}
}

// TestReadOnlyErrorNamesTheUpstream: in a chain it names the next node up, which is what is
// known for certain; after a re-pointing the new one; and before anything was heard, too.
func TestReadOnlyErrorNamesTheUpstream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := repltest.NewNetwork(10)
		_, b, c := chainOf(t, net, repl.Reading{})
		names := func(s *station, want string) {
			t.Helper()
			var e *repl.ReadOnlyError
			if err := s.Set("x", nil); !errors.As(err, &e) || !errors.Is(err, repl.ErrReadOnly) || e.Master != want {
				t.Errorf("%s: %v, want one that names %s", s.node.Name(), err, want)
			}
		}
		names(b, "a")
		names(c, "b")
		if err := must1(c.node.Replica()).Follow("a"); err != nil {
			t.Fatal(err)
		}
		names(c, "a") // at once
		names(newStation(t, net, "lost", "nowhere", repl.Reading{}), "nowhere")
		net.Around("b").Cut()
		time.Sleep(time.Minute)
		names(b, "a")
		// A master that steps down refuses from that moment on.
		promote(t, b)
		set(t, b, "x", "y")
		if _, err := must1(b.node.Master()).Demote("c"); err != nil {
			t.Fatal(err)
		}
		names(b, "c")
		b.node.Close()
		names(b, "c")
	})
}
