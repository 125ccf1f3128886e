package repl_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/emberkv/ember/repl"
)

// TestNamesOfPeersAreOneLine: what a peer calls itself, and says of where it listens,
// goes into logs, errors and JSON. It is one line of text there, and read back as it was.
func TestNamesOfPeersAreOneLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, a := repl.NewMemory(), newLedger(nil)
		var o repl.Options
		d := keep(&o)
		m := master(t, a, net, "a", &o)
		who := someone(3).at(a)
		who.name, who.announce = "x\nERROR all is lost\xff", "h\r\xfe:7000"
		p := follow(t, net, "a", who)
		synctest.Wait()
		s := m.Status()
		if peer := s.Followers[0].Peer; peer.Name != "x_ERROR all is lost_" || peer.Listen != "h__:7000" {
			t.Errorf("the peer is %q at %q", peer.Name, peer.Listen)
		}
		text, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		var back repl.Status
		if err := json.Unmarshal(text, &back); err != nil || !reflect.DeepEqual(back, s) {
			t.Errorf("%v; read back\n%+v\nwant\n%+v", err, back, s)
		}
		p.Close()
		time.Sleep(time.Second)
		if err := d.last(); err == nil || strings.Contains(err.Error(), "\n") || !utf8.ValidString(err.Error()) {
			t.Errorf("the link ended with %q", err)
		}
		m.Close()
	})
}

// TestOwnNamesAreText: a node that calls itself what no peer would show is told so.
func TestOwnNamesAreText(t *testing.T) {
	for _, o := range []*repl.Options{{Name: "x\xff"}, {Group: "\xff"}, {Announce: "h\xff:1"}} {
		if _, err := repl.NewMaster(newLedger(nil), o); !errors.Is(err, repl.ErrOption) {
			t.Errorf("%+q: %v, want ErrOption", []string{o.Name, o.Group, o.Announce}, err)
		}
	}
}
