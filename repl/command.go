package repl

import (
	"context"
	"fmt"
	"time"

	"github.com/emberkv/ember/backlog"
)

// An OrderKind says what a node is ordered to do.
type OrderKind uint8

const (
	// OrderPromote makes a replica the master, in the epoch whose counter is Order.Epoch and whose
	// node is this one. A master of an older epoch begins that one where it stands. If the node is
	// the master of exactly that epoch, there is nothing to do.
	OrderPromote OrderKind = iota
	// OrderFollow makes the node, whether master or replica, a replica of the one at
	// Order.Addr.
	OrderFollow
	// OrderHandover makes a master hand the writing over to Order.To, as [Master.Handover]
	// does.
	OrderHandover
)

var orderKinds = [...]string{"promote", "follow", "handover"}

// String returns "promote", "follow" or "handover".
func (k OrderKind) String() string { return word(orderKinds[:], k) }

// An Order is what a sentinel tells a node that is Supervised to do.
type Order struct {
	Kind OrderKind

	// Epoch is the counter of the epoch in which the order is given. A node that has heard of
	// a higher one refuses the order with [ErrLowerEpoch]; a promotion also if it has heard
	// of the same counter with another node.
	Epoch uint64

	Addr  string // of the node to follow
	Allow Allow  // what that may cost; see [Replica.Follow]
	To    NodeID // the node to hand over to

	// Timeout is how long the order may take, at most MaxOrderTimeout. The default is 10 s.
	// Only a handover takes longer than applying the current message.
	Timeout time.Duration
}

// Bounds of Order.Timeout.
const (
	DefaultOrderTimeout = 10 * time.Second
	MaxOrderTimeout     = time.Hour
)

const maxOrderBytes = 1 + 8 + 1 + 16 + 8 + 1 + 255

// check returns the first thing that is wrong with the order.
func (o *Order) check() error {
	switch {
	case int(o.Kind) >= len(orderKinds):
		return &OptionError{Field: "Kind", Value: o.Kind, Want: "promote, follow or handover"}
	case o.Epoch == 0 && o.Kind != OrderHandover:
		return &OptionError{Field: "Epoch", Value: o.Epoch, Want: "that in which the order is given"}
	case o.Kind == OrderFollow && (o.Addr == "" || len(o.Addr) > 255):
		return &OptionError{Field: "Addr", Value: o.Addr, Want: "an address of at most 255 bytes"}
	case o.Kind == OrderHandover && o.To == (NodeID{}):
		return &OptionError{Field: "To", Value: o.To, Want: "a node's id"}
	case o.Epoch > backlog.MaxCounter:
		return &OptionError{Field: "Epoch", Value: o.Epoch, Want: "a counter of an epoch"}
	case o.Allow > AllowEmpty|AllowForeign:
		return &OptionError{Field: "Allow", Value: o.Allow, Want: "AllowEmpty, AllowForeign, or both"}
	case o.Timeout < 0 || o.Timeout > MaxOrderTimeout:
		return &OptionError{Field: "Timeout", Value: o.Timeout, Want: "0 to 1h"}
	}
	return nil
}

func (o *Order) append(b []byte) []byte {
	b = appendUint64(append(b, byte(o.Kind)), o.Epoch)
	b = append(append(b, byte(o.Allow)), o.To[:]...)
	return appendAddress(appendDuration(b, o.Timeout), o.Addr)
}

func parseOrder(b []byte) (*Order, error) {
	c, o := &cursor{b: b}, &Order{}
	o.Kind, o.Epoch = OrderKind(c.byte()), c.uint64()
	o.Allow, o.To = Allow(c.byte()), c.id()
	o.Timeout, o.Addr = c.duration(), c.address()
	if err := c.end("order"); err != nil {
		return nil, err
	}
	if err := o.check(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	return o, nil
}

// carryOut does what a sentinel has ordered.
func (n *Node) carryOut(o *Order) error {
	timeout := o.Timeout
	setDefault(&timeout, DefaultOrderTimeout)
	ctx, cancel := context.WithTimeout(n.ctx, timeout)
	defer cancel()
	t := n.tenure() // first: a role that came with a later epoch is not the one that the order is for
	if heard := n.standing().epoch; o.Epoch != 0 && heard.Counter > o.Epoch {
		return fmt.Errorf("%w: an order of %d, and this node has heard of %s", ErrLowerEpoch, o.Epoch, heard)
	}
	switch {
	case o.Kind == OrderPromote && t.role == RoleMaster:
		return n.ascend(ctx, t, o.Epoch)
	case o.Kind == OrderPromote:
		_, err := n.promote(ctx, t, o.Epoch)
		return err
	case o.Kind == OrderFollow && t.role == RoleMaster:
		_, err := n.demote(t, o.Addr, o.Allow)
		return err
	case o.Kind == OrderFollow:
		return n.follow(t, o.Addr, o.Allow)
	case t.role == RoleMaster:
		_, err := n.handover(ctx, t, o.To.String())
		return err
	}
	return ErrRoleChanged // a replica has nothing to hand over
}

// ascend is promote for a master of an older epoch. It goes on in the same tenure.
func (n *Node) ascend(ctx context.Context, t *tenure, counter uint64) error {
	done, err := n.change(ctx, t)
	if err != nil {
		return err
	}
	defer done()
	own := backlog.Epoch{Counter: counter, Node: n.opts.ID}
	if n.log.Lineage().Epoch == own && n.standing().epoch == own {
		return nil
	}
	if t.fenced.Load() {
		return fmt.Errorf("%w: it is stepping down", ErrBusy)
	}
	if err := n.mayBegin(counter); err != nil {
		return err
	}
	n.beginEpoch(counter)
	t.initial.Store(false)
	n.opts.Logger.Info("epoch", "epoch", own, "position", n.log.Position())
	n.pathChanged()
	n.obey(n.opts.Name)
	return nil
}
