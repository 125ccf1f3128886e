package sentinel_test

import (
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/repl/repltest"
	"github.com/emberkv/ember/repl/sentinel"
)

// warnsOfATwin reports whether a line of the log is a warning that another sentinel has the same id.
func warnsOfATwin(r slog.Record) bool {
	return r.Level == slog.LevelWarn && strings.Contains(r.Message, "another sentinel has this one's id")
}

// TestTwinSentinels: a sentinel was set up with a copy of another's state. Both warn of it, once a minute, and the
// group has its master meanwhile. When one of them is gone the warnings end.
func TestTwinSentinels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &logCounter{matters: warnsOfATwin}
		w := newTown(t, repltest.Star("a", "b", "c"), 3, sentinel.Options{Logger: slog.New(log)})
		w.settle()
		state, err := w.guards[2].store.Load()
		if err != nil {
			t.Fatal(err)
		}
		if n := log.lines.Load(); n != 0 {
			t.Errorf("%d warnings, and there is one of each", n)
		}
		twin := &guard{name: "twin", store: new(sentinel.MemoryStore)}
		if err := twin.store.Save(state); err != nil {
			t.Fatal(err)
		}
		w.start(twin)
		defer twin.Close()
		time.Sleep(4 * time.Minute)
		if n := log.lines.Load(); n < 4 || n > 10 {
			t.Errorf("%d warnings of two sentinels in four minutes", n)
		}
		w.agree("a", time.Minute)

		twin.Close()
		time.Sleep(10 * time.Second)
		before := log.lines.Load()
		time.Sleep(5 * time.Minute)
		if n := log.lines.Load(); n != before {
			t.Errorf("%d warnings more, and the other is gone", n-before)
		}
		w.agree("a", time.Minute)
	})
}

// TestAliasIsNoTwin: sentinels find a node at two addresses, and do not take themselves for others.
func TestAliasIsNoTwin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &logCounter{matters: warnsOfATwin}
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
		if n := log.lines.Load(); n != 0 {
			t.Errorf("%d warnings", n)
		}
		w.agree("a", time.Minute)
	})
}
