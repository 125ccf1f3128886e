package repl

import (
	"context"
	"fmt"
	"net"
	"sync"
	"syscall"

	"github.com/emberkv/ember/internal/pipe"
)

// MemoryBufferBytes bounds what each direction of a connection of [Memory]
// holds between a Write and the Read that takes it.
const MemoryBufferBytes = pipe.DefaultBufferBytes

// Memory is a network within the process: a [Transport] whose addresses are
// names. It is meant for tests, and for several stores in one program. Networks
// are separate: what listens on one cannot be dialed on another.
//
// Connections behave as TCP connections do, buffers included (see
// [MemoryBufferBytes]), and have CloseWrite. Every wait is on a channel or a
// condition, so a Memory made inside a testing/synctest bubble runs on the
// bubble's virtual time. It has no goroutine of its own and needs no Close.
type Memory struct {
	mu struct {
		sync.Mutex
		listeners map[string]*pipe.Listener
		dials     uint64 // numbers the dialing ends
	}
}

// NewMemory returns a network on which nobody listens yet. Its methods may be
// called concurrently.
func NewMemory() *Memory {
	m := &Memory{}
	m.mu.listeners = make(map[string]*pipe.Listener)
	return m
}

// Listen takes the name addr, which must not be empty, until the listener is
// closed. It returns a [*net.OpError] around syscall.EADDRINUSE when the name
// is taken, and around syscall.EINVAL when it is empty.
func (m *Memory) Listen(addr string) (net.Listener, error) {
	at := memoryAddr(addr)
	if addr == "" {
		return nil, pipe.OpError("listen", nil, at, syscall.EINVAL)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.mu.listeners[addr] != nil {
		return nil, pipe.OpError("listen", nil, at, syscall.EADDRINUSE)
	}
	l := pipe.NewListener(at, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.mu.listeners, addr)
	})
	m.mu.listeners[addr] = l
	return l, nil
}

// Dial connects to the listener that has the name addr. It returns before the
// connection is accepted, and blocks, at most until ctx ends, only while as
// many connections wait for that as a listener holds. Errors are a
// [*net.OpError] around syscall.ECONNREFUSED, when nobody listens, or ctx.Err.
func (m *Memory) Dial(ctx context.Context, addr string) (net.Conn, error) {
	at := memoryAddr(addr)
	if err := ctx.Err(); err != nil {
		return nil, pipe.OpError("dial", nil, at, err)
	}
	m.mu.Lock()
	l := m.mu.listeners[addr]
	m.mu.dials++
	local := memoryAddr(fmt.Sprintf("%s#%d", addr, m.mu.dials))
	m.mu.Unlock()
	if l == nil {
		return nil, pipe.OpError("dial", nil, at, syscall.ECONNREFUSED)
	}
	near, far := pipe.New(MemoryBufferBytes, local, at)
	if err := l.Offer(ctx, far); err != nil {
		return nil, pipe.OpError("dial", nil, at, err)
	}
	return near, nil
}

func memoryAddr(name string) net.Addr { return pipe.Addr{Net: "memory", Name: name} }
