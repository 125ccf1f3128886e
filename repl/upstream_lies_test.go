package repl_test

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/rdb"
	"github.com/emberkv/ember/repl"
)

// A phase is how far a replica has come with an upstream by hand.
type phase int

const (
	phaseDecision phase = iota
	phaseAgreement
	phaseLoading
	phaseStreaming
	phases
)

func (p phase) String() string {
	return [...]string{"deciding", "agreeing", "loading", "streaming"}[p]
}

// A victim is a replica with data, whose upstream is played by hand.
type victim struct {
	ledger  *ledger
	before  map[string]string
	at      backlog.Position
	replica *repl.Replica
	diary   *diary
	theirs  *source // of the upstream
	world   *ledger // that the source was taken from
}

// deceive makes a replica with data, brings it up to a phase on its first
// connection, and hands that to lie. Later connections are let hang. For the
// phases of a copy the upstream is of another history, which the options allow.
func deceive(t testing.TB, at phase, lie func(v *victim, p *peer)) *victim {
	t.Helper()
	net, b, world := repl.NewMemory(), newLedger(nil), newLedger(nil)
	fill(t, b, "mine", 5)
	fill(t, world, "theirs", 9)
	v := &victim{ledger: b, before: b.state(), at: b.Log().Position(), theirs: sourceOf(t, world), world: world}
	upstream(t, net, "a", func(n int, p *peer) {
		if n > 0 {
			io.Copy(io.Discard, p) // until the replica gives up
			return
		}
		who := someone(8).at(world)
		if at == phaseStreaming {
			who = someone(8).at(b)
		}
		p.welcome(who)
		switch at {
		case phaseAgreement:
			v.theirs.offer(p)
		case phaseLoading:
			v.theirs.begin(p)
		case phaseStreaming:
			p.send(msgContinue, int64s(v.at.Offset))
		}
		lie(v, p)
		io.Copy(io.Discard, p)
	})
	o := repl.Options{}
	o.AllowForeign = true
	v.diary = keep(&o)
	v.replica = replica(t, b, net, "a", &o)
	time.Sleep(2 * time.Second) // less than the time-out of a silent link
	synctest.Wait()
	t.Cleanup(func() { v.replica.Close() })
	return v
}

// unharmed fails t unless the data are as before and the replica tries again.
func (v *victim) unharmed(t testing.TB, what string) {
	t.Helper()
	if got := v.ledger.state(); !maps.Equal(got, v.before) || v.ledger.Log().Position() != v.at {
		t.Errorf("%s: the data have changed: %d entries at %s", what, len(got), v.ledger.Log().Position())
	}
	if s := v.replica.Status().Upstream; s.Attempts < 2 || s.LastError == "" {
		t.Errorf("%s: %d attempts, last error %q", what, s.Attempts, s.LastError)
	}
}

// TestEveryKindFromAnUpstreamInEveryPhase: the replica takes what belongs there
// and closes the link on anything else, with its data as they were.
func TestEveryKindFromAnUpstreamInEveryPhase(t *testing.T) {
	fine := map[phase]map[byte]bool{
		phaseDecision:  {msgHeartbeat: true, msgFullSync: true, msgPlace: true},
		phaseAgreement: {msgHeartbeat: true, msgSyncBegin: true},
		phaseLoading:   {msgHeartbeat: true, msgBlock: true, msgLog: true, msgPlace: true},
		phaseStreaming: {msgHeartbeat: true, msgLog: true, msgHistory: true, msgPrepare: true},
	}
	for at := range phases {
		for kind, body := range every() {
			synctest.Test(t, func(t *testing.T) {
				v := deceive(t, at, func(v *victim, p *peer) {
					switch kind { // what would be right there
					case msgContinue:
						body = int64s(v.at.Offset)
					case msgSyncBegin:
						body = positionBody(0, v.theirs.header.Position)
					case msgFullSync:
						body = rdb.AppendHeader([]byte{1}, v.theirs.header)
					case msgBlock:
						body = rdb.AppendBlock(nil, v.theirs.blocks[0])
					case msgSyncEnd:
						body = footerBody(v.theirs.footer)
					case msgPrepare:
						body = prepareBody(7, v.at, time.Second)
					case msgLog:
						from := v.theirs.header.Position.Offset
						if at == phaseStreaming {
							from = v.at.Offset
						}
						body = logBody(from, record("good", "x"))
					case msgHistory: // which begins here
						lineage := v.ledger.Log().Lineage()
						lineage.Earlier = append([]backlog.Fork{{History: lineage.Current, End: v.at.Offset}}, lineage.Earlier...)
						lineage.Current = backlog.History{99}
						body, _ = lineage.AppendBinary(int64s(v.at.Offset))
					}
					p.send(kind, body)
				})
				err := v.diary.last()
				switch {
				case fine[at][kind] || at == phaseDecision && kind == msgContinue:
					if err != nil && kind != msgContinue {
						t.Errorf("kind %d while %v: %v", kind, at, err)
					}
				case kind == msgRefuse:
					if refused := new(repl.RefusedError); !errors.As(err, &refused) {
						t.Errorf("a refusal while %v: %v", at, err)
					}
					v.unharmed(t, "refuse")
				case at == phaseLoading && kind == msgSyncEnd:
					if !errors.Is(err, repl.ErrDiverged) {
						t.Errorf("the end of a copy that has not begun: %v, want ErrDiverged", err)
					}
					v.unharmed(t, "early end")
				default:
					if !errors.Is(err, repl.ErrProtocol) {
						t.Errorf("kind %d while %v: %v, want ErrProtocol", kind, at, err)
					}
					v.unharmed(t, at.String())
				}
			})
		}
	}
}

