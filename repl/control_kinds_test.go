package repl_test

import (
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/repl"
)

// TestEveryKindOnAControlLink: a node takes requests from whoever watches it, and the watcher takes
// replies and news; anything else ends that link, and no other.
func TestEveryKindOnAControlLink(t *testing.T) {
	for kind, body := range every() {
		synctest.Test(t, func(t *testing.T) { everyKindToANode(t, kind, body) })
		synctest.Test(t, func(t *testing.T) { everyKindToAnAsker(t, kind, body) })
		synctest.Test(t, func(t *testing.T) { everyKindInAnswerToControl(t, kind, body) })
	}
}

// everyKindToANode sends a node that is watched one message.
func everyKindToANode(t *testing.T, kind byte, body []byte) {
	net := repl.NewMemory()
	a := newMember(t, net, "a", "", supervised)
	fill(t, a.ledger, "k", 5)
	other := control(t, net, "a", 2)
	p := ask(t, net, "a", 1)
	p.send(kind, body)
	gone := make(chan struct{})
	go func() { io.Copy(io.Discard, p); close(gone) }()
	time.Sleep(time.Second)
	synctest.Wait()
	if ended := isClosed(gone); ended == (kind == msgRequest) {
		t.Errorf("kind %d to a node that is watched: the link has ended: %v", kind, ended)
	}
	poll(t, other, nil)
	if a.Len() != 5 || a.node.Role() != repl.RoleMaster {
		t.Errorf("kind %d to a node that is watched: it is a %s of %d", kind, a.node.Role(), a.Len())
	}
	p.Close()
}

// answersByHand lets a node by hand answer one who dials "a" for control, and returns the link.
func answersByHand(t *testing.T, net *repl.Memory, answer func(p *peer)) (*repl.Control, error) {
	t.Helper()
	upstream(t, net, "a", func(n int, p *peer) {
		p.readMagic()
		p.await(msgControl)
		p.Write([]byte(wireMagic))
		answer(p)
		io.Copy(io.Discard, p)
	})
	return repl.DialControl(t.Context(), "a", &repl.ControlOptions{ID: repl.NodeID{0xc, 1}, Transport: net})
}

// everyKindToAnAsker sends one who watches one message.
func everyKindToAnAsker(t *testing.T, kind byte, body []byte) {
	c, err := answersByHand(t, repl.NewMemory(), func(p *peer) {
		p.send(msgControl, controlBody(9, ""))
		p.send(kind, body)
	})
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second)
	synctest.Wait()
	refusal := new(repl.RefusedError)
	switch err := c.Err(); kind {
	case msgNews:
		if err != nil || len(c.News()) != 1 {
			t.Errorf("news: %v", err)
		}
	case msgRefuse:
		if !errors.As(err, &refusal) {
			t.Errorf("a refusal on a control link: %v", err)
		}
	default:
		if !errors.Is(err, repl.ErrProtocol) {
			t.Errorf("kind %d to one who watches: %v, want ErrProtocol", kind, err)
		}
	}
	c.Close()
}

// everyKindInAnswerToControl sends one message where the word of the one that is dialled is due.
func everyKindInAnswerToControl(t *testing.T, kind byte, body []byte) {
	c, err := answersByHand(t, repl.NewMemory(), func(p *peer) { p.send(kind, body) })
	refusal := new(repl.RefusedError)
	switch kind {
	case msgControl:
		if err != nil {
			t.Errorf("an answer to Control: %v", err)
		}
	case msgRefuse:
		if !errors.As(err, &refusal) {
			t.Errorf("a refusal in answer to Control: %v", err)
		}
	default:
		if !errors.Is(err, repl.ErrProtocol) {
			t.Errorf("kind %d in answer to Control: %v, want ErrProtocol", kind, err)
		}
	}
	if c != nil {
		c.Close()
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
