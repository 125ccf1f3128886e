//go:build unix

package sentinel

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// A scripted is a queue with one script, and what has become of it.
type scripted struct {
	*scriptQueue
	path string
	out  string // file to which the script appends

	mu     sync.Mutex
	events []string
}

// newScripted writes a script, which finds in $OUT a file of its own, and returns a queue
// for it.
func newScripted(t *testing.T, body string, opts Scripts) *scripted {
	t.Helper()
	dir := t.TempDir()
	s := &scripted{path: filepath.Join(dir, "script"), out: filepath.Join(dir, "out")}
	text := fmt.Sprintf("#!/bin/sh\nOUT='%s'\n%s\n", s.out, body)
	if err := os.WriteFile(s.path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	opts.NotificationScript, opts.ReconfigScript = s.path, s.path
	if err := opts.normalize(); err != nil {
		t.Fatal(err)
	}
	s.scriptQueue = newScriptQueue(opts, slog.New(slog.DiscardHandler), func(kind EventKind, text string) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.events = append(s.events, kind.String()+" "+strings.ReplaceAll(text, s.path, "PATH"))
	})
	t.Cleanup(s.close)
	return s
}

// lines returns what the script has written.
func (s *scripted) lines(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile(s.out)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
}

func (s *scripted) told() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.events)
}

// idle says that nothing is left to be run.
func (s *scripted) idle(t *testing.T) {
	t.Helper()
	if left := s.status(); len(left) > 0 {
		t.Errorf("there is left %+v", left)
	}
}

// until waits for something that processes do, by the real clock.
func until(t *testing.T, what string, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !f(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it has not come to that: %s", what)
		}
	}
}

// TestScriptArguments: which events run a script, and with what.
func TestScriptArguments(t *testing.T) {
	master := Instance{Type: InstanceMaster, Name: "a", Addr: "10.0.0.1:7000"}
	slave := Instance{Type: InstanceSlave, Name: "b", Addr: "[fe80::2]:7000"}
	for _, c := range []struct {
		event Event
		leads bool
		want  []string
	}{
		{Event{Kind: EventSDown, Group: "g", About: slave, Master: master}, false,
			[]string{"2|+sdown|slave b fe80::2 7000 @ g 10.0.0.1 7000|"}},
		{Event{Kind: EventNewSlave, Group: "g", About: slave, Master: master}, false, nil},
		{Event{Kind: EventNewEpoch, Group: "g", Text: "7"}, false, nil},
		{Event{Kind: EventSwitchMaster, Group: "g", About: master, Master: slave}, true, []string{
			"2|+switch-master|g 10.0.0.1 7000 fe80::2 7000|",
			"7|g|leader|start|10.0.0.1|7000|fe80::2|7000|"}},
		{Event{Kind: EventSwitchMaster, Group: "$(id); g", About: slave, Master: Instance{Type: InstanceMaster, Addr: "/run/a.sock"}}, false, []string{
			"2|+switch-master|$(id); g fe80::2 7000 /run/a.sock 0|",
			"7|$(id); g|observer|start|fe80::2|7000|/run/a.sock|0|"}},
	} {
		s := newScripted(t, `IFS="|"; echo "$#|$*|" >>$OUT`, Scripts{})
		s.tell(c.event, c.leads)
		until(t, "the scripts have run", func() bool { return len(s.status()) == 0 })
		if got := slices.Sorted(slices.Values(s.lines(t))); len(c.want) > 0 && !slices.Equal(got, c.want) || len(c.want) == 0 && got[0] != "" {
			t.Errorf("%v: %q, want %q", c.event, got, c.want)
		}
		if told := s.told(); len(told) > 0 {
			t.Errorf("told %q", told)
		}
	}
}

// TestScriptTriedAgain: a script that asks for it is run ten times, at these moments.
func TestScriptTriedAgain(t *testing.T) {
	for _, c := range []struct{ end, told string }{
		{"exit 1", "-script-error PATH 0 1"},
		{"kill -TERM $$", "-script-error PATH 15 0"},
	} {
		t.Run(c.end, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScripted(t, "echo again >>$OUT; "+c.end, Scripts{})
				s.add(s.path, "+odown", "")
				// Virtual time stands while a process runs, so a moment is enough.
				const moment = time.Microsecond
				time.Sleep(moment)
				pause := DefaultScriptRetry
				for run := 1; run < 10; run, pause = run+1, 2*pause {
					if got := len(s.lines(t)); got != run {
						t.Fatalf("%d runs, want %d", got, run)
					}
					time.Sleep(pause - 2*moment)
					if got := len(s.lines(t)); got != run {
						t.Fatalf("run %d came too early", got)
					}
					time.Sleep(2 * moment)
				}
				time.Sleep(1000 * time.Hour)
				if got := len(s.lines(t)); got != 10 {
					t.Errorf("%d runs, want 10", got)
				}
				if told := s.told(); !slices.Equal(told, []string{c.told}) {
					t.Errorf("told %q, want %q", told, c.told)
				}
				s.idle(t)
			})
		})
	}
}

