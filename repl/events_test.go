package repl_test

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/repl"
	"github.com/emberkv/ember/repl/repltest"
)

// A protocol records the events of a node, one line for each, with what they
// say. Of several Progress in a row the last one stays.
type protocol struct {
	mu    sync.Mutex
	lines []string
}

func (p *protocol) add(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	line := fmt.Sprintf(format, args...)
	if n := len(p.lines); n > 0 && strings.HasPrefix(line, "progress") && strings.HasPrefix(p.lines[n-1], "progress") {
		p.lines = p.lines[:n-1]
	}
	p.lines = append(p.lines, line)
}

// take returns the lines since it was called last.
func (p *protocol) take() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	lines := p.lines
	p.lines = nil
	return lines
}

// is fails t unless the lines since the last look are these.
func (p *protocol) is(t *testing.T, when string, want ...string) {
	t.Helper()
	if got := p.take(); !slices.Equal(got, want) {
		t.Errorf("%s:\n%s\nwant\n%s", when, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// reason returns what an error is, without where and with whom.
func reason(err error) string {
	for _, e := range []error{
		repl.ErrClosed, repl.ErrReplaced, repl.ErrGroup, repl.ErrForeign, repl.ErrProtocol, repl.ErrTimeout,
		syscall.ECONNRESET, syscall.ECONNREFUSED, io.ErrUnexpectedEOF, repl.ErrPeerClosed,
	} {
		if errors.Is(err, e) {
			return strings.TrimPrefix(e.Error(), "repl: ")
		}
	}
	return err.Error()
}

// write sets the events of o to be recorded, and returns where.
func write(o *repl.Options) *protocol {
	p := &protocol{}
	o.Events = repl.Events{
		Connected:   func(peer repl.Peer) { p.add("connected %s", peer.Name) },
		PartialSync: func(s repl.PartialSync) { p.add("partial %s: %d bytes from %d", s.Peer.Name, s.Bytes, s.From.Offset) },
		FullSync: func(s repl.FullSync) {
			p.add("full %s: %s, about %d keys, resumed %v", s.Peer.Name, s.Reason, s.Keys, s.Resumed)
		},
		Progress: func(s repl.Progress) {
			if s.LogTotal > 0 {
				p.add("progress %s: %d of %d bytes of log", s.Peer.Name, s.LogBytes, s.LogTotal)
				return
			}
			p.add("progress %s: %d keys, %d bytes, %d shards of %d", s.Peer.Name, s.Keys, s.Bytes, s.Shards, s.ShardsTotal)
		},
		Synced: func(s repl.Synced) {
			p.add("synced %s: %d keys, %d bytes at %d in %v", s.Peer.Name, s.Keys, s.Bytes, s.Position.Offset, s.Took.Round(time.Millisecond))
		},
		CaughtUp: func(c repl.CaughtUp) {
			p.add("caught up %s: %d bytes, at %d in %v", c.Peer.Name, c.Bytes, c.Position.Offset, c.Took.Round(time.Millisecond))
		},
		Disconnected: func(peer repl.Peer, err error) {
			p.add("disconnected %s: %s", cmp.Or(peer.Name, peer.Addr), reason(err))
		},
		Retry: func(r repl.Retry) {
			pause := "a pause"
			if r.Pause == 0 {
				pause = "no pause"
			} else if r.Pause < 5*time.Millisecond {
				pause = "too short a pause"
			}
			p.add("retry %s after %d: %s, %s", r.Addr, r.Attempts, reason(r.Err), pause)
		},
		Refused: func(peer repl.Peer, err error) { p.add("refused %q: %s", peer.Name, reason(err)) },
	}
	return p
}

// TestEventsOfALink: every step of a link's life, at both ends, in order and with
// what it cost: a full copy, a cut, a partial resync, the end.
func TestEventsOfALink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, a, b := repltest.NewNetwork(1), newLedger(nil), newLedger(nil)
		net.SetDelay(time.Millisecond, 0)
		fill(t, a, "k", 100)
		slowly(a, 30*time.Millisecond)
		end := a.Log().End()
		mo, ro := repl.Options{Name: "top"}, repl.Options{Name: "below"}
		mp, rp := write(&mo), write(&ro)
		m := master(t, a, net.Host("a"), "a", &mo)
		r := replica(t, b, net.Host("b"), "a", &ro)
		synced(t, m, a, r)
		time.Sleep(10 * time.Millisecond)
		mp.is(t, "the master, a full copy", "connected below", "full below: empty, about 100 keys, resumed false",
			fmt.Sprintf("progress below: 100 keys, %d bytes, 8 shards of 8", end),
			fmt.Sprintf("synced below: 100 keys, %d bytes at %d in 240ms", end, end),
			fmt.Sprintf("caught up below: 0 bytes, at %d in 244ms", end))
		rp.is(t, "the replica, a full copy", "connected top", "full top: empty, about 100 keys, resumed false",
			fmt.Sprintf("progress top: 100 keys, %d bytes, 8 shards of 8", end),
			fmt.Sprintf("synced top: 100 keys, %d bytes at %d in 240ms", end, end),
			fmt.Sprintf("caught up top: 0 bytes, at %d in 242ms", end))

		net.Link("b", "a").Conns()[0].Stall()
		fill(t, a, "later", 10)
		lacking, then := a.Log().End()-end, a.Log().End()
		net.Link("a", "b").Cut()
		synced(t, m, a, r)
		time.Sleep(10 * time.Millisecond)
		mp.is(t, "the master, a cut", "disconnected below: connection reset by peer", "connected below",
			fmt.Sprintf("partial below: %d bytes from %d", lacking, end),
			fmt.Sprintf("progress below: %d of %d bytes of log", lacking, lacking),
			fmt.Sprintf("caught up below: %d bytes, at %d in 2ms", lacking, then))
		rp.is(t, "the replica, a cut", "disconnected top: connection reset by peer",
			"retry a after 1: connection reset by peer, no pause", "connected top",
			fmt.Sprintf("partial top: %d bytes from %d", lacking, end),
			fmt.Sprintf("progress top: %d of %d bytes of log", lacking, lacking),
			fmt.Sprintf("caught up top: %d bytes, at %d in 0s", lacking, then))

		r.Close()
		time.Sleep(10 * time.Millisecond)
		mp.is(t, "the master, the end", "disconnected below: peer is closed")
		rp.is(t, "the replica, the end", "disconnected top: node is closed")
	})
}

