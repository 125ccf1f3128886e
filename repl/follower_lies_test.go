package repl_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/repl"
)

// A stage is how far a follower by hand has come with a master.
type stage int

const (
	stageOffered stage = iota
	stageCopying
	stageStreaming
	stages
)

func (s stage) String() string { return [...]string{"offered", "copying", "streaming"}[s] }

// A suspect is a follower by hand on a live master, beside an honest one.
type suspect struct {
	*peer
	ledger     *ledger
	master     *repl.Master
	diary      *diary
	unaffected func()
}

// accuse brings a follower by hand up to a stage.
func accuse(t testing.TB, at stage) *suspect {
	net, a := repl.NewMemory(), newLedger(nil)
	fill(t, a, "k", 20)
	var o repl.Options
	d := keep(&o)
	m := master(t, a, net, "a", &o)
	s := &suspect{ledger: a, master: m, diary: d, unaffected: bystander(t, net, m, a, "a")}
	who := someone(9)
	if at == stageStreaming {
		who = who.at(a)
	}
	if at == stageCopying { // until the test ends
		hold := make(chan struct{})
		a.mu.Lock()
		a.onDump = func(int) { <-hold }
		a.mu.Unlock()
		t.Cleanup(func() { close(hold) })
		s.unaffected = func() {}
	}
	s.peer = follow(t, net, "a", who)
	switch at {
	case stageOffered:
		s.await(msgFullSync)
	case stageCopying:
		s.await(msgFullSync)
		s.send(msgSyncStart, syncStartBody(0, backlog.Position{}, ledgerShards))
		s.await(msgSyncBegin)
	case stageStreaming:
		s.await(msgContinue)
	}
	synctest.Wait()
	return s
}

// TestEveryKindFromAFollowerInEveryStage: the master takes what belongs there and
// cuts off who sends anything else, and nobody else notices.
func TestEveryKindFromAFollowerInEveryStage(t *testing.T) {
	fine := map[stage]map[byte]bool{
		stageOffered:   {msgAck: true, msgSyncStart: true},
		stageCopying:   {msgAck: true},
		stageStreaming: {},
	}
	for at := range stages {
		for kind, body := range every() {
			synctest.Test(t, func(t *testing.T) {
				s := accuse(t, at)
				if kind == msgAck && at == stageStreaming {
					body = ackBody(0, s.ledger.Log().End(), s.ledger.Log().End(), 0)
				}
				size := len(s.ledger.state())
				s.send(kind, body)
				go s.drain()
				time.Sleep(2 * time.Second) // a heartbeat wakes the master's feed
				synctest.Wait()
				err := s.diary.last()
				switch {
				case fine[at][kind] || kind == msgAck:
					if err != nil {
						t.Errorf("kind %d while %v: %v", kind, at, err)
					}
				case kind == msgRefuse:
					if refused := new(repl.RefusedError); !errors.As(err, &refused) {
						t.Errorf("a refusal while %v: %v", at, err)
					}
				case !errors.Is(err, repl.ErrProtocol):
					t.Errorf("kind %d while %v: %v, want ErrProtocol", kind, at, err)
				}
				if len(s.ledger.state()) != size {
					t.Errorf("kind %d while %v has changed the state", kind, at)
				}
				s.unaffected()
			})
		}
	}
}

// TestAcksThatLie: an ack must not say more than was sent, nor take anything
// back, nor come out of turn; and no Wait is ever satisfied by one that does.
func TestAcksThatLie(t *testing.T) {
	const none = int64(0)
	for _, c := range []struct {
		name string
		at   stage
		acks func(end int64) [][]byte // the last one is the lie
	}{
		{"of the future", stageStreaming, func(end int64) [][]byte { return [][]byte{ackBody(0, end+1, end+1, 0)} }},
		{"of the end of time", stageStreaming, func(end int64) [][]byte { return [][]byte{ackBody(0, math.MaxInt64, math.MaxInt64, 0)} }},
		{"of a negative offset", stageStreaming, func(end int64) [][]byte { return [][]byte{ackBody(0, -1, -1, 0)} }},
		{"applied before received", stageStreaming, func(end int64) [][]byte { return [][]byte{ackBody(0, end-1, end, 0)} }},
		{"on disk before applied", stageStreaming, func(end int64) [][]byte {
			return [][]byte{append(int64s(0, end, end-1, end), make([]byte, 1+24)...)}
		}},
		{"received goes back", stageStreaming, func(end int64) [][]byte { return [][]byte{ackBody(0, end, end, 0), ackBody(0, end-1, end-1, 0)} }},
		{"applied goes back", stageStreaming, func(end int64) [][]byte { return [][]byte{ackBody(0, end, end, 0), ackBody(0, end, end-1, 0)} }},
		{"heartbeat that was not sent", stageStreaming, func(end int64) [][]byte { return [][]byte{ackBody(99, end, end, 0)} }},
		{"heartbeat goes back", stageStreaming, func(end int64) [][]byte { return [][]byte{ackBody(1, end, end, 0), ackBody(0, end, end, 0)} }},
		{"loading again", stageStreaming, func(end int64) [][]byte { return [][]byte{ackBody(0, end, end, 0), ackBody(0, 0, 0, 1)} }},
		{"state 2", stageStreaming, func(end int64) [][]byte { return [][]byte{ackBody(0, end, end, 2)} }},
		{"streams before the copy is agreed", stageOffered, func(end int64) [][]byte { return [][]byte{ackBody(0, none, none, 0)} }},
		{"has it all before the copy is agreed", stageOffered, func(end int64) [][]byte { return [][]byte{ackBody(0, end, end, 0)} }},
		{"streams during the copy", stageCopying, func(end int64) [][]byte { return [][]byte{ackBody(0, end, end, 0)} }},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := accuse(t, c.at)
				pos := s.ledger.Log().Position()
				acks := c.acks(pos.Offset)
				for i, body := range acks {
					if s.diary.last() != nil {
						t.Fatalf("cut off before the lie: %v", s.diary.last())
					}
					s.send(msgAck, body)
					synctest.Wait()
					if i < len(acks)-1 {
						continue
					}
					if err := s.diary.last(); !errors.Is(err, repl.ErrProtocol) {
						t.Errorf("%v, want ErrProtocol", err)
					}
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				if n, _ := s.master.Wait(ctx, pos, 2); n > 1 {
					t.Errorf("Wait counts %d, there is one honest follower", n)
				}
				s.unaffected()
			})
		})
	}
}

