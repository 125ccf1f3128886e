package sentinel

import (
	"testing"
	"time"

	"github.com/emberkv/ember/repl"
)

// A sentinel that was stopped does not take for silence what it has slept through; nor does it
// forget a silence from before.
func TestStoppedSentinel(t *testing.T) {
	start := time.Now()
	for _, c := range []struct {
		name           string
		stopped        time.Duration
		silent, wanted time.Duration // before it was stopped, and after
	}{
		{"not at all", 0, time.Second / 2, time.Second / 2},
		{"for a moment", time.Second / 5, time.Second / 2, time.Second/2 + time.Second/5},
		{"for long", time.Hour, time.Second / 2, time.Second / 2},
		{"for long, after a long silence", time.Hour, time.Minute, time.Minute},
	} {
		s := &Sentinel{opts: &Options{DownAfter: time.Second, Quorum: 1, Monitor: []string{"a"}}}
		s.opts, _ = s.opts.normalize()
		d := newDesk(s, &memory{id: repl.NodeID{99}}, start)
		defer d.cancel()
		since := start.Add(-c.silent)
		d.view.add(repl.NodeID{1}, since)
		d.view.foundPeer(repl.NodeID{2}, "", "s", since)
		d.lines["a"] = &line{asked: []question{{1, since}}}
		d.wakeAt = start
		now := start.Add(c.stopped)
		d.excuse(now)
		for what, since := range map[string]time.Time{
			"node": d.view.nodes[repl.NodeID{1}].silentSince, "peer": d.view.peers[repl.NodeID{2}].silentSince, "question": d.lines["a"].asked[0].at,
		} {
			if got := now.Sub(since); got != c.wanted {
				t.Errorf("stopped %s: the %s is silent for %v, want %v", c.name, what, got, c.wanted)
			}
		}
	}
}
