package repl_test

import (
	"context"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/emberkv/ember/repl"
)

// A firstWrites is a transport that notes what each end of a connection writes first.
type firstWrites struct {
	repl.Transport
	mu               sync.Mutex
	dialed, accepted []string
}

func (f *firstWrites) Dial(ctx context.Context, addr string) (net.Conn, error) {
	c, err := f.Transport.Dial(ctx, addr)
	return &firstWrite{Conn: c, of: f, to: &f.dialed}, err
}

func (f *firstWrites) Listen(addr string) (net.Listener, error) {
	l, err := f.Transport.Listen(addr)
	return firstWriteListener{l, f}, err
}

type firstWriteListener struct {
	net.Listener
	of *firstWrites
}

func (l firstWriteListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &firstWrite{Conn: c, of: l.of, to: &l.of.accepted}, nil
}

type firstWrite struct {
	net.Conn
	of   *firstWrites
	to   *[]string
	once sync.Once
}

func (c *firstWrite) Write(b []byte) (int, error) {
	c.once.Do(func() {
		c.of.mu.Lock()
		defer c.of.mu.Unlock()
		*c.to = append(*c.to, string(b))
	})
	return c.Conn.Write(b)
}

// TestMagicComesWithWhatItBegins: each end of a link sends the magic and its first message in one
// write, so that the other one is woken once, and for something. Only before a proof the one who
// dials does not.
func TestMagicComesWithWhatItBegins(t *testing.T) {
	for name, c := range map[string]struct {
		secrets []repl.Secret
		dialed  byte // what comes behind the magic; 0 for nothing
		answer  byte
	}{
		"open":    {nil, msgHello, msgWelcome},
		"guarded": {[]repl.Secret{repl.Secret("sixteen bytes or more")}, 0, msgChallenge},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				net, a := &firstWrites{Transport: repl.NewMemory()}, newLedger(nil)
				o := &repl.Options{Security: repl.Security{Secrets: c.secrets}}
				m := master(t, a, net, "a", o)
				synced(t, m, a, replica(t, newLedger(nil), net, "a", o))
				for _, end := range []struct {
					wrote []string
					want  byte
				}{{net.dialed, c.dialed}, {net.accepted, c.answer}} {
					if len(end.wrote) != 1 {
						t.Fatalf("%d connections, want 1", len(end.wrote))
					}
					rest, ok := strings.CutPrefix(end.wrote[0], wireMagic)
					if kind := (rest + "\x00")[0]; !ok || kind != end.want {
						t.Errorf("the first write is %q, want the magic and a message of kind %d", end.wrote[0], end.want)
					}
				}
			})
		})
	}
}