// TestScriptFinal: a script that has done its work, or has failed for good, is run once.
func TestScriptFinal(t *testing.T) {
	for _, c := range []struct {
		body string
		told []string
	}{
		{"exit 0", nil},
		{"exit 2", []string{"-script-error PATH 0 2"}},
		{"exit 77", []string{"-script-error PATH 0 77"}},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newScripted(t, "echo once >>$OUT\n"+c.body, Scripts{})
			s.add(s.path)
			time.Sleep(1000 * time.Hour)
			if got := s.lines(t); !slices.Equal(got, []string{"once"}) {
				t.Errorf("%s: %q", c.body, got)
			}
			if told := s.told(); !slices.Equal(told, c.told) {
				t.Errorf("%s: told %q, want %q", c.body, told, c.told)
			}
			s.idle(t)
		})
	}
}

// TestScriptGone: one that was there at the start and is not now is not waited for.
func TestScriptGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScripted(t, "", Scripts{})
		if err := os.Remove(s.path); err != nil {
			t.Fatal(err)
		}
		s.add(s.path, "+sdown", "")
		time.Sleep(1000 * time.Hour)
		if told := s.told(); !slices.Equal(told, []string{"-script-error PATH 0 2"}) {
			t.Errorf("told %q", told)
		}
		s.idle(t)
	})
}

// TestScriptThatHangs: it is killed with what it has started, and tried again.
func TestScriptThatHangs(t *testing.T) {
	// A busy machine may kill the script before it has come to say what it has started.
	slept, patience := 0, 100*time.Millisecond
	for ; slept == 0 && patience < time.Minute; patience *= 4 {
		slept = hangs(t, patience)
	}
	if slept == 0 {
		t.Fatalf("within %v the script has not said what it has started", patience/4)
	}
	// Whoever adopts it may take a moment to bury it.
	until(t, "what the script has started is gone", func() bool { return ended(slept) })
}

// hangs runs a script that starts a process and waits for it, until it is killed and its next
// run is due in an hour. It returns the process, or 0 if the script did not come to start it.
func hangs(t *testing.T, patience time.Duration) (pid int) {
	t.Helper()
	s := newScripted(t, "sleep 1000 & echo $! >>$OUT; wait", Scripts{ScriptTimeout: patience, ScriptRetry: time.Hour})
	s.add(s.path, "+sdown", "")
	until(t, "the script waits for its second run", func() bool {
		jobs := s.status()
		return len(jobs) == 1 && !jobs[0].Running && jobs[0].Runs == 1
	})
	until(t, "it is told", func() bool { return len(s.told()) > 0 })
	if told := s.told(); !strings.HasPrefix(told[0], "-script-timeout PATH ") {
		t.Errorf("told %q", told)
	}
	said := s.lines(t)[0]
	if said == "" {
		return 0
	}
	pid, err := strconv.Atoi(said)
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// ended reports whether a process is no more, or only waits to be asked for its status.
func ended(pid int) bool {
	if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		return true
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && strings.Contains(string(stat), ") Z ")
}

// TestScriptQueueIsBounded: so many run, so many wait, and the oldest that waits goes.
func TestScriptQueueIsBounded(t *testing.T) {
	s := newScripted(t, "echo $1 >>$OUT; sleep 1000", Scripts{})
	for i := range maxScriptsRunning {
		s.add(s.path, strconv.Itoa(i))
	}
	until(t, "as many run as may", func() bool {
		return !slices.ContainsFunc(s.status(), func(j ScriptStatus) bool { return !j.Running }) &&
			len(s.lines(t)) == maxScriptsRunning
	})
	for i := maxScriptsRunning; i < maxScripts+2; i++ {
		s.add(s.path, strconv.Itoa(i))
	}
	jobs := s.status()
	if len(jobs) != maxScripts {
		t.Fatalf("%d scripts run or wait, want %d", len(jobs), maxScripts)
	}
	for i, j := range jobs {
		want := i
		if i >= maxScriptsRunning {
			want += 2
		}
		if j.Args[0] != strconv.Itoa(want) || j.Running != (i < maxScriptsRunning) {
			t.Fatalf("in place %d is %+v, want %d", i, j, want)
		}
	}
	s.close() // kills the sixteen
	s.close()
	if got := len(s.lines(t)); got != maxScriptsRunning {
		t.Errorf("%d scripts have run, want %d", got, maxScriptsRunning)
	}
}

func TestScriptOptions(t *testing.T) {
	dir := t.TempDir()
	plain := filepath.Join(dir, "plain")
	if err := os.WriteFile(plain, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		path string
		why  error
	}{
		{filepath.Join(dir, "missing"), fs.ErrNotExist},
		{"ls", fs.ErrNotExist}, // it is not looked for in $PATH
		{plain, fs.ErrPermission},
		{dir, ErrScript},
	} {
		for _, s := range []Scripts{{NotificationScript: c.path}, {ReconfigScript: c.path}} {
			if err := s.normalize(); !errors.Is(err, ErrScript) || !errors.Is(err, c.why) {
				t.Errorf("%+v: %v, want %v", s, err, c.why)
			}
		}
	}
	for _, s := range []Scripts{{ScriptRetry: -1}, {ScriptRetry: 2 * time.Hour}, {ScriptTimeout: -1}} {
		if err := s.normalize(); err == nil {
			t.Errorf("%+v is taken", s)
		}
	}
}

func TestScriptTail(t *testing.T) {
	var got tail
	want := ""
	for i := range 300 {
		text := strings.Repeat(strconv.Itoa(i), 1+i%7*200)
		got.Write([]byte(text))
		want += text
		if end := want[max(0, len(want)-maxScriptOutput):]; string(got.bytes) != end {
			t.Fatalf("after %d writes: %d bytes are not the last %d", i+1, len(got.bytes), len(end))
		}
	}
}
