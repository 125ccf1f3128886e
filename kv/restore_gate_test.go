package kv_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/emberkv/ember/backlog"
)

// A store that stops taking writes while it restores a snapshot has the snapshot's contents
// when that is decided, or never: what it follows from then on is not replaced under it.
func TestRestoreRacesTheGate(t *testing.T) {
	closed := errors.New("closed")
	from := open(t, nil)
	set(t, from, "a", "restored")
	snap, err := from.Snapshot()
	must(t, err)
	var file bytes.Buffer
	_, err = snap.WriteTo(&file)
	must(t, err)
	snap.Close()
	restored, refused := 0, 0
	for i := range 300 {
		s := open(t, nil)
		set(t, s, "a", "old")
		old := s.Position().History
		// The gate is asked when Restore begins and when it ends, and is closed by
		// another goroutine as soon as it has answered one of the two.
		asked, shut := make(chan struct{}), make(chan backlog.Position)
		n := 0
		s.Log().SetGate(func() error {
			if n++; n == 1+i%2 {
				close(asked)
			}
			return nil
		})
		go func() {
			<-asked
			s.Log().SetGate(func() error { return closed })
			shut <- s.Position()
		}()
		err := s.Restore(bytes.NewReader(file.Bytes()))
		if at := <-shut; at != s.Position() {
			t.Fatalf("at %v when the gate was shut, at %v now; Restore: %v", at, s.Position(), err)
		}
		value, _ := s.Get("a")
		switch is := s.Position().History; {
		case err == nil && is != old && string(value) == "restored":
			restored++
		case err == closed && is == old && string(value) == "old":
			refused++
		default:
			t.Fatalf("%q, in the old history: %t, Restore: %v", value, is == old, err)
		}
	}
	t.Logf("restored %d times, refused %d times", restored, refused)
	if restored == 0 || refused == 0 {
		t.Errorf("restored %d times, refused %d times", restored, refused)
	}
}