// TestAckOfWhatWasNotSent: the log goes on while the connection is full, and the
// follower claims to have it already.
func TestAckOfWhatWasNotSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := accuse(t, stageStreaming)
		for i := range 40 { // far more than the connection takes
			s.ledger.put(fmt.Sprint("big", i), string(make([]byte, 100_000)))
		}
		pos := s.ledger.Log().Position()
		synctest.Wait()
		s.send(msgAck, ackBody(0, pos.Offset, pos.Offset, 0))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if n, err := s.master.Wait(ctx, pos, 2); n > 1 {
			t.Errorf("Wait: %d, %v: a follower was believed that was sent nothing of it", n, err)
		}
		if err := s.diary.last(); !errors.Is(err, repl.ErrProtocol) {
			t.Errorf("%v, want ErrProtocol", err)
		}
	})
}

// TestDamagedFramesFromAFollower flips each bit of an ack that would be good.
func TestDamagedFramesFromAFollower(t *testing.T) {
	for bit := range 8 * (16 + 57) {
		synctest.Test(t, func(t *testing.T) {
			s := accuse(t, stageStreaming)
			end := s.ledger.Log().End()
			raw := s.frame(msgAck, 0, ackBody(0, end, end, 0))
			raw[bit/8] ^= 1 << (bit % 8)
			s.Write(raw)
			go io.Copy(io.Discard, s)
			// A length that has grown is waited for until the time-out.
			time.Sleep(4 * time.Second)
			synctest.Wait()
			if s.diary.last() == nil {
				t.Errorf("bit %d: the link goes on", bit)
			}
			for _, f := range s.master.Status().Followers {
				if f.Peer.Name == "node9" {
					t.Errorf("bit %d: still a follower", bit)
				}
			}
		})
	}
}

// TestSyncStartsThatLie asks for copies that cannot be.
func TestSyncStartsThatLie(t *testing.T) {
	for name, body := range map[string][]byte{
		"resume of nothing":       syncStartBody(1, backlog.Position{}, ledgerShards),
		"resume of the future":    syncStartBody(1, backlog.Position{History: backlog.History{1}, Offset: math.MaxInt64}, ledgerShards, 0, 1, 2),
		"resume of another table": syncStartBody(1, backlog.Position{}, 1024, 1023),
		"every shard is done":     syncStartBody(0, backlog.Position{}, ledgerShards, 0, 1, 2, 3, 4, 5, 6, 7),
	} {
		synctest.Test(t, func(t *testing.T) {
			s := accuse(t, stageOffered)
			s.send(msgSyncStart, body)
			_, begin, err := s.await(msgSyncBegin)
			if err != nil || begin[0] != 0 {
				t.Fatalf("%s: SyncBegin % x, %v; want one that resumes nothing", name, begin, err)
			}
			shards := 0
			for {
				kind, body, err := s.await(msgBlock, msgSyncEnd)
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				if kind == msgSyncEnd {
					break
				}
				if body[0]&2 != 0 { // the last of its shard
					shards++
				}
			}
			if shards != ledgerShards {
				t.Errorf("%s: %d shards came, want all %d", name, shards, ledgerShards)
			}
			s.unaffected()
		})
	}
	synctest.Test(t, func(t *testing.T) {
		s := accuse(t, stageOffered)
		s.send(msgSyncStart, append(append(make([]byte, 25), 0, 8), make([]byte, 2048/8)...))
		s.drain()
		synctest.Wait()
		if err := s.diary.last(); !errors.Is(err, repl.ErrProtocol) {
			t.Errorf("2048 shards: %v, want ErrProtocol", err)
		}
	})
}
