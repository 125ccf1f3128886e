//go:build unix

package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/emberkv/ember/repl"
)

// TestDiskStory: a master and a replica on disk are killed, each with the other alive, and
// both; nobody needs a full copy but the replica that has nothing yet.
func TestDiskStory(t *testing.T) {
	dirs := []string{t.TempDir(), t.TempDir()}
	a := start(t, "a", "-dir", dirs[0], "-fsync", "always", patient)
	a.fill("first", 100)
	b := start(t, "b", "-dir", dirs[1], "-follow", a.repl, patient)
	same(t, a, b)
	b.do(http.StatusOK, "POST", "/save", "", "")

	// The replica is killed. It goes on where it was.
	b.kill()
	a.fill("second", 100)
	b = start(t, "b", "-dir", dirs[1], "-follow", a.repl, patient)
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
	a = start(t, "a", "-dir", dirs[0], "-repl", a.repl, patient)
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
	a = start(t, "a", "-dir", dirs[0], "-repl", a.repl, patient)
	b = start(t, "b", "-dir", dirs[1], "-follow", a.repl, patient)
	b.gets("fourth", "before the end", position)
	same(t, a, b)
	if full, _ := b.syncs(); full != 0 {
		t.Errorf("after a stop there were %d full copies", full)
	}
	c := start(t, "c", patient)
	c.do(http.StatusConflict, "POST", "/save", "", "")
}

// TestAllComeBack: nodes and their sentinel that are killed at once, and started again as they were
// at first, are who they were: nobody is looked for who is gone, and the same node is the master.
func TestAllComeBack(t *testing.T) {
	t.Parallel()
	dir, at, second := t.TempDir(), fixedAddr(t), fixedAddr(t)
	all := func() (a, b, s *process) {
		a = start(t, "a", "-repl", at, "-dir", filepath.Join(dir, "a"))
		b = start(t, "b", "-repl", second, "-follow", at, "-dir", filepath.Join(dir, "b"))
		s = watchover(t, "s", "-monitor", at, "-quorum", "1", "-down-after", "10s", "-dir", filepath.Join(dir, "s"))
		return a, b, s
	}
	known := func(s *process, ids ...repl.NodeID) {
		t.Helper()
		eventually(t, func() error {
			var st struct {
				Master struct{ ID repl.NodeID }
				Nodes  []struct {
					ID     repl.NodeID
					Linked bool
				}
			}
			s.decode(s.do(http.StatusOK, "GET", "/sentinel", "", "").body, &st)
			for _, n := range st.Nodes {
				if !n.Linked || !slices.Contains(ids, n.ID) {
					return fmt.Errorf("it knows %+v, want %v", st.Nodes, ids)
				}
			}
			if len(st.Nodes) != len(ids) || st.Master.ID != ids[0] {
				return fmt.Errorf("it knows %+v, want %v, of which the first is the master", st, ids)
			}
			return nil
		})
	}
	a, b, s := all()
	b.gets("k", "v", a.put("k", "v"))
	idA, idB := a.status().ID, b.status().ID
	if idA == idB {
		t.Errorf("both are %v", idA)
	}
	known(s, idA, idB)
	for range 2 {
		s.kill()
		b.kill()
		a.kill()
		a, b, s = all()
		if newA, newB := a.status().ID, b.status().ID; newA != idA || newB != idB {
			t.Errorf("the nodes were %v and %v, and are %v and %v", idA, idB, newA, newB)
		}
		known(s, idA, idB)
		b.gets("k", "v", a.takes("k", "v"))
	}
	a.terminate()
	for folder, says := range map[string]string{
		filepath.Join(dir, "b"):         "in use: " + filepath.Join(dir, "b") + "; end the process that has it",
		filepath.Join(dir, "a", "lock"): "name a folder",
	} {
		code, _, stderr := runs(t, "-http", "127.0.0.1:0", "-repl", "127.0.0.1:0", "-dir", folder)
		if code != 1 || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, says) {
			t.Errorf("-dir %s: exit status %d, %q, want 1 and %q", folder, code, stderr, says)
		}
	}
	code, _, stderr := runs(t, "-sentinel", "127.0.0.1:0", "-monitor", at, "-dir", filepath.Join(dir, "a", "lock"))
	if code != 1 || !strings.Contains(stderr, "name a folder") {
		t.Errorf("a sentinel: exit status %d, %q", code, stderr)
	}
	file := filepath.Join(dir, "a", "node", "id")
	if err := os.WriteFile(file, []byte("a\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, _, stderr = runs(t, "-http", "127.0.0.1:0", "-repl", "127.0.0.1:0", "-dir", filepath.Join(dir, "a"))
	if code != 1 || !strings.Contains(stderr, "-dir: "+file) {
		t.Errorf("with a damaged id: exit status %d, %q", code, stderr)
	}
}