// TestUpstreamsThatLie: messages that belong where they stand and say what
// cannot be.
func TestUpstreamsThatLie(t *testing.T) {
	block := func(b *rdb.Block) []byte { return rdb.AppendBlock(nil, b) }
	for _, c := range []struct {
		name string
		at   phase
		lie  func(v *victim, p *peer)
		want error // nil: any
		op   string
	}{
		{"continue elsewhere", phaseDecision, func(v *victim, p *peer) { p.send(msgContinue, int64s(v.at.Offset+1)) }, repl.ErrProtocol, ""},
		{"continue before", phaseDecision, func(v *victim, p *peer) { p.send(msgContinue, int64s(0)) }, repl.ErrProtocol, ""},
		{"continue of another history", phaseDecision, func(v *victim, p *peer) { p.send(msgContinue, int64s(v.at.Offset)) }, repl.ErrProtocol, ""},
		{"continue of 9 bytes", phaseDecision, func(v *victim, p *peer) { p.send(msgContinue, make([]byte, 9)) }, repl.ErrLimit, ""},
		{"continue of 7 bytes", phaseDecision, func(v *victim, p *peer) { p.send(msgContinue, make([]byte, 7)) }, repl.ErrProtocol, ""},
		{"empty full sync", phaseDecision, func(v *victim, p *peer) { p.send(msgFullSync, nil) }, repl.ErrProtocol, ""},
		{"full sync of a bad header", phaseDecision, func(v *victim, p *peer) { p.send(msgFullSync, make([]byte, 100)) }, repl.ErrProtocol, ""},
		{"full sync for no reason", phaseDecision, func(v *victim, p *peer) {
			p.send(msgFullSync, rdb.AppendHeader([]byte{byte(backlog.Accepted)}, v.theirs.header))
		}, repl.ErrProtocol, ""},
		{"begin elsewhere", phaseAgreement, func(v *victim, p *peer) {
			pos := v.theirs.header.Position
			pos.Offset++
			p.send(msgSyncBegin, positionBody(0, pos))
		}, repl.ErrProtocol, ""},
		{"resume of nothing", phaseAgreement, func(v *victim, p *peer) { p.send(msgSyncBegin, positionBody(1, v.theirs.header.Position)) }, repl.ErrProtocol, ""},
		{"log with a gap", phaseStreaming, func(v *victim, p *peer) { p.send(msgLog, logBody(v.at.Offset+1, record("k", "v"))) }, repl.ErrProtocol, ""},
		{"log again", phaseStreaming, func(v *victim, p *peer) { p.send(msgLog, logBody(0, record("k", "v"))) }, repl.ErrProtocol, ""},
		{"log near the end of time", phaseStreaming, func(v *victim, p *peer) { p.send(msgLog, logBody(math.MaxInt64-1, record("k", "v"))) }, repl.ErrProtocol, ""},
		{"log without records", phaseStreaming, func(v *victim, p *peer) { p.send(msgLog, int64s(v.at.Offset, 1)) }, repl.ErrProtocol, ""},
		{"records that do not decode", phaseStreaming, func(v *victim, p *peer) { p.send(msgLog, logBody(v.at.Offset, []byte{3, 99, 99, 99})) }, rdb.ErrEntry, "apply"},
		{"half a record", phaseStreaming, func(v *victim, p *peer) {
			p.send(msgLog, logBody(v.at.Offset, append(record("evil", "x"), record("k", "v")[:3]...)))
		}, rdb.ErrEntry, "apply"},
		{"heartbeat again", phaseStreaming, func(v *victim, p *peer) {
			p.send(msgHeartbeat, beatBody(1, 0, 0))
			p.send(msgHeartbeat, beatBody(1, 0, 0))
		}, repl.ErrProtocol, ""},
		{"loading: log with a gap", phaseLoading, func(v *victim, p *peer) {
			p.send(msgLog, logBody(v.theirs.header.Position.Offset+7, record("k", "v")))
		}, repl.ErrProtocol, ""},
		{"loading: records that do not decode", phaseLoading, func(v *victim, p *peer) {
			p.send(msgLog, logBody(v.theirs.header.Position.Offset, []byte{3, 99, 99, 99}))
		}, rdb.ErrEntry, "load"},
		{"loading: block that is none", phaseLoading, func(v *victim, p *peer) { p.send(msgBlock, make([]byte, 10)) }, rdb.ErrFormat, "load"},
		{"loading: entries that do not decode", phaseLoading, func(v *victim, p *peer) {
			p.send(msgBlock, block(&rdb.Block{First: true, Last: true, Keys: 1, Count: 1, Data: []byte{3, 99, 99, 99}}))
		}, rdb.ErrEntry, "load"},
		{"loading: block before the first of its shard", phaseLoading, func(v *victim, p *peer) {
			p.send(msgBlock, block(&rdb.Block{Shard: 2, Last: true}))
		}, nil, "load"},
		{"loading: shard twice", phaseLoading, func(v *victim, p *peer) {
			p.send(msgBlock, block(v.theirs.blocks[0]))
			p.send(msgBlock, block(v.theirs.blocks[0]))
		}, nil, "load"},
		{"end before the log was sent", phaseLoading, func(v *victim, p *peer) {
			v.theirs.send(p)
			f := v.theirs.footer
			f.Position.Offset += 10
			p.send(msgSyncEnd, footerBody(f))
		}, repl.ErrProtocol, ""},
		{"end in another history", phaseLoading, func(v *victim, p *peer) {
			v.theirs.send(p)
			f := v.theirs.footer
			f.Position.History = backlog.History{77}
			p.send(msgSyncEnd, footerBody(f))
		}, repl.ErrProtocol, ""},
		{"end with a wrong count", phaseLoading, func(v *victim, p *peer) {
			v.theirs.send(p)
			f := v.theirs.footer
			f.Keys++
			p.send(msgSyncEnd, footerBody(f))
		}, repl.ErrDiverged, "load"},
		{"end with a wrong sum", phaseLoading, func(v *victim, p *peer) {
			v.theirs.send(p)
			f := v.theirs.footer
			f.Sum ^= 1
			p.send(msgSyncEnd, footerBody(f))
		}, repl.ErrDiverged, "load"},
		{"end of a copy that lacks an entry", phaseLoading, func(v *victim, p *peer) {
			for _, b := range v.theirs.blocks {
				if b.First && b.Last && b.Count == 1 {
					b = &rdb.Block{Shard: b.Shard, First: true, Last: true, At: b.At}
				}
				p.send(msgBlock, block(b))
			}
			p.send(msgSyncEnd, footerBody(v.theirs.footer))
		}, repl.ErrDiverged, "load"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := deceive(t, c.at, c.lie)
				err := v.diary.last()
				var link *repl.LinkError
				if !errors.As(err, &link) || c.want != nil && !errors.Is(err, c.want) || c.op != "" && link.Op != c.op {
					t.Errorf("%v, want %q: %v", err, c.op, c.want)
				}
				v.unharmed(t, c.name)
			})
		})
	}
}

