package sentinel_test

import (
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/repl/repltest"
	"github.com/emberkv/ember/repl/sentinel"
)

// A twinCounter counts the warnings that another sentinel has the same id.
type twinCounter struct{ warnings atomic.Int64 }

func (c *twinCounter) Enabled(_ context.Context, l slog.Level) bool { return l == slog.LevelWarn }
func (c *twinCounter) WithAttrs([]slog.Attr) slog.Handler           { return c }
func (c *twinCounter) WithGroup(string) slog.Handler                { return c }

func (c *twinCounter) Handle(_ context.Context, r slog.Record) error {
	if strings.Contains(r.Message, "another sentinel has this one's id") {
		c.warnings.Add(1)
	}
	return nil
}

// TestTwinSentinels: a sentinel was set up with a copy of another's state. Both warn of it, once a minute, and the
// group has its master meanwhile. When one of them is gone the warnings end.
func TestTwinSentinels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := new(twinCounter)
		w := newTown(t, repltest.Star("a", "b", "c"), 3, sentinel.Options{Logger: slog.New(log)})
		w.settle()
		state, err := w.guards[2].store.Load()
		if err != nil {
			t.Fatal(err)
		}
		if n := log.warnings.Load(); n != 0 {
			t.Errorf("%d warnings, and there is one of each", n)
		}
		twin := &guard{name: "twin", store: new(sentinel.MemoryStore)}
		if err := twin.store.Save(state); err != nil {
			t.Fatal(err)
		}
		w.start(twin)
		defer twin.Close()
		time.Sleep(4 * time.Minute)
		if n := log.warnings.Load(); n < 4 || n > 10 {
			t.Errorf("%d warnings of two sentinels in four minutes", n)
		}
		w.agree("a", time.Minute)

		twin.Close()
		time.Sleep(10 * time.Second)
		before := log.warnings.Load()
		time.Sleep(5 * time.Minute)
		if n := log.warnings.Load(); n != before {
			t.Errorf("%d warnings more, and the other is gone", n-before)
		}
		w.agree("a", time.Minute)
	})
}

// TestAliasIsNoTwin: sentinels find a node at two addresses, and do not take themselves for others.
func TestAliasIsNoTwin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := new(twinCounter)
		w := newTown(t, repltest.Star("a", "b", "c"), 0, sentinel.Options{Logger: slog.New(log), Monitor: []string{"a", "a2"}})
		ln, err := w.Network.Host("a").Listen("a2")
		if err != nil {
			t.Fatal(err)
		}
		go w.Member("a").Node().Serve(ln)
		for _, name := range []string{"s1", "s2", "s3"} {
			g := &guard{name: name, store: new(sentinel.MemoryStore)}
			w.guards = append(w.guards, g)
			w.start(g)
		}
		w.settle()
		for range 20 {
			time.Sleep(10 * time.Second)
			w.Network.Around("a").Cut()
		}
		time.Sleep(time.Minute)
		if n := log.warnings.Load(); n != 0 {
			t.Errorf("%d warnings", n)
		}
		w.agree("a", time.Minute)
	})
}