// TestEventsOfARefusal: an upstream that turns a follower away in the handshake,
// and a follower that will not take what it is offered.
func TestEventsOfARefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, a := repl.NewMemory(), newLedger(nil)
		fill(t, a, "k", 10)
		mo := repl.Options{Name: "top", Group: "prod"}
		mp := write(&mo)
		master(t, a, net, "a", &mo)

		ro := repl.Options{Name: "below", Group: "test"}
		rp := write(&ro)
		r := replica(t, newLedger(nil), net, "a", &ro)
		synctest.Wait()
		r.Close()
		if text, want := r.Status().Upstream.LastError, `repl: handshake a: refused by the peer: peer belongs to another group, in its words: "test" there, "prod" here`; text != want {
			t.Errorf("the operator reads\n%s\nwant\n%s", text, want)
		}
		mp.is(t, "the master, another group", `refused "below": peer belongs to another group`)
		rp.is(t, "the replica, another group", "disconnected a: peer belongs to another group",
			"retry a after 1: peer belongs to another group, a pause")

		b := newLedger(nil)
		fill(t, b, "mine", 10)
		ro.Group = "prod"
		r = replica(t, b, net, "a", &ro)
		synctest.Wait()
		r.Close()
		mp.is(t, "the master, foreign data", "connected below", "disconnected below: upstream shares no history with this node")
		rp.is(t, "the replica, foreign data", "connected top", "disconnected top: upstream shares no history with this node",
			"retry a after 1: upstream shares no history with this node, a pause")

		call(t, net, "a").Write([]byte("GET / HTTP/1.1\r\nHost: ember\r\n\r\n"))
		synctest.Wait()
		mp.is(t, "the master, a stranger", `refused "": protocol violation`)
	})
}

