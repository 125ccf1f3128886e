package kv

import (
	"container/list"
	"context"
	"errors"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

// errGoexit is what a load has done that has called runtime.Goexit.
var errGoexit = errors.New("the goroutine was ended by runtime.Goexit")

// Flights are the loads of a map that are under way: one for a key at a time, so many at
// once, and the others in a queue. A flight in the queue has somebody who waits for it, or
// is taken out; so callers bound the queue, and it has no goroutine. One that has begun goes
// on without callers.
//
// It is like golang.org/x/sync/singleflight, with contexts, a bound, and a way to say that
// what is under way is out of date.
type flights[V any] struct {
	limit   int           // negative for none
	timeout time.Duration // of a flight in the queue, and again of one that has begun; negative for none
	ctx     context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup
	begun   atomic.Int64 // len(mu.begun), for those who need no lock when it is 0

	mu struct {
		sync.Mutex
		ended bool
		byKey map[string]*flight[V]
		queue list.List // of *flight[V], which wait for their turn
		begun map[*flight[V]]struct{}
	}
}

// A flight is one load.
type flight[V any] struct {
	key  string
	load func(context.Context, *flight[V]) (V, error)
	void atomic.Bool // the key was written after it had begun: what it brings is out of date

	// What it has brought, to be read when landed is closed.
	landed chan struct{}
	v      V
	err    error

	// Under the lock of flights.
	over    bool          // landed is closed
	waiting int           // callers
	place   *list.Element // in the queue, until it begins
	timer   *time.Timer
	cancel  context.CancelFunc
}

func newFlights[V any](limit int, timeout time.Duration) *flights[V] {
	f := &flights[V]{limit: limit, timeout: timeout}
	f.ctx, f.cancel = context.WithCancel(context.Background())
	f.mu.byKey = make(map[string]*flight[V])
	f.mu.begun = make(map[*flight[V]]struct{})
	return f
}

// do returns what load brings for a key, or the flight that is under way for it, and whether
// it was that one. It blocks until then, or until ctx ends.
func (f *flights[V]) do(ctx context.Context, key string, load func(context.Context, *flight[V]) (V, error)) (v V, joined bool, err error) {
	if err := ctx.Err(); err != nil {
		return v, false, err
	}
	fl, joined, err := f.join(key, load)
	if err != nil {
		return v, false, err
	}
	select {
	case <-fl.landed:
		return fl.v, joined, fl.err
	case <-ctx.Done():
		f.leave(fl)
		return v, joined, ctx.Err()
	}
}

// join makes the caller one of those who wait for a key's flight.
func (f *flights[V]) join(key string, load func(context.Context, *flight[V]) (V, error)) (*flight[V], bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.mu.ended {
		return nil, false, ErrClosed
	}
	if fl := f.mu.byKey[key]; fl != nil {
		fl.waiting++
		return fl, true, nil
	}
	fl := f.addLocked(key, load)
	fl.waiting = 1
	if f.fullLocked() {
		fl.place = f.mu.queue.PushBack(fl)
	} else {
		f.beginLocked(fl)
	}
	return fl, false, nil
}

// start begins a flight that nobody waits for, unless there is one for the key. It returns
// false when there is no room.
func (f *flights[V]) start(key string, load func(context.Context, *flight[V]) (V, error)) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.mu.ended || f.mu.byKey[key] != nil {
		return true
	}
	if f.fullLocked() {
		return false
	}
	f.beginLocked(f.addLocked(key, load))
	return true
}

func (f *flights[V]) fullLocked() bool { return f.limit >= 0 && len(f.mu.begun) >= f.limit }

func (f *flights[V]) addLocked(key string, load func(context.Context, *flight[V]) (V, error)) *flight[V] {
	fl := &flight[V]{key: key, load: load, landed: make(chan struct{})}
	if f.timeout >= 0 {
		fl.timer = time.AfterFunc(f.timeout, func() { f.late(fl) })
	}
	f.mu.byKey[key] = fl
	return fl
}

