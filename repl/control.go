package repl

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// A Control is a link by which somebody who is no node of a group watches a node of it and
// tells it what to do; or by which such outsiders speak to each other. It needs what a
// follower's link needs: the same listener, the same group, a secret in common if there are
// secrets.
//
// Its methods may be called concurrently. Requests go out in the order in which they are made, without
// waiting for the replies to those before; up to [MaxRequests] are under way, and a further one waits.
// A request whose context has ended counts until its reply has come.
type Control struct {
	opts *ControlOptions
	link *link

	asks  chan *asking  // to the goroutine that writes
	room  chan struct{} // a token for each request under way
	news  chan struct{} // capacity 1
	ended chan struct{} // closed when both goroutines have ended

	mu struct {
		sync.Mutex
		number uint64             // of the newest request
		asked  map[uint64]*asking // under way, at most MaxRequests
	}
}

// An asking is a request under way.
type asking struct {
	request
	answer chan reply // capacity 1
}

// DialControl dials addr, where a node or somebody else answers. It returns when the other end has
// said who it is, or with a [*LinkError] when it does not within ControlOptions.HandshakeTimeout
// or before ctx ends. The link lasts until Close is called or it breaks: there is no second try. An error of the
// options is an [*OptionError].
func DialControl(ctx context.Context, addr string, opts *ControlOptions) (*Control, error) {
	o, err := opts.normalize()
	if err != nil {
		return nil, err
	}
	greet := func(l *link) error { return l.introduce(o) }
	l, err := dial(ctx, o.Transport, o.HandshakeTimeout, Peer{Addr: addr}, kindsOf(kindControl, kindRefuse), greet)
	if err != nil {
		return nil, err
	}
	l.w.timeout = o.Timeout
	l.r.trust(o.Timeout, fromAsked)
	c := &Control{
		opts: o, link: l,
		asks: make(chan *asking), room: make(chan struct{}, MaxRequests), news: make(chan struct{}, 1), ended: make(chan struct{}),
	}
	c.mu.asked = make(map[uint64]*asking)
	go c.run()
	return c, nil
}

// introduce is the dialling end's half of the handshake.
func (l *link) introduce(o *ControlOptions) error {
	if err := l.open(o.Secrets); err != nil {
		return err
	}
	if err := l.w.write(kindControl, o.introduction().append(nil), nil); err != nil {
		return refusedEarly(l, err)
	}
	if len(o.Secrets) == 0 {
		if err := l.hearMagic(false); err != nil {
			return err
		}
	}
	l.r.takes = kindsOf(kindControl, kindRefuse)
	k, body, err := l.r.next()
	if err == nil && k == kindRefuse {
		err = parseRefuse(body)
	}
	if err != nil {
		return err
	}
	them, err := l.takeControl(body)
	if err == nil && them.versionMin != them.versionMax {
		err = fmt.Errorf("%w: answer to Control with versions %d to %d", ErrProtocol, them.versionMin, them.versionMax)
	}
	if err == nil {
		err = them.agree(o.ID, o.Group)
	}
	if err != nil {
		l.refuse(err)
	}
	return err
}

// takeControl notes who the peer is, by its Control.
func (l *link) takeControl(body []byte) (*introduction, error) {
	i, err := parseIntroduction(body)
	if err != nil {
		return nil, err
	}
	l.peer.ID, l.peer.Name, l.peer.Sentinel = i.id, printable(i.name, ""), i.seat == seatOther
	l.peer.Listen = reachable(printable(i.announce, ""), l.conn)
	return i, nil
}

// agree checks what both ends can check.
func (i *introduction) agree(id NodeID, group string) error {
	switch {
	case i.group != group:
		return fmt.Errorf("%w: %q there, %q here", ErrGroup, i.group, group)
	case i.id == id:
		return fmt.Errorf("%w: %s", ErrCycle, i.id)
	}
	return nil
}

// Peer returns who answers at the other end. Peer.Sentinel says that it is no node.
func (c *Control) Peer() Peer { return c.link.peer }

// Poll asks a node how it is, with what p brings. It blocks until the report has come. The errors are
// ctx's, an [*OptionError] for an invalid p, that of [Control.Err] when the link has ended, and
// [ErrNotAsked] inside a [*RefusedError] if the other end is no node.
func (c *Control) Poll(ctx context.Context, p *Poll) (*Report, error) {
	if p == nil {
		p = new(Poll)
	}
	if err := p.check(); err != nil {
		return nil, err
	}
	body, err := c.ask(ctx, askPoll, p.append(nil))
	if err != nil {
		return nil, err
	}
	r, err := parseReport(body)
	if err != nil {
		c.link.close(err)
		return nil, linkError("control", c.link.peer, err)
	}
	r.Announce = reachable(r.Announce, c.link.conn)
	return r, nil
}

// Order tells a node what to do, and blocks until it has done so, or has refused with a [*RefusedError]:
// [ErrNotSupervised], [ErrLowerEpoch], [ErrBusy] while it carries out another order, [ErrRoleChanged]
// for an order that does not fit its role, [ErrNoFollower] and the other errors of [Master.Handover],
// [ErrPeerClosed]. Other errors are those of [Control.Poll]: after these it is not known what the node
// has done. An order that was sent is carried out even if ctx ends.
func (c *Control) Order(ctx context.Context, o *Order) error {
	if err := o.check(); err != nil {
		return err
	}
	_, err := c.ask(ctx, askOrder, o.append(nil))
	return err
}

