package repltest

// Faults last until Heal.
type faults struct {
	blackhole, stalled, refuse, hang bool
	flip, duplicate, swap            float64 // probabilities
}

// A plan is what [Link.CutNext] and [Link.FlipNext] have in store for the next
// connection.
type plan struct {
	cut   int64          // never, or the number of bytes that pass
	flips map[int64]byte // offset -> bits to invert
}

// never is no offset.
const never = -1

// Cut resets all connections of the link: calls at both ends, including those
// that wait, return syscall.ECONNRESET, and what was under way is lost. New
// connections can be made at once.
func (l *Link) Cut() {
	for _, c := range l.Conns() {
		c.Cut()
	}
}

// CutNext resets the next connection of the link when exactly after bytes of
// what was sent in a direction have been read: the reader gets those, then
// syscall.ECONNRESET; the sender gets that when the last of them was read. 0
// resets it as soon as it is made. Use it with [Link.OneWay]: on both
// directions the first to get there decides.
func (l *Link) CutNext(after int64) {
	mustNot(after < 0, "negative offset")
	l.each(func(d *direction) { d.next.cut = after })
}

// FlipNext inverts bits of the byte at an offset, counted from 0, of what is
// sent on the link's next connection in each direction. It can be called for
// several offsets.
func (l *Link) FlipNext(offset int64, bits byte) {
	mustNot(offset < 0, "negative offset")
	l.each(func(d *direction) {
		if d.next.flips == nil {
			d.next.flips = make(map[int64]byte)
		}
		d.next.flips[offset] ^= bits
	})
}

// Flip inverts a random bit of each byte with probability p.
func (l *Link) Flip(p float64) {
	mustBeProbability(p)
	l.update(func(c *config) { c.flip = p })
}

// Duplicate makes each Write, or each piece of it, arrive twice in a row with
// probability p.
func (l *Link) Duplicate(p float64) {
	mustBeProbability(p)
	l.update(func(c *config) { c.duplicate = p })
}

// Swap makes each Write, or each piece of it, overtake the one before it with
// probability p, if that has not been read yet, as on a link without delay it
// may have been.
func (l *Link) Swap(p float64) {
	mustBeProbability(p)
	l.update(func(c *config) { c.swap = p })
}

// HalfOpen silences the connections that exist, for good: what is sent from now
// on vanishes, and so does the news that an end was closed, as when the peer
// lost its power or a firewall forgot them. Nobody gets an error. A writer
// blocks when the window is full, which vanished bytes fill too. New
// connections are not affected.
func (l *Link) HalfOpen() {
	l.each(func(d *direction) {
		for _, s := range d.streams {
			s.lost = true
		}
	})
}

// Blackhole makes all that is sent vanish, and dials hang, until [Link.Heal]. A
// connection on which something was sent meanwhile stays silent even then, as
// after [Link.HalfOpen]; a real one would retransmit: use [Link.Stall] for
// that.
func (l *Link) Blackhole() { l.update(func(c *config) { c.blackhole = true }) }

// Stall holds what is under way and what is sent, dials included, until
// [Link.Heal]. Nothing is lost: it arrives afterwards. Writers block when the
// window is full.
func (l *Link) Stall() { l.update(func(c *config) { c.stalled = true }) }

// Refuse makes dials fail with syscall.ECONNREFUSED; connections that exist go on.
func (l *Link) Refuse() { l.update(func(c *config) { c.refuse = true }) }

// Hang makes dials block until their context ends or the link is healed;
// connections that exist go on.
func (l *Link) Hang() { l.update(func(c *config) { c.hang = true }) }

// Heal ends the link's faults and forgets what was planned for its next
// connection. What the link was Set to stays. Connections that were cut or
// silenced stay so, as do hosts and connections that were stalled on their own.
func (l *Link) Heal() {
	l.each(func(d *direction) { d.next = plan{cut: never} })
	l.update(func(c *config) { c.faults = faults{} })
}