// beginLocked lets a flight begin, in a goroutine of its own.
func (f *flights[V]) beginLocked(fl *flight[V]) {
	fl.place = nil
	if fl.timer != nil {
		fl.timer.Reset(f.timeout)
	}
	var ctx context.Context
	ctx, fl.cancel = context.WithCancel(f.ctx)
	f.mu.begun[fl] = struct{}{}
	f.begun.Store(int64(len(f.mu.begun)))
	f.running.Go(func() { f.fly(ctx, fl) })
}

func (f *flights[V]) fly(ctx context.Context, fl *flight[V]) {
	var v V
	err := error(&LoadError{Key: fl.key, Err: errGoexit})
	defer func() { f.land(fl, v, err) }()
	v, err = fl.run(ctx)
}

// run calls load, and makes an error of a panic.
func (fl *flight[V]) run(ctx context.Context) (v V, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = &LoadError{Key: fl.key, Err: &PanicError{Value: r, Stack: debug.Stack()}}
		}
	}()
	return fl.load(ctx, fl)
}

// land ends a flight whose goroutine ends, and lets the next one begin.
func (f *flights[V]) land(fl *flight[V], v V, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.overLocked(fl, v, err)
	fl.cancel()
	delete(f.mu.begun, fl)
	if f.mu.byKey[fl.key] == fl {
		delete(f.mu.byKey, fl.key)
	}
	if next := f.mu.queue.Front(); next != nil && !f.fullLocked() {
		f.beginLocked(f.mu.queue.Remove(next).(*flight[V]))
	}
	f.begun.Store(int64(len(f.mu.begun)))
}

// overLocked tells all who wait how a flight has ended, once.
func (f *flights[V]) overLocked(fl *flight[V], v V, err error) {
	if fl.over {
		return
	}
	fl.over, fl.v, fl.err = true, v, err
	if fl.timer != nil {
		fl.timer.Stop()
	}
	close(fl.landed)
}

// late ends a flight whose time is up. Its load may go on, and while it does no other one is
// begun for the key; whoever asks is told at once.
func (f *flights[V]) late(fl *flight[V]) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if fl.over {
		return
	}
	var none V
	f.overLocked(fl, none, &LoadError{Key: fl.key, Err: ErrLoadTimeout})
	f.dropLocked(fl)
}

// leave is what a caller does that waits no longer.
func (f *flights[V]) leave(fl *flight[V]) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if fl.waiting--; fl.waiting > 0 || fl.place == nil || fl.over {
		return
	}
	var none V
	f.overLocked(fl, none, context.Canceled) // nobody is told
	f.dropLocked(fl)
}

// dropLocked takes a flight that is over out of the queue, or lets its load know.
func (f *flights[V]) dropLocked(fl *flight[V]) {
	if fl.place == nil {
		fl.cancel()
		return
	}
	f.mu.queue.Remove(fl.place)
	delete(f.mu.byKey, fl.key)
}

// voidKey says that a key is about to be written: what a flight brings that has begun before
// is for those who wait for it already, and is not kept.
func (f *flights[V]) voidKey(key string) {
	if f.begun.Load() == 0 {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if fl := f.mu.byKey[key]; fl != nil && fl.place == nil {
		fl.void.Store(true)
		delete(f.mu.byKey, key)
	}
}

// voidAll is voidKey for all keys.
func (f *flights[V]) voidAll() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for fl := range f.mu.begun {
		fl.void.Store(true)
		if f.mu.byKey[fl.key] == fl {
			delete(f.mu.byKey, fl.key)
		}
	}
}

// count returns how many flights have begun and how many wait for their turn.
func (f *flights[V]) count() (begun, queued int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.mu.begun), f.mu.queue.Len()
}

// end ends all flights and waits for their goroutines. It may be called again.
func (f *flights[V]) end() {
	f.mu.Lock()
	f.mu.ended = true
	var none V
	for fl := range f.mu.begun {
		f.overLocked(fl, none, ErrClosed)
	}
	for next := f.mu.queue.Front(); next != nil; next = f.mu.queue.Front() {
		fl := next.Value.(*flight[V])
		f.overLocked(fl, none, ErrClosed)
		f.dropLocked(fl)
	}
	f.mu.Unlock()
	f.cancel()
	f.running.Wait()
}
