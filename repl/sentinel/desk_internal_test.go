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

// TestVoteForAStranger: who asks for a vote before it has told its state gets none, and does not count as a sentinel:
// it may be another group's.
func TestVoteForAStranger(t *testing.T) {
	now := time.Now()
	opts, err := (&Options{Quorum: 1, Monitor: []string{"a"}, Store: new(MemoryStore)}).normalize()
	if err != nil {
		t.Fatal(err)
	}
	d := newDesk(&Sentinel{opts: opts}, &memory{id: repl.NodeID{99}}, now)
	defer d.cancel()
	from, a := repl.Peer{ID: repl.NodeID{1}, Listen: "s:1"}, ask{Epoch: 5}
	if answer, err := d.heardAsk(from, a, now); err != errStranger || len(d.view.peers) != 0 {
		t.Errorf("a stranger is answered %x, %v, and %d sentinels are known", answer, err, len(d.view.peers))
	}
	d.heardState(from, &state{Known: 1}, now)
	answer, err := d.heardAsk(from, a, now)
	if err != nil {
		t.Fatal(err)
	}
	if r, err := parseReply(answer); err != nil || r.Verdict == unanswered || len(d.view.peers) != 1 {
		t.Errorf("one that has told its state is answered %+v, %v, and %d sentinels are known", r, err, len(d.view.peers))
	}
}
