package repl

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// An answerer is the end of a control link that answers. One goroutine, run, reads the
// requests and answers what it can at once; what takes longer is answered by others. One more
// writes.
type answerer struct {
	link    *link
	answers chan reply
	news    func() <-chan struct{} // a channel that is closed when the other end should ask again; nil for none
	leaving <-chan struct{}        // closed when the link is to end
	refusal chan error             // capacity 1: from the reader, or replace, why the link is to be refused

	replaced atomic.Bool // set by replace: what is still asked is not looked at
	grace    *time.Timer // bounds what the refusal takes after replace; whoever calls that guards it

	over chan struct{} // closed when run returns
}

func newAnswerer(l *link, leaving <-chan struct{}, news func() <-chan struct{}) *answerer {
	return &answerer{link: l, answers: make(chan reply, MaxRequests), news: news, leaving: leaving, refusal: make(chan error, 1), over: make(chan struct{})}
}

// run answers until the link ends, and returns why it did. A request belongs to handle until
// that returns; an error of handle ends the link.
func (a *answerer) run(handle func(request) error) error {
	defer close(a.over)
	written := make(chan struct{})
	go func() { // ends with the link, which run closes before it waits here
		defer close(written)
		a.link.close(a.write())
	}()
	err := a.read(handle)
	a.link.close(err)
	<-written
	a.link.release()
	return linkError("control", a.link.peer, a.link.because(err))
}

func (a *answerer) read(handle func(request) error) error {
	for {
		k, body, err := a.link.r.next()
		if err != nil {
			return err
		}
		if a.replaced.Load() {
			continue
		}
		if k == kindRefuse {
			return parseRefuse(body)
		}
		r, err := parseRequest(body)
		if err == nil && r.what == askPing {
			a.answer(reply{})
			continue
		}
		if err == nil {
			err = handle(r)
		}
		if err != nil {
			if errors.Is(err, ErrProtocol) {
				a.refuse(err) // the other direction is not this goroutine's
				<-a.link.closed
			}
			return err
		}
	}
}

// refuse has the writer end the link, and say why, if it is not about to do so already.
func (a *answerer) refuse(why error) {
	select {
	case a.refusal <- why:
	default:
	}
}

// replace ends a's link because by has come with the same id, which is told to whoever is at the
// other end, in closeGrace, or not at all. It is called once, before grace is stopped.
func (a *answerer) replace(by Peer) {
	why := fmt.Errorf("%w: from %s", ErrReplaced, by.known())
	a.replaced.Store(true)
	a.refuse(why)
	a.grace = time.AfterFunc(closeGrace, func() { a.link.close(why) })
}

// answer has r sent. It blocks while MaxRequests others wait for that, until the link ends.
func (a *answerer) answer(r reply) {
	select {
	case a.answers <- r:
	case <-a.link.closed:
	}
}

// write sends what there is to say.
func (a *answerer) write() error {
	var news <-chan struct{}
	if a.news != nil {
		news = a.news()
	}
	for {
		var err error
		select {
		case r := <-a.answers:
			var head [requestHeadBytes + maxFailureText]byte
			err = a.link.w.write(kindReply, r.head(head[:0]), r.body)
		case <-news:
			news = a.news()
			err = a.link.w.write(kindNews, nil, nil)
		case why := <-a.refusal:
			a.link.refuse(why)
			return why
		case <-a.leaving:
			a.link.refuse(ErrClosed)
			return ErrClosed
		case <-a.link.closed:
			return a.link.cause
		}
		if err != nil {
			return err
		}
	}
}

// meet is the answering end's half of the handshake, from the other end's Control on.
func (l *link) meet(body []byte, own *introduction, room func(*introduction) error) error {
	them, err := l.takeControl(body)
	if err != nil && !errors.Is(err, ErrVersion) {
		return err // a stranger gets no answer
	}
	if l.secret == 0 { // else it was said before the proof
		l.w.begin()
	}
	if err == nil {
		err = them.agree(own.id, own.group)
	}
	if err == nil {
		err = room(them)
	}
	if err != nil {
		l.refuse(err)
		return err
	}
	own.versionMax = min(maxProtocol, them.versionMax)
	own.versionMin = own.versionMax
	if err := l.w.write(kindControl, own.append(nil), nil); err != nil {
		return err
	}
	patience := max(own.patience, them.patience)
	l.w.timeout = patience
	l.r.trust(patience, fromAsker)
	return nil
}