// TestLaterUpstream: flags that a later upstream sets in its heartbeats do not end the link.
func TestLaterUpstream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := deceive(t, phaseStreaming, func(v *victim, p *peer) {
			for seq := range int64(8) {
				body := beatBody(1+seq, v.at.Offset, 0)
				body[32] |= 1 << seq
				p.send(msgHeartbeat, body)
			}
			p.send(msgLog, logBody(v.at.Offset, record("k", "v")))
		})
		if s := v.replica.Status().Upstream; s.State != repl.LinkStreaming || !s.Linked || v.ledger.state()["k"] != "v" {
			t.Errorf("%+v after %q", s, s.LastError)
		}
	})
}

// TestMachineThatFails: a record that the machine refuses stops the link, is
// not skipped, and goes in when the machine is well again.
func TestMachineThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, a, b := repl.NewMemory(), newLedger(nil), newLedger(nil)
		m := master(t, a, net, "a", nil)
		var o repl.Options
		d := keep(&o)
		r := replica(t, b, net, "a", &o)
		synced(t, m, a, r)
		sick := errors.New("disk full")
		b.mu.Lock()
		b.fail = sick
		b.mu.Unlock()
		at := b.Log().Position()
		fill(t, a, "k", 10)
		time.Sleep(time.Minute)
		s := r.Status().Upstream
		if !d.saw(sick) || s.LastError != d.last().Error() || b.Log().Position() != at {
			t.Errorf("%v at %s, want %v at %s", d.last(), b.Log().Position(), sick, at)
		}
		// An outage of a minute: tries grow apart to a twentieth of it.
		if s.Attempts < 10 || s.Attempts > 600 {
			t.Errorf("%d attempts in a minute", s.Attempts)
		}
		b.mu.Lock()
		b.fail = nil
		b.mu.Unlock()
		synced(t, m, a, r)
		same(t, a, b)
		if fulls, _ := d.count(); fulls != 1 {
			t.Errorf("%d full syncs, want the first one only", fulls)
		}
	})
}

