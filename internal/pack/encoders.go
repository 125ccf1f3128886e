package pack

import "sync"

// maxIdle bounds the encoders that are kept for reuse; more cores than this do not
// pack at once for long.
const maxIdle = 16

// maxScratch bounds the Scratch that is kept for reuse: one large piece must not
// cost its size for as long as the owner lives.
const maxScratch = 1 << 20

// Encoders are the encoders of an owner that packs on several cores: as many as
// work at once, used again. The zero value is ready. Its methods may be called
// concurrently.
type Encoders struct {
	mu struct {
		sync.Mutex
		idle []*Encoder
	}
}

// Get returns an encoder that nobody uses.
func (e *Encoders) Get() *Encoder {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := len(e.mu.idle)
	if n == 0 {
		return new(Encoder)
	}
	enc := e.mu.idle[n-1]
	e.mu.idle = e.mu.idle[:n-1]
	return enc
}

// Put gives back an encoder that Get returned.
func (e *Encoders) Put(enc *Encoder) {
	if cap(enc.Scratch) > maxScratch {
		enc.Scratch = nil
	}
	e.mu.Lock()
	keep := len(e.mu.idle) < maxIdle
	if keep {
		e.mu.idle = append(e.mu.idle, enc)
	}
	e.mu.Unlock()
	if !keep {
		enc.Close()
	}
}

// Close lets go of the encoders that are not in use. It may be called at any time,
// and again.
func (e *Encoders) Close() {
	e.mu.Lock()
	idle := e.mu.idle
	e.mu.idle = nil
	e.mu.Unlock()
	for _, enc := range idle {
		enc.Close()
	}
}