// TestEventsOfAnOutage: an upstream that cannot be reached at all.
func TestEventsOfAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, a := repl.NewMemory(), newLedger(nil)
		var retries []repl.Retry
		ro := repl.Options{Name: "below"}
		rp := write(&ro)
		note := ro.Events.Retry
		ro.Events.Retry = func(r repl.Retry) {
			retries = append(retries, r)
			note(r)
		}
		begun := time.Now()
		r := replica(t, newLedger(nil), net, "a", &ro)
		time.Sleep(time.Minute)
		synctest.Wait()
		lines := rp.take()
		if len(lines) != 2*len(retries) || len(retries) < 20 {
			t.Fatalf("%d events, %d of them retries", len(lines), len(retries))
		}
		due := begun
		for i, again := range retries {
			if lines[2*i] != "disconnected a: connection refused" || !strings.HasPrefix(lines[2*i+1], "retry") {
				t.Fatalf("attempt %d: %q, %q", i, lines[2*i], lines[2*i+1])
			}
			if again.Addr != "a" || again.Attempts != int64(i+1) || again.Outage != due.Sub(begun) || !errors.Is(again.Err, syscall.ECONNREFUSED) {
				t.Errorf("attempt %d, %v into the outage: %+v", i+1, due.Sub(begun), again)
			}
			due = due.Add(again.Pause) // a dial that is refused takes no time here
		}
		if s := r.Status().Upstream; s.State != repl.LinkDown || s.NextTry != time.Until(due) || s.NextTry <= 0 {
			t.Errorf("%v, next try in %v, want %v", s.State, s.NextTry, time.Until(due))
		}
		m := master(t, a, net, "a", &repl.Options{Name: "top"})
		synced(t, m, a, r)
		if s := r.Status().Upstream; s.NextTry != 0 || s.Down != 0 {
			t.Errorf("connected, next try in %v, down for %v", s.NextTry, s.Down)
		}
	})
}

// TestEventsOfAReplacedLink: the same follower by a newer connection.
func TestEventsOfAReplacedLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, a := repl.NewMemory(), newLedger(nil)
		fill(t, a, "k", 10)
		mo := repl.Options{Name: "top"}
		mp := write(&mo)
		m := master(t, a, net, "a", &mo)
		who, end := someone(9).at(a), a.Log().End()
		follow(t, net, "a", who).await(msgContinue)
		synctest.Wait()
		mp.is(t, "the first link", "connected node9", fmt.Sprintf("partial node9: 0 bytes from %d", end))

		newer := follow(t, net, "a", who)
		newer.await(msgContinue)
		synctest.Wait()
		lines := mp.take()
		slices.Sort(lines) // events of two links have no order
		want := []string{"connected node9", "disconnected node9: replaced by a newer connection", fmt.Sprintf("partial node9: 0 bytes from %d", end)}
		if !slices.Equal(lines, want) {
			t.Errorf("the second link: %q, want %q", lines, want)
		}
		if s := m.Status(); s.LastPartial.State != repl.SyncRunning || s.Counters.PartialSyncs != 2 {
			t.Errorf("%+v", s.LastPartial)
		}
		newer.send(msgAck, ackBody(1, end, end, 0))
		newer.send(msgAck, ackBody(1, end, end, 0))
		synctest.Wait()
		mp.is(t, "its acks", fmt.Sprintf("caught up node9: 0 bytes, at %d in 0s", end))
		if s := m.Status().LastPartial; s.State != repl.SyncComplete {
			t.Errorf("%+v", s)
		}
	})
}

