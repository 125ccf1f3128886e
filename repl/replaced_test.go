package repl_test

import (
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/repl"
)

// The log of an upstream, which is a replica itself, may be replaced between the
// Welcome and the copy that it offers. The copy's header is what counts then.

// TestForeignCopyBehindAFamiliarWelcome: a node that forbids a copy of a foreign state
// does not take one because the upstream was no stranger a moment ago.
func TestForeignCopyBehindAFamiliarWelcome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, b, world := repl.NewMemory(), newLedger(nil), newLedger(nil)
		fill(t, b, "mine", 5)
		fill(t, world, "theirs", 9)
		theirs := sourceOf(t, world)
		before := b.Log().Position()
		upstream(t, net, "a", func(n int, p *peer) {
			if n > 0 {
				io.Copy(io.Discard, p)
				return
			}
			p.welcome(someone(8).at(b))
			theirs.begin(p)
			theirs.send(p)
			p.send(msgSyncEnd, theirs.footerBody())
			io.Copy(io.Discard, p)
		})
		var o repl.Options
		d := keep(&o)
		r := replica(t, b, net, "a", &o)
		time.Sleep(2 * time.Second)
		if !errors.Is(d.last(), repl.ErrForeign) || b.Log().Position() != before {
			t.Errorf("%v, at %s; want ErrForeign and %s", d.last(), b.Log().Position(), before)
		}
		r.Close()
	})
}

// TestLogAfterACopyOfAnotherLineage: behind the copy the log goes along the lineage of
// its header. A fork that only the Welcome knew of is none.
func TestLogAfterACopyOfAnotherLineage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, b, world := repl.NewMemory(), newLedger(nil), newLedger(nil)
		fill(t, world, "theirs", 9)
		theirs := sourceOf(t, world)
		at := theirs.header.Position.Offset
		run := record("across", "the fork that was")
		upstream(t, net, "a", func(n int, p *peer) {
			who := someone(8)
			who.end = at + 1000
			who.lineage.Earlier = []backlog.Fork{{History: backlog.History{9}, End: at + 10}}
			p.welcome(who)
			theirs.begin(p)
			theirs.send(p)
			p.send(msgSyncEnd, theirs.footerBody())
			p.send(msgLog, logBody(at, run))
			io.Copy(io.Discard, p)
		})
		r := replica(t, b, net, "a", nil)
		time.Sleep(2 * time.Second)
		if s := r.Status().Upstream; b.Log().End() != at+int64(len(run)) || s.Attempts != 1 {
			t.Errorf("at %d, want %d; %d attempts, %s", b.Log().End(), at+int64(len(run)), s.Attempts, s.LastError)
		}
		r.Close()
	})
}
