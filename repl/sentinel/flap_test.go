package sentinel_test

import (
	"context"
	"errors"
	"flag"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/repl/repltest"
	"github.com/emberkv/ember/repl/sentinel"
)

var flapFor = flag.Duration("sentinel.flap", flapTime, "for how long, in virtual time, the master changes every second")

// The master changes every second: it is told to hand over, or to make way, or it hangs for a
// moment that is too long. One node writes at a time, what was acknowledged stays, and the
// log grows by some lines a change.
func TestFlapping(t *testing.T) {
	if *flapFor > 10*time.Minute {
		t.Parallel()
	}
	synctest.Test(t, func(t *testing.T) {
		log := &logCounter{matters: func(slog.Record) bool { return true }}
		w := newTown(t, repltest.Star("a", "b", "c"), 3, sentinel.Options{DownAfter: 200 * time.Millisecond, MinHeard: 2, Logger: slog.New(log)})
		w.settle()
		p := newPublic(w)
		begun := log.lines.Load()
		changes := int(*flapFor / time.Second)
		done := make(map[string]int)
		for i := range changes {
			how := p.flap(i)
			done[how]++
			p.live(time.Second)
		}
		p.recover("flapping")
		if n := len(p.writers); n < changes/2 {
			t.Errorf("%d changes of %d, by %v\n%s", n, changes, done, w)
		}
		if n := log.lines.Load() - begun; n > int64(150*changes) {
			t.Errorf("%d lines are logged for %d changes", n, changes)
		} else {
			t.Logf("%d epochs in which there were writes, %d writes, %d steps without, %d lines, %v", len(p.writers), p.wrote, p.refused, n, done)
		}
	})
}

// flap has another master be wanted, in one of three ways, which it returns.
func (p *public) flap(i int) string {
	p.t.Helper()
	guard := p.guards[i%len(p.guards)]
	master := p.Member(guard.Master().Addr)
	ctx, cancel := context.WithTimeout(context.Background(), 900*time.Millisecond)
	how := []string{"handover", "failover", "hang"}[i%3]
	p.wg.Go(func() {
		defer cancel()
		switch how {
		case "handover":
			for _, m := range p.Members() {
				if m != master {
					guard.Handover(ctx, m.Node().Status().ID) // which may not be possible just now
					return
				}
			}
		case "failover":
			if err := guard.Failover(ctx); errors.Is(err, sentinel.ErrClosed) {
				p.t.Error(err)
			}
		default:
			host := p.Network.Host(master.Name())
			host.Stall()
			time.Sleep(400 * time.Millisecond)
			host.Resume()
		}
	})
	return how
}
