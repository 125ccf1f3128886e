package repl

import (
	"bytes"
	"fmt"
	"net"
	"testing"

	"github.com/emberkv/ember/internal/heap"
	"github.com/emberkv/ember/internal/pipe"
)

// A knock is a connection of which only the address is asked.
type knock struct {
	net.Conn
	from net.Addr
}

func (k knock) RemoteAddr() net.Addr { return k.from }

func TestOrigin(t *testing.T) {
	for text, want := range map[string]string{
		"10.0.0.1:7000":           "10.0.0.1",
		"[::ffff:10.0.0.1]:7000":  "10.0.0.1",
		"[2001:db8:1:2::9]:80":    "2001:db8:1:2::/64",
		"[2001:db8:1:2:ff::]:443": "2001:db8:1:2::/64",
		"[fe80::1%eth0]:7000":     "fe80::/64",
		"host:7000":               "host",
		"@":                       "@",
		"":                        "",
		"evil#17":                 "evil",
		"/run/ember.sock":         "/run/ember.sock",
	} {
		if got := origin(text); got != want {
			t.Errorf("%q is of %q, want %q", text, got, want)
		}
	}
}

// TestDoor lets in who comes from where, and says who has to go for whom.
func TestDoor(t *testing.T) {
	d := door{room: DefaultMaxHandshakes}
	var links []*link
	come := func(from string) *link {
		l := &link{conn: knock{from: pipe.Addr{Name: fmt.Sprintf("%s:%d", from, len(links))}}}
		links = append(links, l)
		return d.admit(l)
	}
	inside := func(from string) (n int) {
		for _, g := range d.inside {
			if g.from == from {
				n++
			}
		}
		return n
	}
	for i := range DefaultMaxHandshakes {
		if goes := come("flood"); goes != nil {
			t.Fatalf("the one with number %d finds no place", i)
		}
	}
	if goes := come("flood"); goes != links[DefaultMaxHandshakes] {
		t.Error("one more of the same is let in")
	}
	if goes := come("a"); goes != links[DefaultMaxHandshakes-1] || inside("a") != 1 {
		t.Error("one of another address has not got the place of the newest of the flood")
	}
	for range 200 {
		come("b")
	}
	// They share; a has its place still, and may have another.
	if inside("b") < 31 || inside("b") > 32 || inside("flood")+inside("b")+1 != DefaultMaxHandshakes {
		t.Errorf("%d of the flood, %d of b", inside("flood"), inside("b"))
	}
	if come("a"); inside("a") != 2 || len(d.inside) != DefaultMaxHandshakes {
		t.Errorf("%d of a among %d", inside("a"), len(d.inside))
	}
	if d.leave(links[DefaultMaxHandshakes]) {
		t.Error("one who has not been let in has left")
	}
	for _, l := range links {
		d.leave(l)
	}
	if len(d.inside) != 0 {
		t.Errorf("%d are left", len(d.inside))
	}
	// As many addresses as places: the newest loses.
	for i := range DefaultMaxHandshakes {
		come(fmt.Sprint("host", i))
	}
	if come("late") != links[len(links)-1] {
		t.Error("one of many is put out for another")
	}
}

// TestStrangerCostsLittle: what it takes to hear somebody who has not shaken hands, up to
// the most that he may say.
func TestStrangerCostsLittle(t *testing.T) {
	for _, k := range []kind{kindHello, kindChallenge, kindProof} {
		raw := bytes.Clone(magic[:])
		raw = append(raw, forgery(k, 0, uint32(k.limit()), 0, make([]byte, k.limit()))...)
		var l *link
		var err error
		grown := heap.LeastAllocated(func() {
			l = newLink(&tape{from: bytes.NewReader(raw)}, 0, anyKind)
			if err = l.r.readMagic(); err == nil {
				_, _, err = l.r.next()
			}
		})
		// The tape is in it, and 256 bytes to read through.
		if err != nil || grown > 3<<10 {
			t.Errorf("%v: %d bytes, %v", k, grown, err)
		}
	}
}
