package sentinel

import (
	"context"
	"fmt"
	"net"

	"github.com/emberkv/ember/repl"
)

// A Transport is a [repl.Transport] that dials the present master of a group, whoever it is and
// whatever address it is given. A replica that has it follows a switch by itself; no sentinel
// needs to know it or give it orders:
//
//	transport, err := sentinel.NewTransport(sentinels, "cache", nil)
//	replica, err := repl.NewReplica(store, "master", &repl.Options{Group: "cache", Transport: transport})
//	go replica.Run(ctx)
//
// It makes sure that the one that answers says that it is the master, and is the node that the sentinels
// mean: an old master may be back at its address before it is told that it no longer is one. It is not
// for a replica of a replica, which would become the master's.
type Transport struct {
	asker *asker
}

// NewTransport returns a Transport that asks the sentinels at these addresses. It dials nobody
// yet. The error is an [*repl.OptionError].
func NewTransport(sentinels []string, group string, opts *ClientOptions) (*Transport, error) {
	a, err := newAsker(sentinels, group, opts)
	if err != nil {
		return nil, err
	}
	return &Transport{asker: a}, nil
}

// Dial connects to the master. It blocks until the connection is up, no master can be found, or
// ctx ends; while it tries one that does not answer it listens for a switch. It ignores the
// address. Errors are a [*NoSentinelError], [ErrNotMaster], why dialing the master failed, or
// ctx.Err.
func (t *Transport) Dial(ctx context.Context, _ string) (net.Conn, error) {
	s := t.asker.subscribe(ctx)
	defer s.close()
	var (
		told    Reign
		present *attempt // at the master that was told last; nil before there is one
	)
	defer func() { present.abandon() }()
	for {
		select {
		case <-s.changed:
			best, err := s.look()
			if best != told {
				present.abandon()
				told, present = best, t.begin(ctx, best)
			} else if err != nil && present == nil {
				return nil, err
			}
		case d := <-present.result():
			present.cancel()
			present = nil
			return d.conn, d.err
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// Listen takes addr on the transport below.
func (t *Transport) Listen(addr string) (net.Listener, error) {
	return t.asker.opts.Transport.Listen(addr)
}

// A dialed is what came of dialing a node.
type dialed struct {
	conn net.Conn
	err  error
}

// An attempt dials a node, on a goroutine of its own. The methods of a nil one are those of an
// attempt that never comes to an end.
type attempt struct {
	cancel context.CancelFunc
	done   chan dialed // capacity 1
}

// begin dials the node that is said to be the master, if it says so itself.
func (t *Transport) begin(ctx context.Context, r Reign) *attempt {
	ctx, cancel := context.WithCancel(ctx)
	a := &attempt{cancel: cancel, done: make(chan dialed, 1)}
	go func() {
		if err := t.confirm(ctx, r); err != nil {
			a.done <- dialed{err: err}
			return
		}
		conn, err := t.asker.opts.Transport.Dial(ctx, r.Addr)
		a.done <- dialed{conn, err}
	}()
	return a
}

func (a *attempt) result() <-chan dialed {
	if a == nil {
		return nil
	}
	return a.done
}

// abandon ends an attempt whose result nobody has taken, and waits for its goroutine.
func (a *attempt) abandon() {
	if a == nil {
		return
	}
	a.cancel()
	if d := <-a.done; d.conn != nil {
		d.conn.Close()
	}
}

// confirm asks a node whether it is the master.
func (t *Transport) confirm(ctx context.Context, r Reign) error {
	c, err := repl.DialControl(ctx, r.Addr, t.asker.opts)
	if err != nil {
		return err
	}
	defer c.Close()
	report, err := c.Poll(ctx, nil)
	switch {
	case err != nil:
		return err
	case report.ID != r.ID:
		return fmt.Errorf("%w: at %s is %q, and not %q", ErrNotMaster, r.Addr, report.Name, r.Name)
	case report.Role != repl.RoleMaster:
		return fmt.Errorf("%w: %s says that it is a %s", ErrNotMaster, r.Addr, report.Role)
	}
	return nil
}
