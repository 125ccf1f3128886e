package backlog_test

import (
	"errors"
	"testing"

	"github.com/emberkv/ember/backlog"
)

func TestRestart(t *testing.T) {
	l := backlog.NewLog(nil)
	mustAppend(t, l, backlog.AppendRecord(nil, []byte("old")))
	was, r := l.Position(), mustRead(t, l, 0)
	if err := l.Restart(); err != nil {
		t.Fatal(err)
	}
	now := l.Position()
	if now.History == was.History || now.Offset != was.Offset+1 {
		t.Errorf("restarted at %s, was at %s", now, was)
	}
	lineage, own := l.Origin()
	if !own || !lineage.Knows(was.History) {
		t.Errorf("own: %t, lineage %v", own, lineage)
	}
	if _, err := r.Next(now.Offset); !errors.Is(err, backlog.ErrReset) {
		t.Errorf("a reader from before: %v", err)
	}
	old := backlog.Lineage{Current: was.History}
	if _, refusal := l.Continue(old, was.Offset); refusal == backlog.Accepted {
		t.Error("who stood at the end is told to go on")
	}
	mustAppend(t, l, backlog.AppendRecord(nil, []byte("new")))
}

// Nothing comes between the gate's decision and the new history: when SetGate has returned,
// the history stays.
func TestRestartAsksTheGate(t *testing.T) {
	closed := errors.New("closed")
	l := backlog.NewLog(nil)
	was := l.Position()
	l.SetGate(func() error { return closed })
	if err := l.Restart(); err != closed || l.Position() != was {
		t.Errorf("%v, at %s", err, l.Position())
	}
	for range 200 {
		asked, shut := make(chan struct{}), make(chan backlog.Position)
		first := true
		l.SetGate(func() error {
			if first {
				close(asked)
			}
			first = false
			return nil
		})
		go func() {
			<-asked
			l.SetGate(func() error { return closed })
			shut <- l.Position()
		}()
		if err := l.Restart(); err != nil {
			t.Fatal(err)
		}
		if at := <-shut; at != l.Position() {
			t.Fatalf("at %s when the gate was shut, at %s now", at, l.Position())
		}
	}
}
