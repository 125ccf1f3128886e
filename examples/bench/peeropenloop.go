package main

import (
	"sync"
	"sync/atomic"
	"time"
)

// A peerOpenLoop is an openLoop over one connection: a SET is sent when it is due, whether or
// not those before it have been answered.
type peerOpenLoop struct {
	c        *resp
	args     LoadArgs
	began    time.Time
	interval time.Duration

	quit    atomic.Bool
	stopped sync.Once
	sent    chan struct{} // closed when no more are
	done    chan struct{} // closed when all are answered

	mu struct {
		sync.Mutex
		latencies []time.Duration // by number of the write
		err       error
	}
}

// maxBurst is how many writes that are overdue are sent at once.
const maxBurst = 256

func startPeerOpenLoop(addr string, a LoadArgs) (*peerOpenLoop, error) {
	c, err := dialRESP(addr)
	if err != nil {
		return nil, err
	}
	o := &peerOpenLoop{
		c: c, args: a, began: time.Now(), interval: time.Second / time.Duration(a.Rate),
		sent: make(chan struct{}), done: make(chan struct{}),
	}
	o.mu.latencies = expectLatencies(a.Rate)
	go o.send()
	go o.receive()
	return o, nil
}

func (o *peerOpenLoop) send() {
	defer close(o.sent)
	defer precise()()
	e, next := newEntry(o.args.ValueBytes), 0
	for !o.quit.Load() {
		due := int(time.Since(o.began) / o.interval)
		if next > due {
			nap(napBetween)
			continue
		}
		for range min(due-next+1, maxBurst) {
			x := splitmix(o.args.Seed + uint64(next))
			o.c.set(e.keyOf(x%uint64(o.args.Space)), e.valueOf(x))
			next++
		}
		if err := o.c.flush(); err != nil {
			o.fail(err)
			return
		}
	}
	o.c.command("PING") // so that receive hears of the end
	o.fail(o.c.flush())
}

func (o *peerOpenLoop) receive() {
	defer close(o.done)
	for i := 0; ; i++ {
		v, err := o.c.receive()
		if err != nil {
			o.fail(err)
			return
		}
		if v == "PONG" {
			return
		}
		latency := time.Since(o.began) - time.Duration(i)*o.interval
		o.mu.Lock()
		o.mu.latencies = append(o.mu.latencies, latency)
		o.mu.Unlock()
	}
}

func (o *peerOpenLoop) fail(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.mu.err == nil {
		o.mu.err = err
	}
}

// stop ends the loop when all is answered, and returns the error that had ended it before, if any.
func (o *peerOpenLoop) stop() error {
	o.stopped.Do(func() {
		o.quit.Store(true)
		<-o.sent
		<-o.done
		o.c.close()
	})
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.mu.err
}

// before lets the loop run until it does so evenly, and then for the window that it returns.
func (o *peerOpenLoop) before(b *bench) Window {
	share := time.Duration(b.pick(1, 10))
	time.Sleep(loadSettles / share)
	from := time.Now()
	time.Sleep(loadBefore / share)
	return Window{from, time.Now()}
}

// window returns the latencies of the writes that were due in w.
func (o *peerOpenLoop) window(w Window) []time.Duration {
	o.mu.Lock()
	defer o.mu.Unlock()
	return dueIn(o.mu.latencies, o.interval, w.From.Sub(o.began), w.To.Sub(o.began))
}
