package main

import (
	"io"
	"net"
	"sync"
)

// A proxy stands between a peer's replica and its master, so that the link can be taken away.
type proxy struct {
	ln net.Listener
	to string
	wg sync.WaitGroup

	mu struct {
		sync.Mutex
		down  bool
		conns []net.Conn
	}
}

// startProxy forwards what comes to its address to another. The caller must call stop.
func startProxy(to string) (*proxy, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &proxy{ln: ln, to: to}
	p.wg.Go(p.accept)
	return p, nil
}

func (p *proxy) addr() string { return p.ln.Addr().String() }

func (p *proxy) accept() {
	for {
		near, err := p.ln.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", p.to)
		if err != nil {
			near.Close()
			continue
		}
		if !p.keep(near, far) {
			continue
		}
		p.wg.Go(func() { forward(near, far) })
		p.wg.Go(func() { forward(far, near) })
	}
}

// keep records a pair that is to be closed with the link, or closes it if that is down.
func (p *proxy) keep(conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.down {
		closeAll(conns)
		return false
	}
	p.mu.conns = append(p.mu.conns, conns...)
	return true
}

func forward(to, from net.Conn) {
	io.Copy(to, from)
	closeAll([]net.Conn{to, from})
}

func closeAll(conns []net.Conn) {
	for _, c := range conns {
		c.Close()
	}
}

// cut closes every connection, and each that comes until heal.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.down = true
	closeAll(p.mu.conns)
	p.mu.conns = nil
}

func (p *proxy) heal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.down = false
}

func (p *proxy) stop() {
	p.ln.Close()
	p.cut()
	p.wg.Wait()
}
