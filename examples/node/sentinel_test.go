//go:build unix

package main

import (
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/emberkv/ember/repl"
)

// TestKillsOfMasters kills one master after the other, as kill -9 does. Each time another
// takes its place, and at the end every write that was acknowledged is there. It is not
// parallel to others, which would take the time that it gives to a node.
func TestKillsOfMasters(t *testing.T) {
	kills := 20
	if testing.Short() {
		kills = 3
	}
	c := newTown(t, "200ms", "-fenced", "-ack", "1")
	w := c.newClerk()
	var took []time.Duration
	for range kills {
		old := c.awaitMaster("")
		w.writes()
		began := time.Now()
		old.kill()
		next := c.awaitMaster(old.repl)
		w.writes()
		took = append(took, time.Since(began))
		c.restart(old, next)
	}
	w.end()
	c.holds(w.keys())
	slices.Sort(took)
	t.Logf("%d writes acknowledged; from a kill to the fifth write after it: median %v, the longest %v",
		len(w.keys()), took[len(took)/2], took[len(took)-1])
}

// TestStoppedMaster stops masters where they are for longer than their lease, and lets them
// go on: not one of the writes that have come to it since it was stopped is taken, though it has been
// told nothing when it goes on, and they are waiting for it. Nothing but its lease keeps them
// out: no write waits for a replica.
func TestStoppedMaster(t *testing.T) {
	c := newTown(t, "400ms", "-fenced")
	w := c.newClerk()
	for range 3 {
		var old *process
		var i *insistence
		eventually(t, func() error {
			if m := c.awaitMaster(""); m != old { // the first, or a busy machine has changed it
				if i != nil {
					i.end()
				}
				old, i = m, insist(m, 4)
			}
			if n := i.count(); n < 10 {
				return fmt.Errorf("%s has accepted %d writes", old.name, n)
			}
			return nil
		})
		w.writes()
		old.freeze()
		frozen := time.Now()
		c.awaitMaster(old.repl)
		w.writes()
		old.thaw()
		old.shows("role:slave", "master_link_status:up")
		for _, sent := range i.end() {
			if sent.After(frozen) {
				t.Errorf("%s has taken a write that was sent %v after it was stopped", old.name, sent.Sub(frozen))
			}
		}
		w.writes()
	}
	w.end()
	c.holds(nil)
}

// An insistence writes to one node, whatever the sentinels say.
type insistence struct {
	stop chan struct{}
	wg   sync.WaitGroup

	mu       sync.Mutex
	accepted map[string]time.Time // keys, and when they were sent
}

// insist starts so many writers, which keep their connections.
func insist(on *process, writers int) *insistence {
	i := &insistence{stop: make(chan struct{}), accepted: make(map[string]time.Time)}
	for id := range writers {
		i.wg.Go(func() { i.run(on, id) })
	}
	return i
}

func (i *insistence) run(on *process, id int) {
	for n := 0; ; n++ {
		select {
		case <-i.stop:
			return
		case <-time.After(time.Millisecond):
		}
		key := fmt.Sprintf("insisted:%s:%d:%d:%d", on.name, time.Now().UnixNano(), id, n)
		sent := time.Now()
		if put(client, on, key) == http.StatusNoContent {
			i.mu.Lock()
			i.accepted[key] = sent
			i.mu.Unlock()
		}
	}
}

func (i *insistence) count() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return len(i.accepted)
}

// end ends the writers and returns what was accepted.
func (i *insistence) end() map[string]time.Time {
	close(i.stop)
	i.wg.Wait()
	return i.accepted
}

// TestSentinelsComeBack: a sentinel that is started again, with what it has on disk, knows
// the master before it has reached anybody.
func TestSentinelsComeBack(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a := start(t, "a")
	flags := []string{"-monitor", a.repl, "-quorum", "1", "-down-after", "500ms", "-dir", filepath.Join(dir, "s")}
	s := watchover(t, "s", flags...)
	var before, after master
	eventually(t, func() error {
		r, err := s.try("GET", "/master", "", "")
		if err != nil || r.status != http.StatusOK {
			return fmt.Errorf("%+v, %v", r, err)
		}
		s.decode(r.body, &before)
		return nil
	})
	if before.Warning = ""; before.Addr != a.repl || before.Name != "a" || before.Epoch.IsZero() {
		t.Errorf("the master is %+v", before)
	}
	s.terminate()
	a.kill()
	s = watchover(t, "s again", flags...)
	s.decode(s.do(http.StatusOK, "GET", "/master", "", "").body, &after)
	if after.Warning = ""; after != before { // a was heard then, and may be down by now
		t.Errorf("the master was %+v, and is %+v", before, after)
	}
	second := append([]string{"-http", "127.0.0.1:0", "-sentinel", "127.0.0.1:0"}, flags...)
	if code, _, stderr := runs(t, second...); code != 1 {
		t.Errorf("a second sentinel with the same -dir: exit status %d, %q", code, stderr)
	}
}

