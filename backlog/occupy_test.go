package backlog_test

import (
	"errors"
	"testing"

	"github.com/emberkv/ember/backlog"
)

func TestOneOccupantAtATime(t *testing.T) {
	l := backlog.NewLog(nil)
	release, err := l.Occupy()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Occupy(); !errors.Is(err, backlog.ErrOccupied) {
		t.Errorf("a second occupant: %v", err)
	}
	release()
	again, err := l.Occupy()
	if err != nil {
		t.Fatalf("after it was given back: %v", err)
	}
	release() // not the first one's any more
	if _, err := l.Occupy(); !errors.Is(err, backlog.ErrOccupied) {
		t.Errorf("one that had gone twice let go of another's: %v", err)
	}
	again()
	if release, err = l.Occupy(); err != nil {
		t.Fatal(err)
	}
	release()
}
