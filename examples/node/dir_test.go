//go:build unix

package main

import (
	"net/http"
	"testing"
)

// TestDiskStory: a master and a replica on disk are killed, each with the other alive, and
// both; nobody needs a full copy but the replica that has nothing yet.
func TestDiskStory(t *testing.T) {
	dirs := []string{t.TempDir(), t.TempDir()}
	a := start(t, "a", "-dir", dirs[0], "-fsync", "always")
	a.fill("first", 100)
	b := start(t, "b", "-dir", dirs[1], "-follow", a.repl)
	same(t, a, b)
	b.do(http.StatusOK, "POST", "/save", "", "")

	// The replica is killed. It goes on where it was.
	b.kill()
	a.fill("second", 100)
	b = start(t, "b", "-dir", dirs[1], "-follow", a.repl)
	same(t, a, b)
	if full, partial := b.syncs(); full != 0 || partial != 1 {
		t.Errorf("the replica that came back has taken %d full copies and %d partial ones", full, partial)
	}

	// The master is killed, after a save and some more. It has all that it has answered.
	var saved struct{ Position string }
	a.decode(a.do(http.StatusOK, "POST", "/save", "", "").body, &saved)
	position := a.put("third", "after the save")
	if offsetOf(saved.Position) == offsetOf(position) || historyOf(saved.Position) != historyOf(position) {
		t.Errorf("saved at %s, then wrote at %s", saved.Position, position)
	}
	a.kill()
	a = start(t, "a", "-dir", dirs[0], "-repl", a.repl)
	a.has("third", "after the save")
	same(t, a, b)
	if full, partial := b.syncs(); full != 0 || partial != 2 {
		t.Errorf("of the master that came back the replica has taken %d full copies, %d partial ones in all", full, partial)
	}

	// Both end as they should, and are as they were.
	position = a.put("fourth", "before the end")
	b.gets("fourth", "before the end", position)
	b.terminate()
	a.terminate()
	a = start(t, "a", "-dir", dirs[0], "-repl", a.repl)
	b = start(t, "b", "-dir", dirs[1], "-follow", a.repl)
	b.gets("fourth", "before the end", position)
	same(t, a, b)
	if full, _ := b.syncs(); full != 0 {
		t.Errorf("after a stop there were %d full copies", full)
	}
	c := start(t, "c")
	c.do(http.StatusConflict, "POST", "/save", "", "")
}