// Call hands body, at most MaxCallBytes, to the program at the other end if that is a
// [ControlServer], blocks until it has answered, and returns the answer, which belongs to
// the caller; body is not kept. Errors are those of [Control.Poll]; the program's own come as
// a [*RefusedError], which is [ErrFailed] unless they are of this package.
func (c *Control) Call(ctx context.Context, body []byte) ([]byte, error) {
	if len(body) > MaxCallBytes {
		return nil, fmt.Errorf("%w: call of %d bytes, limit %d", ErrLimit, len(body), MaxCallBytes)
	}
	return c.ask(ctx, askCall, body)
}

// ask sends a request and waits for the reply to it.
func (c *Control) ask(ctx context.Context, w what, body []byte) ([]byte, error) {
	select {
	case c.room <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-c.link.closed:
		return nil, c.Err()
	}
	a := &asking{request{what: w, body: body}, make(chan reply, 1)}
	select {
	case c.asks <- a:
	case <-ctx.Done():
		<-c.room
		return nil, ctx.Err()
	case <-c.link.closed:
		<-c.room
		return nil, c.Err()
	}
	select {
	case r := <-a.answer:
		return r.body, r.err
	case <-ctx.Done():
		return nil, ctx.Err() // the place is given back when the reply comes
	case <-c.link.closed:
		select {
		case r := <-a.answer: // the last that came
			return r.body, r.err
		default:
		}
		return nil, c.Err()
	}
}

// News returns a channel that holds a token when, since the last token was taken, the node has said
// that something about it has changed, such as its role or the state of its upstream link: it is
// worth a Poll.
func (c *Control) News() <-chan struct{} { return c.news }

// Done returns a channel that is closed when the link has ended.
func (c *Control) Done() <-chan struct{} { return c.link.closed }

// Err returns nil while the link is up, and then why it has ended, as a [*LinkError]; after Close,
// [ErrClosed].
func (c *Control) Err() error {
	err := c.link.because(nil)
	if err == ErrClosed {
		return err
	}
	return linkError("control", c.link.peer, err)
}

// Close ends the link and waits for its goroutines. Whatever waits for a reply gets
// [ErrClosed]. It may be called more than once, and returns nil.
func (c *Control) Close() error {
	c.link.close(ErrClosed)
	<-c.ended
	return nil
}

// run is the link's life: one goroutine writes, one reads.
func (c *Control) run() {
	defer close(c.ended)
	reading := make(chan struct{})
	go func() {
		defer close(reading)
		c.link.close(c.read())
	}()
	c.link.close(c.write())
	<-reading
	c.link.release()
	if err := c.Err(); err != ErrClosed {
		c.opts.Logger.Info("control link ended", "peer", c.link.peer.Name, "addr", c.link.peer.Addr, "err", err)
	}
}

// write sends what is asked, and pings the other end while there is nothing.
func (c *Control) write() error {
	pings := time.NewTicker(c.opts.Timeout / 3)
	defer pings.Stop()
	a := new(asking) // a ping at once: the link's first reply should not wait for the ticker
	for {
		var head [requestHeadBytes]byte
		if a.what != askPing {
			c.begin(a)
		}
		if err := c.link.w.write(kindRequest, a.head(head[:0]), a.body); err != nil {
			return err
		}
		select {
		case a = <-c.asks:
		case <-pings.C:
			a = new(asking)
		case <-c.link.closed:
			return c.link.cause
		}
	}
}

// begin numbers a request and notes that it waits for a reply.
func (c *Control) begin(a *asking) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.number++
	a.number = c.mu.number
	c.mu.asked[a.number] = a
}

// read takes in replies until the link ends.
func (c *Control) read() error {
	for {
		k, body, err := c.link.r.next()
		switch {
		case err != nil:
			return unexpected(err)
		case k == kindRefuse:
			return parseRefuse(body)
		case k == kindNews:
			select {
			case c.news <- struct{}{}:
			default:
			}
			continue
		}
		r, err := parseReply(body)
		if err == nil {
			err = c.replied(r)
		}
		if err != nil {
			return err
		}
	}
}

// replied hands a reply to whoever waits for it.
func (c *Control) replied(r reply) error {
	if r.number == 0 {
		return nil
	}
	c.mu.Lock()
	a := c.mu.asked[r.number]
	delete(c.mu.asked, r.number)
	c.mu.Unlock()
	if a == nil {
		return fmt.Errorf("%w: reply to request %d", ErrProtocol, r.number)
	}
	if len(r.body) > a.what.answerLimit() {
		return fmt.Errorf("%w: reply of %d bytes", ErrLimit, len(r.body))
	}
	r.body = bytes.Clone(r.body)
	if refused := (*RefusedError)(nil); errors.As(r.err, &refused) {
		refused.Peer = c.link.peer.known()
	}
	a.answer <- r
	<-c.room
	return nil
}

// answerLimit bounds the body of the reply to a request.
func (w what) answerLimit() int {
	switch w {
	case askPoll:
		return MaxReportBytes
	case askCall:
		return MaxCallBytes
	}
	return 0
}
