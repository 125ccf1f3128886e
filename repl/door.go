package repl

import (
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// A door is where connections stand that are in their handshake, at most Options.MaxHandshakes
// of them. When there is no room, one of those from the address that has most of the places
// goes: the one that has come last. So a flood from one address keeps out nobody from another,
// nor anybody of its own who was there before; and a flood from more addresses than there are
// places keeps nobody out who is in.
//
// It is guarded by entrance.mu.
type door struct {
	room   int
	inside []guest // in the order in which they have come
}

type guest struct {
	link *link
	from string
}

// admit gives l a place, if there is one for it. It returns the link that has to go for
// that, or nil; when that is l itself, l has no place.
func (d *door) admit(l *link) (goes *link) {
	g := guest{l, origin(remote(l.conn))}
	if len(d.inside) < d.room {
		d.inside = append(d.inside, g)
		return nil
	}
	places := make(map[string]int)
	most := g.from
	for _, other := range d.inside {
		if places[other.from]++; places[other.from] > places[most] {
			most = other.from
		}
	}
	if places[most] <= places[g.from]+1 {
		return l // it would have as many as it takes from others
	}
	for i, other := range slices.Backward(d.inside) {
		if other.from == most {
			d.inside = append(slices.Delete(d.inside, i, i+1), g)
			goes = other.link
			break
		}
	}
	return goes
}

// leave takes l's place back, if it has one. It reports whether it had.
func (d *door) leave(l *link) bool {
	i := slices.IndexFunc(d.inside, func(g guest) bool { return g.link == l })
	if i < 0 {
		return false
	}
	d.inside = slices.Delete(d.inside, i, i+1)
	return true
}

// origin returns what connections from one place have in common, by the address of one: an address of IPv4, the
// first 64 bits of one of IPv6, which whoever has one of them has them all; and of other
// networks the name, without what numbers the connections.
func origin(text string) string {
	host, _, err := net.SplitHostPort(text)
	if err != nil {
		name, _, _ := strings.Cut(text, "#")
		return name
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return host
	}
	if ip = ip.Unmap(); ip.Is4() {
		return ip.String()
	}
	net64, _ := ip.WithZone("").Prefix(64)
	return net64.String()
}

// authPenalty is for how long one whose proof was wrong keeps its place at the door and
// hears nothing: so many guesses a second, and no more, have places to be made from.
const authPenalty = time.Second
