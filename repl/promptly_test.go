package repl_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/repl"
)

// A slowLedger takes a second for each run of records.
type slowLedger struct{ *ledger }

func (l slowLedger) Apply(at backlog.Position, records []byte) error {
	time.Sleep(time.Second)
	return l.ledger.Apply(at, records)
}

// TestNothingIsAppliedAfterwards: when a replica is promoted, pointed elsewhere or
// closed, the message at hand is applied to its end and no other, though many have
// arrived already.
func TestNothingIsAppliedAfterwards(t *testing.T) {
	for what, change := range map[string]func(t *testing.T, r *repl.Replica) error{
		"Promote": func(t *testing.T, r *repl.Replica) error { return second(r.Promote(t.Context())) },
		"Follow":  func(t *testing.T, r *repl.Replica) error { return r.Follow("elsewhere") },
		"Close":   func(t *testing.T, r *repl.Replica) error { return r.Close() },
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				net, b := repl.NewMemory(), newLedger(nil)
				rec := record("key", "value")
				upstream(t, net, "a", func(n int, p *peer) {
					p.welcome(someone(8).at(b))
					p.send(msgContinue, int64s(0))
					for i := range 20 {
						p.send(msgLog, logBody(int64(i*len(rec)), rec))
					}
					io.Copy(io.Discard, p)
				})
				r, err := repl.NewReplica(slowLedger{b}, "a", seeded(t, &repl.Options{Transport: net, Liveness: repl.Liveness{Timeout: time.Hour}}))
				if err != nil {
					t.Fatal(err)
				}
				ran := make(chan error, 1)
				go func() { ran <- r.Run(context.Background()) }()
				time.Sleep(2500 * time.Millisecond) // two are applied, the third is at hand
				begun := time.Now()
				if err := change(t, r); err != nil {
					t.Fatal(err)
				}
				if took := time.Since(begun); took > time.Second {
					t.Errorf("it took %v, and a message takes a second", took)
				}
				time.Sleep(time.Minute)
				if end := b.Log().End(); end != int64(3*len(rec)) {
					t.Errorf("%d of 20 records were applied, want 3", end/int64(len(rec)))
				}
				r.Close()
				if err := <-ran; !errors.Is(err, repl.ErrClosed) && !errors.Is(err, repl.ErrRoleChanged) {
					t.Errorf("Run: %v", err)
				}
			})
		})
	}
}
