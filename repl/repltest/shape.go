package repltest

import "time"

// A shape is how a link is by nature. Heal leaves it.
type shape struct {
	delay, jitter time.Duration
	bandwidth     int64 // bytes a second, 0 for no bound
	chop          int   // largest piece, 0 for no chopping
	window        int   // bytes under way in each direction of a connection
}

// SetDelay makes bytes take d plus a random part of jitter to arrive. They stay
// in order. A dial takes the delays of both directions. As long as both are 0,
// the default, bytes arrive at once, and no run repeats exactly; else they are
// rounded up by less than 10 microseconds, so that no two connections are ever
// due at the same instant.
func (l *Link) SetDelay(d, jitter time.Duration) {
	mustNot(d < 0 || jitter < 0, "negative delay")
	l.update(func(c *config) { c.delay, c.jitter = d, jitter })
}

// SetBandwidth limits each direction to that many bytes a second, which its
// connections share. 0 removes the limit.
func (l *Link) SetBandwidth(bytesPerSecond int64) {
	mustNot(bytesPerSecond < 0, "negative bandwidth")
	l.update(func(c *config) { c.bandwidth = bytesPerSecond })
	l.each(func(d *direction) { d.free = 0 })
}

// SetWindow bounds the bytes that each direction of a connection holds before
// its writer blocks; at least 1. See [DefaultWindowBytes].
func (l *Link) SetWindow(bytes int) {
	mustNot(bytes < 1, "window without room")
	l.update(func(c *config) { c.window = bytes })
}

// SetChop makes what is written arrive in pieces of 1 to most bytes, of random
// length, one for each Read; 1 is byte by byte. 0, the default, leaves it whole:
// then a Read returns bytes of at most one Write.
func (l *Link) SetChop(most int) {
	mustNot(most < 0, "negative piece")
	l.update(func(c *config) { c.chop = most })
}

func mustNot(wrong bool, what string) {
	if wrong {
		panic("repltest: " + what)
	}
}

func mustBeProbability(p float64) { mustNot(!(p >= 0 && p <= 1), "no probability") }
