package repl

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/emberkv/ember/backlog"
)

// A gate decides whether a write enters the log: check is the one place that does. The
// log asks it under its own lock, so there is no moment between the decision and the
// append; therefore it loads atomics, compares moments of the monotonic clock, and
// nothing else. In this order:
//
//	role     the node takes writes at all, or names who does     (ReadOnlyError)
//	fence    no higher epoch is known                            (FencedError)
//	pause    the writing is not just being handed over           (backlog.PausedError: the writer waits)
//	lease    the sentinels let it: Options.Supervised            (LeaseError)
//	near     enough replicas are near: Options.MinReplicas       (ErrNotEnoughReplicas)
//
// The first three change seldom, and shut is the outcome of all of them. What depends on
// the time of each write, the lease and the replicas, comes behind it.
type gate struct {
	log   *backlog.Log
	shut  atomic.Pointer[refusal] // nil while none of the causes holds; stored under mu
	lease *lease                  // nil for a node that is not supervised
	near  *nearness               // nil when any number of replicas will do
	news  *gateNews               // nil when nobody is to be told of changes

	mu struct {
		sync.Mutex
		causes
	}
}

// A refusal is an error, made before it is needed: the gate must not allocate.
type refusal struct{ err error }

// causes are why no write is let in, nil for those that do not hold.
type causes struct {
	role  error
	fence error
	pause *backlog.PausedError
}

func (r *causes) first() *refusal {
	switch {
	case r.role != nil:
		return &refusal{r.role}
	case r.fence != nil:
		return &refusal{r.fence}
	case r.pause != nil:
		return &refusal{r.pause}
	}
	return nil
}

// check is the [backlog.Gate].
func (g *gate) check() error {
	if r := g.shut.Load(); r != nil {
		return r.err
	}
	if g.lease != nil {
		if err := g.lease.lapsed(); err != nil {
			return err
		}
	}
	if g.near != nil {
		return g.near.tooFew()
	}
	return nil
}

// state returns what a write gets now, as the error, and for how long at most that holds if
// nothing is heard; 0 for ever.
func (g *gate) state() (holds time.Duration, err error) {
	err = g.check()
	if err == nil && g.near != nil {
		holds = max(g.near.left(), 1)
	}
	if err == nil && g.lease != nil {
		if left := g.lease.left(); holds == 0 || left > 0 && left < holds {
			holds = left
		}
	}
	return holds, err
}

// deposed returns why another node may be writing: this one has lost the role, or holds no
// lease. What followers ack then counts for nothing, as that other one need not have it. It is
// nil for a node whose writes are refused for want of replicas, or held up.
func (g *gate) deposed() error {
	if r := g.shut.Load(); r != nil {
		if _, paused := r.err.(*backlog.PausedError); !paused {
			return r.err
		}
	}
	if g.lease != nil {
		return g.lease.lapsed()
	}
	return nil
}

// change lets f change the causes. When it returns, no write that they would not have
// let in is under way.
func (g *gate) change(f func(r *causes)) {
	g.mu.Lock()
	f(&g.mu.causes)
	g.shut.Store(g.mu.first())
	g.mu.Unlock()
	g.log.SetGate(g.check) // waits for the append that is under way
	if g.news != nil {
		g.news.ring()
	}
}

// fenced returns why the node has stopped writing, if a higher epoch is the reason.
func (g *gate) fenced() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.mu.fence
}

// pause holds writers up until the function that it returns is called, which lets them
// ask again. It may be called more than once.
func (g *gate) pause() (resume func()) {
	over := make(chan struct{})
	g.change(func(r *causes) { r.pause = &backlog.PausedError{Resume: over} })
	return sync.OnceFunc(func() {
		g.change(func(r *causes) { r.pause = nil })
		close(over) // last: those who wake find the gate as it is now
	})
}
