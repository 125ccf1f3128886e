package repl_test

import (
	"encoding/binary"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/repl"
)

const (
	msgPrepare  = 16
	msgReady    = 17
	msgCommit   = 18
	msgPromoted = 19
)

func prepareBody(order uint64, at backlog.Position, valid time.Duration) []byte {
	b := append(binary.LittleEndian.AppendUint64(nil, order), at.History[:]...)
	return append(binary.LittleEndian.AppendUint32(append(b, int64s(at.Offset)...), uint32(valid.Milliseconds())), 0)
}

// TestOrdersByWire: a replica takes over when it is told what it has promised, in time and
// on the same link, and never otherwise. What makes no sense ends the link.
func TestOrdersByWire(t *testing.T) {
	order := func(n uint64) []byte { return binary.LittleEndian.AppendUint64(nil, n) }
	for _, c := range []struct {
		name string
		play func(p *peer, at backlog.Position)
		want repl.Role
		says []byte // of Promoted; nil for none
		ends bool   // the link, for it
	}{
		{"in time", func(p *peer, at backlog.Position) {
			p.send(msgPrepare, prepareBody(7, at, time.Second))
			p.await(msgReady)
			time.Sleep(990 * time.Millisecond)
			p.send(msgCommit, order(7))
		}, repl.RoleMaster, append(order(7), 1), true},
		{"too late", func(p *peer, at backlog.Position) {
			p.send(msgPrepare, prepareBody(7, at, time.Second))
			p.await(msgReady)
			time.Sleep(1010 * time.Millisecond)
			p.send(msgCommit, order(7))
		}, repl.RoleReplica, append(order(7), 0), false},
		{"twice, the second in time", func(p *peer, at backlog.Position) {
			p.send(msgPrepare, prepareBody(7, at, time.Millisecond))
			p.await(msgReady)
			p.send(msgPrepare, prepareBody(8, at, time.Second))
			p.await(msgReady)
			time.Sleep(500 * time.Millisecond)
			p.send(msgCommit, order(8))
		}, repl.RoleMaster, append(order(8), 1), true},
		{"not promised", func(p *peer, at backlog.Position) { p.send(msgCommit, order(7)) }, repl.RoleReplica, nil, true},
		{"another than promised", func(p *peer, at backlog.Position) {
			p.send(msgPrepare, prepareBody(7, at, time.Second))
			p.await(msgReady)
			p.send(msgCommit, order(6))
		}, repl.RoleReplica, nil, true},
		{"elsewhere", func(p *peer, at backlog.Position) {
			at.Offset++
			p.send(msgPrepare, prepareBody(7, at, time.Second))
		}, repl.RoleReplica, nil, true},
		{"of no validity", func(p *peer, at backlog.Position) {
			p.send(msgPrepare, prepareBody(7, at, 0))
		}, repl.RoleReplica, nil, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				net := repl.NewMemory()
				l := newLedger(nil)
				fill(t, l, "k", 10)
				up, at := someone(9).at(l), l.Log().Position()
				b := newMemberOf(t, net, "b", "up", l, func(o *repl.Options) { o.Heartbeat = 10 * time.Second })
				said, ended := make(chan []byte, 1), make(chan struct{}, 1)
				upstream(t, net, "up", func(n int, p *peer) {
					if n > 0 || p.welcome(up) != nil {
						return
					}
					p.send(msgContinue, int64s(up.end))
					c.play(p, at)
					if k, body, err := p.await(msgPromoted, msgRefuse); err == nil && k == msgPromoted {
						said <- body
					}
					p.drain()
					ended <- struct{}{}
				})
				time.Sleep(3 * time.Second)
				var says []byte
				select {
				case says = <-said:
				default:
				}
				if string(says) != string(c.says) || b.node.Role() != c.want || (len(ended) == 1) != c.ends {
					t.Errorf("it says % x, want % x, and is a %s; the link has ended: %t", says, c.says, b.node.Role(), len(ended) == 1)
				}
				_, err := b.put("k", "v")
				if (err == nil) != (c.want == repl.RoleMaster) {
					t.Errorf("a write gets %v", err)
				}
				b.node.Close()
			})
		})
	}
}

// TestFollowVoidsAPromise: a replica that was given another upstream does not take over for
// the one before, though the order to do so may arrive before the link is closed.
func TestFollowVoidsAPromise(t *testing.T) {
	for round := range 100 {
		synctest.Test(t, func(t *testing.T) {
			net := repl.NewMemory()
			l := newLedger(nil)
			fill(t, l, "k", 10)
			up, at := someone(9).at(l), l.Log().Position()
			b := newMemberOf(t, net, "b", "up", l)
			upstream(t, net, "up", func(n int, p *peer) {
				if n > 0 || p.welcome(up) != nil {
					return
				}
				p.send(msgContinue, int64s(up.end))
				p.send(msgPrepare, prepareBody(7, at, time.Second))
				p.await(msgReady)
				time.Sleep(time.Second / 2)
				p.send(msgCommit, binary.LittleEndian.AppendUint64(nil, 7))
				p.drain()
			})
			r, _ := b.node.Replica()
			time.Sleep(time.Second / 2)
			for range round {
				runtime.Gosched()
			}
			err := r.Follow("another")
			time.Sleep(time.Second)
			if master := b.node.Role() == repl.RoleMaster; master && err == nil {
				t.Error("Follow has said that it follows another, and it is a master")
			}
			b.node.Close()
		})
		if t.Failed() {
			return
		}
	}
}
