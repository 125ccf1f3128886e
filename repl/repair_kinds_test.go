package repl_test

import (
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/rdb"
	"github.com/emberkv/ember/repl"
)

// TestEveryKindInARepair: the two states of a link in which a tail is left, one at each end,
// take what belongs there and nothing else, as the others do that are tried in
// TestEveryKindFromAnUpstreamInEveryPhase and TestEveryKindFromAFollowerInEveryStage.
func TestEveryKindInARepair(t *testing.T) {
	for kind, body := range every() {
		synctest.Test(t, func(t *testing.T) { everyKindToARepaired(t, kind, body) })
		synctest.Test(t, func(t *testing.T) { everyKindToARepairing(t, kind, body) })
	}
}

// everyKindToARepaired sends a replica that has said which keys it needs one message.
func everyKindToARepaired(t *testing.T, kind byte, body []byte) {
	s, before, _, _, ends, _ := mend(t, func(m *mending) {
		m.instead = func(p *peer) {
			switch kind {
			case msgBlock:
				body = rdb.AppendBlock(nil, m.blocks[0])
			case msgSyncEnd:
				body = footerBody(m.footer)
			}
			p.send(kind, body)
		}
	})
	var end error
	if len(ends) > 0 {
		end = ends[0]
	}
	refusal := new(repl.RefusedError)
	switch kind {
	case msgHeartbeat, msgBlock, msgSyncEnd, msgFullSync:
		if end != nil && !errors.Is(end, repl.ErrForeign) {
			t.Errorf("kind %d in a repair: %v", kind, end)
		}
	case msgRefuse:
		if !errors.As(end, &refusal) {
			t.Errorf("a refusal in a repair: %v", end)
		}
	default:
		if !errors.Is(end, repl.ErrProtocol) {
			t.Errorf("kind %d in a repair: %v, want ErrProtocol", kind, end)
		}
	}
	if d, err := s.Digest(); len(ends) == 0 && (err != nil || d != before) {
		t.Errorf("kind %d in a repair has changed the data: %+v, %v", kind, d, err)
	}
}

// everyKindToARepairing sends an upstream that has said where the two have parted one message.
func everyKindToARepairing(t *testing.T, kind byte, body []byte) {
	net := repl.NewMemory()
	a := newStand(t, net, "a", "", nil)
	setOn(t, a, "k", "1")
	fork, before := a.store.Log().End(), a.store.Log().Lineage()
	a.store.Log().Fork(backlog.NewHistory())
	setOn(t, a, "k", "2")
	digest := mustDigest(t, a)
	who := someone(9)
	who.end, who.lineage, who.heard = fork+10, before, before.Epoch
	p := follow(t, net, "a", who)
	if _, _, err := p.await(msgParted); err != nil {
		t.Fatal(err)
	}
	p.send(kind, body)
	gone := make(chan struct{})
	go func() { io.Copy(io.Discard, p); close(gone) }()
	time.Sleep(2 * time.Second)
	synctest.Wait()
	ended := isClosed(gone)
	if fine := kind == msgAck || kind == msgTail; ended == fine {
		t.Errorf("kind %d to one who repairs: the link has ended: %v", kind, ended)
	}
	if mustDigest(t, a) != digest {
		t.Errorf("kind %d to one who repairs has changed the data", kind)
	}
	p.Close()
}
