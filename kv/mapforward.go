package kv

import (
	"context"
	"errors"
	"time"
)

// forward asks the master's node to load a key. It returns done if that is the answer;
// otherwise the error is why there is none.
func (m *Map[K, V]) forward(ctx context.Context, key K, k string) (v V, done bool, err error) {
	if !m.mayAsk() {
		return v, false, &LoadError{Key: k, Err: errAsked}
	}
	ended := ctx.Err
	if m.opts.ForwardTimeout >= 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, m.opts.ForwardTimeout)
		defer cancel()
	}
	m.counters.forwards.Add(1)
	pos, err := m.opts.Forward(ctx, key)
	if err == nil {
		err = m.store.Wait(ctx, pos)
	}
	switch {
	case errors.Is(err, ErrNotFound):
		m.pause.Store(0)
		return v, true, ErrNotFound
	case m.store.table.Load() == nil:
		return v, true, ErrClosed
	case ended() != nil:
		return v, true, ended() // those who have waited were told
	case err != nil:
		m.counters.forwardFailures.Add(1)
		m.rest()
		return v, false, &LoadError{Key: k, Err: err}
	}
	m.pause.Store(0)
	h, err := m.lookUp(k)
	if err != nil {
		return v, true, err
	}
	if h.kind == 0 { // not kept there, or gone again
		return v, false, &LoadError{Key: k, Err: errNotKept}
	}
	v, err = m.answer(k, h)
	return v, true, err
}

var (
	// errAsked is why nobody is asked.
	errAsked = errors.New("another node was asked a moment ago, and has not answered")

	// errNotKept is why an answer has brought nothing.
	errNotKept = errors.New("the node that was asked has not kept the value")
)

// mayAsk reports whether another node may be asked. After a failure only one may find out
// whether there is an answer again, for a moment at least.
func (m *Map[K, V]) mayAsk() bool {
	until := m.pause.Load()
	if until == 0 {
		return true
	}
	now := int64(time.Since(m.began))
	return now >= until && m.pause.CompareAndSwap(until, now+int64(afterFailure))
}

// rest keeps everybody from being asked for a moment.
func (m *Map[K, V]) rest() { m.pause.Store(int64(time.Since(m.began) + afterFailure)) }

// paused reports whether that moment is not over.
func (m *Map[K, V]) paused() bool {
	until := m.pause.Load()
	return until != 0 && int64(time.Since(m.began)) < until
}
