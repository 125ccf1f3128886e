package sentinel_test

import (
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/repl/repltest"
	"github.com/emberkv/ember/repl/sentinel"
)

// namesB reports whether a line of the log is a warning that names node b.
func namesB(r slog.Record) (is bool) {
	r.Attrs(func(a slog.Attr) bool {
		is = is || a.Key == "name" && a.Value.String() == "b"
		return !is
	})
	return is && r.Level == slog.LevelWarn
}

// A node that takes no orders is told of once, by its status for as long, and no more when it does.
func TestUnsupervisedNodeIsToldOf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &logCounter{matters: namesB}
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
		if n := log.lines.Load(); n != 0 {
			t.Errorf("%d warnings of a node that takes orders", n)
		}
		for i, free := range []bool{true, false, true} {
			w.free = map[string]bool{"b": free}
			w.Member("b").Kill()
			w.Member("b").Restart("a")
			supervised(!free)
			if n := log.lines.Load(); n != int64(1+i/2) {
				t.Errorf("%d warnings after %d changes", n, i+1)
			}
		}
	})
}
