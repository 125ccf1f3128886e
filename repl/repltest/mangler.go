package repltest

import (
	"math"
	"math/rand/v2"
)

// A mangler decides what becomes of the bytes of one stream. All that is random
// about a stream comes from its rng and is drawn in the order of the writes, so
// it does not depend on what other connections do.
//
// Guarded by Network.mu.
type mangler struct {
	rng *rand.Rand
	plan

	// The distance to the next byte that Flip inverts, and the probability that
	// it was drawn for. Drawing the distance costs one number for each flip,
	// instead of one for each byte.
	distance int64
	drawnFor float64
}

// maxPace is how often a second bytes arrive on a link of bounded bandwidth, and
// maxPiece how many at once: a large Write trickles in.
const (
	maxPace  = 64
	maxPiece = 64 << 10
)

// passes returns how many of n bytes at offset at are in front of the cut.
func (m *mangler) passes(at int64, n int) int {
	if m.cut == never {
		return n
	}
	return int(min(max(m.cut-at, 0), int64(n)))
}

// chance reports true with probability p. A fault that is off draws nothing.
func (m *mangler) chance(p float64) bool { return p > 0 && m.rng.Float64() < p }

// piece returns how many of the next n bytes travel together.
func (m *mangler) piece(n int, c *config) int {
	if c.bandwidth > 0 {
		n = min(n, int(min(max(c.bandwidth/maxPace, 1), maxPiece)))
	}
	if c.chop > 0 {
		n = min(n, 1+m.rng.IntN(c.chop))
	}
	return n
}

// flip inverts bits of p, which is at offset at of the stream: the planned ones,
// and each byte with probability prob.
func (m *mangler) flip(p []byte, at int64, prob float64) {
	for offset, bits := range m.flips {
		if i := offset - at; 0 <= i && i < int64(len(p)) {
			p[i] ^= bits
		}
	}
	if prob == 0 {
		return
	}
	if prob != m.drawnFor {
		m.drawnFor, m.distance = prob, m.drawDistance(prob)
	}
	for m.distance < int64(len(p)) {
		p[m.distance] ^= 1 << m.rng.IntN(8)
		p = p[m.distance+1:]
		m.distance = m.drawDistance(prob)
	}
	m.distance -= int64(len(p))
}

// drawDistance returns how many bytes are spared before one is hit: the
// geometric distribution, by inversion.
func (m *mangler) drawDistance(prob float64) int64 {
	if prob == 1 {
		return 0
	}
	d := math.Log1p(-m.rng.Float64()) / math.Log1p(-prob)
	return int64(min(d, math.MaxInt32))
}