// TestSentinelBeside: a node and a sentinel in one process, three times; with -dir, each keeps
// both. No node is told of the others but by -follow, no sentinel of anybody but the node
// beside it. No machine is so busy that a process which is there says nothing for 3 s.
func TestSentinelBeside(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	both := func(name, addr string, flags ...string) *process {
		return start(t, name, append(flags, "-repl", addr, "-sentinel", "127.0.0.1:0", "-down-after", "3s",
			"-dir", filepath.Join(dir, name))...)
	}
	addrs := []string{fixedAddr(t), fixedAddr(t), fixedAddr(t)}
	a := both("a", addrs[0])
	b := both("b", addrs[1], "-follow", addrs[0])
	c := both("c", addrs[2], "-follow", addrs[0])
	b.gets("k", "v", a.put("k", "v"))
	c.shows("master_link_status:up")
	for _, p := range []*process{a, b, c} {
		names(t, p, "a")
	}
	a.kill()
	eventually(t, func() error {
		if b.info()["role"] != "master" && c.info()["role"] != "master" {
			return fmt.Errorf("neither is a master")
		}
		return nil
	})
	next, other := b, c
	if c.info()["role"] == "master" {
		next, other = c, b
	}
	other.shows("role:slave", "master_link_status:up")
	names(t, other, next.name)
	// Its store is of the master that it was; its sentinel knows better.
	a = both("a", addrs[0])
	a.shows("role:slave", "master_link_status:up")
	names(t, a, next.name)
	eventually(t, func() error {
		if r, err := next.try("PUT", "/keys/k2", "v2", ""); err != nil || r.status != http.StatusNoContent {
			return fmt.Errorf("%+v, %v", r, err)
		}
		return nil
	})
	same(t, a, b, c)
}

// names waits until the sentinel in a process names that node as the master.
func names(t *testing.T, p *process, name string) {
	t.Helper()
	eventually(t, func() error {
		r, err := p.try("GET", "/master", "", "")
		if err != nil || r.status != http.StatusOK {
			return fmt.Errorf("%s: %+v, %v", p.name, r, err)
		}
		var m master
		if p.decode(r.body, &m); m.Name != name {
			return fmt.Errorf("%s names %s", p.name, m.Name)
		}
		return nil
	})
}

// explains waits until a sentinel says why it knows no master.
func (p *process) explains(why string) {
	p.t.Helper()
	eventually(p.t, func() error {
		for _, ask := range []string{"GET /master", "POST /failover"} {
			method, path, _ := strings.Cut(ask, " ")
			if r, err := p.try(method, path, "", ""); err != nil || r.status != http.StatusServiceUnavailable || !strings.Contains(r.body, why) {
				return fmt.Errorf("%s: %s: %+v, %v, want %s", p.name, ask, r, err, why)
			}
		}
		return nil
	})
}

// TestSentinelExplains: one that knows no master says whom it has not found, and one that does what
// is wrong with that.
func TestSentinelExplains(t *testing.T) {
	t.Parallel()
	at := fixedAddr(t)
	flags := []string{"-monitor", at, "-quorum", "2", "-down-after", "500ms"}
	s := watchover(t, "s", flags...)
	other := watchover(t, "other", flags...)
	s.explains(at + ": ")
	s.explains("connection refused")
	warns := func(words ...string) {
		t.Helper()
		eventually(t, func() error {
			r, err := s.try("GET", "/master", "", "")
			if err != nil || r.status != http.StatusOK {
				return fmt.Errorf("%+v, %v", r, err)
			}
			var m master
			s.decode(r.body, &m)
			for _, word := range words {
				if !strings.Contains(m.Warning, word) {
					return fmt.Errorf("it warns %q, want %s", m.Warning, words)
				}
			}
			if len(words) == 0 && m.Warning != "" {
				return fmt.Errorf("it warns %q", m.Warning)
			}
			return nil
		})
	}
	a := start(t, "a", "-repl", at)
	warns()
	a.kill()
	warns("not heard it for", "quorum, 2, find it down")
	other.kill()
	warns("not heard it for", "NOQUORUM: 1 of 2 sentinels")
}

// TestSentinelSecret: a sentinel needs the group's secret, and gets a new one as nodes do.
func TestSentinelSecret(t *testing.T) {
	t.Parallel()
	before, after := repl.NewSecret(), repl.NewSecret()
	ring := newKeyring(t, before)
	at, kept := fixedAddr(t), t.TempDir()
	a := start(t, "a", "-repl", at, "-dir", kept, "-secret", newKeyring(t, before).path)
	flags := []string{"-monitor", at, "-quorum", "1", "-down-after", "300ms"}
	s := watchover(t, "s", append(flags, "-secret", ring.path)...)
	stranger := watchover(t, "stranger", flags...)
	names(t, s, "a")
	stranger.explains("or a secret")

	ring.write(after, before)
	s.signal(syscall.SIGHUP)
	a.terminate()
	start(t, "a again", "-repl", at, "-dir", kept, "-secret", newKeyring(t, after).path)
	names(t, s, "a again")
	stranger.terminate() // long after it was started
	if log := stranger.log.String(); !strings.Contains(log, "nobody to watch at this address") || !strings.Contains(log, "or a secret") {
		t.Error("the stranger has not said why it watches nobody")
	}
}
