package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/emberkv/ember/kv"
	"github.com/emberkv/ember/repl"
)

// A member is a node of the group: a store, its seat, and what it has heard of its links.
type member struct {
	name    string
	addr    string
	store   *kv.Store
	node    *repl.Node
	replica *repl.Replica // nil for the master
	stop    context.CancelFunc
	all     sync.WaitGroup

	lost  atomic.Int64 // links that have ended
	ended chan error   // why the last ones have
	told  chan error   // why the last ones were refused who had dialled this node
}

// newMember makes a node that listens on a port of its own, and follows upstream unless
// that is empty. No secrets means that it asks for none.
func newMember(name string, transport repl.Transport, upstream string, secrets ...repl.Secret) (*member, error) {
	m := &member{name: name, store: kv.New(nil), ended: make(chan error, 1), told: make(chan error, 1)}
	opts := &repl.Options{
		Name: name, Group: "accounts", Transport: transport,
		Security: repl.Security{Secrets: secrets},
		Events: repl.Events{
			Disconnected: func(_ repl.Peer, err error) { m.lost.Add(1); offer(m.ended, err) },
			Refused:      func(_ repl.Peer, err error) { offer(m.told, err) },
		},
	}
	if err := m.join(upstream, opts); err != nil {
		m.store.Close()
		return nil, err
	}
	ln, err := transport.Listen("127.0.0.1:0")
	if err != nil {
		m.close()
		return nil, err
	}
	m.addr = ln.Addr().String()
	ctx, stop := context.WithCancel(context.Background())
	m.stop = stop
	m.all.Go(func() { m.node.Serve(ln) })
	m.all.Go(func() { m.node.Run(ctx) })
	return m, nil
}

func (m *member) join(upstream string, opts *repl.Options) error {
	if upstream == "" {
		master, err := repl.NewMaster(m.store, opts)
		if err == nil {
			m.node = master.Node()
		}
		return err
	}
	replica, err := repl.NewReplica(m.store, upstream, opts)
	if err == nil {
		m.replica, m.node = replica, replica.Node()
	}
	return err
}

func (m *member) close() {
	if m.stop != nil {
		m.stop()
	}
	m.node.Close()
	m.all.Wait()
	m.store.Close()
}

// offer leaves err, in place of one that nobody has taken.
func offer(c chan error, err error) {
	for {
		select {
		case c <- err:
			return
		default:
		}
		select {
		case <-c:
		default:
		}
	}
}

// next returns what comes from c first.
func next(ctx context.Context, c chan error) error {
	select {
	case err := <-c:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (m *member) synced(ctx context.Context) error {
	if m.replica == nil {
		return nil
	}
	return m.replica.WaitSynced(ctx)
}

func (m *member) set(key, value string) error { return m.store.Set(key, []byte(value)) }

// has returns nil when a key has a value here, as soon as all is here that from has.
func (m *member) has(ctx context.Context, from *member, key, value string) error {
	if err := m.store.Wait(ctx, from.store.Position()); err != nil {
		return fmt.Errorf("%s: %w", m.name, err)
	}
	got, err := m.store.Get(key)
	if err == nil && string(got) != value {
		err = fmt.Errorf("%s is %q on %s, want %q", key, got, m.name, value)
	}
	return err
}

// same returns nil when both hold the same at the same position.
func (m *member) same(other *member) error {
	a, err := m.store.Digest()
	b, err2 := other.store.Digest()
	if err = errors.Join(err, err2); err == nil && a != b {
		err = fmt.Errorf("%s has %v, %s has %v", m.name, a, other.name, b)
	}
	return err
}