// TestProgressOfAPartial: a partial resync that takes its time is seen to come, at
// both ends, and its account says how far it came.
func TestProgressOfAPartial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := repltest.NewNetwork(1)
		var mo, ro repl.Options
		mp, rp := &protocol{}, &protocol{}
		mo.Events.Progress = func(p repl.Progress) { mp.add("%d/%d", p.LogBytes, p.LogTotal) }
		ro.Events.Progress = func(p repl.Progress) { rp.add("%d/%d", p.LogBytes, p.LogTotal) }
		m, r, a, b := pair(t, net, &mo, &ro, 0)
		mp.take()
		rp.take()
		net.Link("a", "b").Refuse()
		net.Link("a", "b").Cut()
		from := a.Log().End()
		for i := range 1000 {
			a.put(fmt.Sprint("later", i), strings.Repeat("x", 1000))
		}
		total := a.Log().End() - from
		net.Link("a", "b").SetBandwidth(1 << 20)
		net.HealAll()
		time.Sleep(600 * time.Millisecond)
		for _, s := range []*repl.SyncStatus{m.Status().LastPartial, r.Status().Upstream.LastPartial} {
			if s.State != repl.SyncRunning || s.LogBytes == 0 || s.LogBytes >= total {
				t.Errorf("after half a second: %+v, %d in all", s, total)
			}
		}
		synced(t, m, a, r)
		same(t, a, b)
		for _, p := range []*protocol{mp, rp} {
			lines, end := p.take(), fmt.Sprintf("%d/%d", total, total)
			if n := len(lines); n < 3 || n > 60 || lines[n-1] != end || lines[n-2] == end {
				t.Errorf("%d reports of %d bytes: %q", n, total, lines)
			}
		}
		for _, s := range []*repl.SyncStatus{m.Status().LastPartial, r.Status().Upstream.LastPartial} {
			if s.State != repl.SyncComplete || s.LogBytes != total || s.Took < 900*time.Millisecond {
				t.Errorf("at the end: %+v, %d in all", s, total)
			}
		}
	})
}

// TestSyncAccounts: what became of the last syncs is known at both ends, also
// after the link, and a copy that goes on keeps its account.
func TestSyncAccounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, a, b := repltest.NewNetwork(1), newLedger(nil), newLedger(nil)
		net.SetDelay(time.Millisecond, 0)
		fill(t, a, "k", 100)
		slowly(a, 100*time.Millisecond)
		begun := time.Now()
		m := master(t, a, net.Host("a"), "a", &repl.Options{Name: "top"})
		if s := m.Status(); s.LastFull != nil || s.LastPartial != nil {
			t.Errorf("before the first sync: %+v, %+v", s.LastFull, s.LastPartial)
		}
		r := replica(t, b, net.Host("b"), "a", &repl.Options{Name: "below"})
		time.Sleep(450 * time.Millisecond)
		for _, s := range []*repl.SyncStatus{m.Status().LastFull, m.Status().Followers[0].Sync, r.Status().Upstream.LastFull} {
			if s.State != repl.SyncRunning || s.Reason != backlog.Empty || s.Resumed || s.Keys == 0 || s.Keys >= 100 || s.Took < 400*time.Millisecond {
				t.Errorf("under way: %+v", s)
			}
		}
		net.Link("a", "b").Cut()
		synctest.Wait()
		if s := m.Status().LastFull; s.State != repl.SyncBroken || s.Error == "" || s.Took < 440*time.Millisecond || s.Took > 450*time.Millisecond {
			t.Errorf("cut, at the master: %+v", s)
		}
		if s := r.Status().Upstream.LastFull; s.State != repl.SyncBroken || !strings.Contains(s.Error, "reset") || s.Keys == 0 {
			t.Errorf("cut, at the replica: %+v", s)
		}
		synced(t, m, a, r)
		ms, rs := m.Status().LastFull, r.Status().Upstream.LastFull
		if !rs.Resumed || rs.State != repl.SyncComplete || rs.Error != "" || rs.Keys != 100 || !rs.Began.Before(begun.Add(10*time.Millisecond)) || rs.Took < 800*time.Millisecond {
			t.Errorf("resumed, at the replica: %+v", rs)
		}
		if !ms.Resumed || ms.State != repl.SyncComplete || ms.Keys == 0 || ms.Keys >= 100 || ms.Took > 700*time.Millisecond || ms.Peer.Name != "below" {
			t.Errorf("resumed, at the master: %+v", ms)
		}
		r.Close()
		time.Sleep(time.Second)
		if s := m.Status(); *s.LastFull != *ms || s.LastPartial != nil {
			t.Errorf("a second later: %+v, was %+v", s.LastFull, ms)
		}
	})
}
