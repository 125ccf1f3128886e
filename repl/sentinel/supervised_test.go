package sentinel_test

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/repl/repltest"
	"github.com/emberkv/ember/repl/sentinel"
)

// A warningCounter counts the warnings that name a node.
type warningCounter struct{ warnings atomic.Int64 }

func (c *warningCounter) Enabled(_ context.Context, l slog.Level) bool { return l == slog.LevelWarn }
func (c *warningCounter) WithAttrs([]slog.Attr) slog.Handler           { return c }
func (c *warningCounter) WithGroup(string) slog.Handler                { return c }

func (c *warningCounter) Handle(_ context.Context, r slog.Record) error {
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "name" && a.Value.String() == "b" {
			c.warnings.Add(1)
		}
		return true
	})
	return nil
}

// A node that takes no orders is told of once, by its status for as long, and no more when it does.
func TestUnsupervisedNodeIsToldOf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := new(warningCounter)
		w := newTown(t, repltest.Star("a", "b", "c"), 1, sentinel.Options{Quorum: 1, Logger: slog.New(log)})
		supervised := func(want bool) {
			t.Helper()
			w.wait("b's options are known", time.Minute, func() bool {
				n, ok := nodeOf(w.guards[0], w.Member("b").Node().ID())
				return ok && n.Supervised == want && n.Linked && n.Heard >= 0
			})
			time.Sleep(10 * time.Second)
		}
		w.settle()
		supervised(true)
		if n := log.warnings.Load(); n != 0 {
			t.Errorf("%d warnings of a node that takes orders", n)
		}
		for i, free := range []bool{true, false, true} {
			w.free = map[string]bool{"b": free}
			w.Member("b").Kill()
			w.Member("b").Restart("a")
			supervised(!free)
			if n := log.warnings.Load(); n != int64(1+i/2) {
				t.Errorf("%d warnings after %d changes", n, i+1)
			}
		}
	})
}