// TestCopyThatNeverFitsIsNotHammered: an upstream whose copies always come out
// wrong is asked less and less often, although each of its blocks was fine.
func TestCopyThatNeverFitsIsNotHammered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, b, world := repl.NewMemory(), newLedger(nil), newLedger(nil)
		fill(t, world, "theirs", 9)
		theirs := sourceOf(t, world)
		copies := 0
		upstream(t, net, "a", func(n int, p *peer) {
			copies++
			p.welcome(someone(8).at(world))
			theirs.begin(p)
			theirs.send(p)
			f := theirs.footer
			f.Sum++
			p.send(msgSyncEnd, footerBody(f))
			p.drain()
		})
		r := replica(t, b, net, "a", nil)
		time.Sleep(time.Minute)
		r.Close()
		if copies < 10 || copies > 600 {
			t.Errorf("%d copies in a minute", copies)
		}
	})
}

// TestDamagedFramesFromAnUpstream flips each bit of a log frame that would be
// good: nothing of it may be applied, and the honest one that follows is.
func TestDamagedFramesFromAnUpstream(t *testing.T) {
	size := 16 + len(logBody(0, record("key", "value")))
	for bit := range 8 * size {
		synctest.Test(t, func(t *testing.T) {
			v := deceive(t, phaseStreaming, func(v *victim, p *peer) {
				raw := p.frame(msgLog, 0, logBody(v.at.Offset, record("key", "value")))
				raw[bit/8] ^= 1 << (bit % 8)
				p.Write(bytes.Clone(raw))
			})
			time.Sleep(4 * time.Second)
			if v.diary.last() == nil {
				t.Errorf("bit %d: the link goes on", bit)
			}
			v.unharmed(t, "flip")
		})
	}
}

// TestRefusalIsReadAfterAFailedAck: the upstream refuses and closes, behind log
// that is not read yet. The ack of it cannot be written, but the reason is told.
func TestRefusalIsReadAfterAFailedAck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := deceive(t, phaseStreaming, func(v *victim, p *peer) {
			at := v.at.Offset
			for range 100 {
				rec := record("key", string(make([]byte, 40_000)))
				p.send(msgLog, logBody(at, rec))
				p.send(msgHeartbeat, beatBody(at, at, 1)) // wants an ack
				at += int64(len(rec))
			}
			p.send(msgRefuse, []byte{9, 'x'})
			p.Close()
		})
		if first := v.diary.ends[0]; !errors.Is(first, repl.ErrReplaced) {
			t.Errorf("the link ended with %v, want the refusal", first)
		}
	})
}
