package sentinel

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/repl"
)

// checkRead reads bytes from outside: they are refused with an error by name, or mean
// exactly what is written for them.
func checkRead(t *testing.T, c codec, body []byte) {
	t.Helper()
	value, again, err := c.read(body)
	switch {
	case err != nil && !errors.Is(err, repl.ErrProtocol) && !errors.Is(err, ErrState):
		t.Fatalf("%s of % x: an error without a name: %v", c.name, body, err)
	case err == nil && !bytes.Equal(again, body):
		t.Fatalf("%s of % x is read as %+v, which is written % x", c.name, body, value, again)
	}
}

func TestDamagedMessages(t *testing.T) {
	for _, c := range codecs() {
		for i := range 8 * len(c.body) {
			b := bytes.Clone(c.body)
			b[i/8] ^= 1 << (i % 8)
			checkRead(t, c, b)
			if value, _, err := c.read(b); err == nil && reflect.DeepEqual(value, c.want) {
				t.Errorf("%s: bit %d means nothing", c.name, i)
			}
		}
		for n := range len(c.body) {
			if _, _, err := c.read(c.body[:n]); err == nil {
				t.Errorf("%s: its first %d bytes of %d are taken for one", c.name, n, len(c.body))
			}
		}
		if _, _, err := c.read(append(bytes.Clone(c.body), 0)); err == nil {
			t.Errorf("%s: a byte behind it is overlooked", c.name)
		}
	}
}

func TestEveryBitOfASavedStateIsChecked(t *testing.T) {
	saved := testMemory().append(nil)
	for i := range 8 * len(saved) {
		b := bytes.Clone(saved)
		b[i/8] ^= 1 << (i % 8)
		if _, err := parseMemory(b); !errors.Is(err, ErrState) {
			t.Fatalf("with bit %d flipped: %v", i, err)
		}
	}
}

// The largest state fits a call, with what has to be left out of it.
func TestLargestState(t *testing.T) {
	addr := strings.Repeat("a", MaxAddrBytes)
	s := testState()
	s.Addr, s.Reign.Addr, s.Reign.Name = addr, addr, strings.Repeat("n", repl.MaxNameBytes)
	s.Peers, s.Nodes = nil, nil
	for i := range MaxPeers {
		s.Peers = append(s.Peers, contact{id(byte(i + 1)), addr})
	}
	for i := range MaxNodes {
		s.Nodes = append(s.Nodes, contact{repl.NodeID{14: byte(i >> 8), 15: byte(i), 0: 1}, addr})
	}
	body := s.append(nil)
	got, err := parseState(body)
	if err != nil {
		t.Fatal(err)
	}
	if len(body) > maxStateBytes || len(got.Peers) != MaxPeers || len(got.Nodes) < 100 {
		t.Errorf("%d bytes with %d peers and %d nodes", len(body), len(got.Peers), len(got.Nodes))
	}

	m := testMemory()
	m.reign, m.peers, m.nodes = s.Reign, s.Peers, s.Nodes
	again, err := parseMemory(m.append(nil))
	if err != nil || !reflect.DeepEqual(again, m) {
		t.Errorf("the largest memory comes back with %v", err)
	}
}

func TestMessagesOutOfBounds(t *testing.T) {
	huge := uint64(backlog.MaxCounter + 1)
	long := &state{Known: 1, Addr: strings.Repeat("a", MaxAddrBytes)}
	for name, err := range map[string]error{
		"epoch":     second(parseAsk(ask{Epoch: huge}.append(nil))),
		"no epoch":  second(parseAsk(ask{}.append(nil))),
		"nobody":    second(parseState((&state{}).append(nil))),
		"crowd":     second(parseState((&state{Known: MaxPeers + 2}).append(nil))),
		"long name": second(parseNotice((&notice{Name: strings.Repeat("n", repl.MaxNameBytes+1)}).append(nil))),
		"no UTF-8":  second(parseState((&state{Known: 1, Addr: "\xff"}).append(nil))),
		"no id":     second(parseState((&state{Known: 1, Nodes: []contact{{}}}).append(nil))),
		"verdict":   second(parseReply(reply{Known: 1, Verdict: notYet + 1}.append(nil))),
		"wait":      second(parseWho(who{Wait: maxWhoWait + 1e6}.append(nil))),
		"kind":      second(parseWho(long.append(nil))),
	} {
		if !errors.Is(err, repl.ErrProtocol) {
			t.Errorf("%s out of bounds: %v", name, err)
		}
	}
	if _, err := parseState(long.append(nil)); err != nil {
		t.Error(err)
	}
}

func second[T any](_ T, err error) error { return err }

func FuzzMessages(f *testing.F) {
	for i, c := range codecs() {
		f.Add(uint8(i), c.body)
	}
	all := codecs()
	f.Fuzz(func(t *testing.T, which uint8, body []byte) {
		c := all[int(which)%len(all)]
		checkRead(t, c, body)
		if c.name == "memory" { // which a checksum guards, so the rest is never reached
			checkRead(t, c, sealMemory(body))
		}
	})
}

// sealMemory has bytes end with the checksum that they need.
func sealMemory(b []byte) []byte {
	b = append(append([]byte(nil), savedMagic[:]...), b...)
	return appendChecksum(b, 0)
}
