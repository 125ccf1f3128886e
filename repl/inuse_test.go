package repl_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/emberkv/ember/repl"
)

// A machine has one node at a time: a second one would take the gate from the first, which
// would go on as if it had it.
func TestMachineInUse(t *testing.T) {
	l := newLedger(nil)
	m, err := repl.NewMaster(l, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if _, err := repl.NewMaster(l, nil); !errors.Is(err, repl.ErrInUse) {
		t.Errorf("a second master: %v", err)
	}
	if _, err := repl.NewReplica(l, "nobody", nil); !errors.Is(err, repl.ErrInUse) {
		t.Errorf("a replica of the master's machine: %v", err)
	}
	if _, err := l.put("a", "1"); err != nil {
		t.Errorf("the refused replica has closed the machine: %v", err)
	}
	// A change of role is the same node's.
	r, err := m.Demote("nobody")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := repl.NewMaster(l, nil); !errors.Is(err, repl.ErrInUse) {
		t.Errorf("a master of the replica's machine: %v", err)
	}
	if _, err := l.put("a", "2"); !errors.Is(err, repl.ErrReadOnly) {
		t.Errorf("the refused master has opened the machine: %v", err)
	}
	if _, err := r.Promote(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := m.Node().Close(); err != nil {
		t.Fatal(err)
	}
	next, err := repl.NewMaster(l, &repl.Options{Safety: repl.Safety{Ack: 1, AckTimeout: time.Millisecond}})
	if err != nil {
		t.Fatalf("after Close: %v", err)
	}
	defer next.Close()
	m.Node().Close() // again: it has nothing to give back
	if _, err := l.put("a", "3"); !errors.Is(err, repl.ErrNotAcked) {
		t.Errorf("the first node, closed twice, lets the second's writes pass without acks: %v", err)
	}
	if _, err := repl.NewMaster(l, nil); !errors.Is(err, repl.ErrInUse) {
		t.Errorf("the first node, closed twice, has given away the second's machine: %v", err)
	}
}

// What is refused for its options has taken nothing.
func TestInvalidOptionsTakeNothing(t *testing.T) {
	l := newLedger(nil)
	if _, err := repl.NewMaster(l, &repl.Options{Liveness: repl.Liveness{Heartbeat: -1}}); !errors.Is(err, repl.ErrOption) {
		t.Fatal(err)
	}
	m, err := repl.NewMaster(l, nil)
	if err != nil {
		t.Fatal(err)
	}
	m.Close()
}
