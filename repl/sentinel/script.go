package sentinel

import (
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/emberkv/ember/repl"
)

// ErrScript is returned by [New], as a [*ScriptError], for a script that is not there or cannot be
// executed: to find that out when a master is down would be too late.
var ErrScript = errors.New("sentinel: script cannot be run")

// A ScriptError says which script cannot be run, and why.
type ScriptError struct {
	Field string // of Scripts
	Err   error  // fs.ErrNotExist, fs.ErrPermission, or another reason, with the path
}

func (e *ScriptError) Error() string { return fmt.Sprintf("%v: %s: %v", ErrScript, e.Field, e.Err) }

// Unwrap returns [ErrScript] and Err.
func (e *ScriptError) Unwrap() []error { return []error{ErrScript, e.Err} }

// Scripts are programs that a sentinel runs when something happens, each in a process of its
// own, with the environment and the folder of this one. A program in Go has Options.OnEvent,
// which needs no processes.
//
// Exit codes are understood as in Redis. 0: it is done. 1, or an end by a signal: try again,
// at most 10 times in all, after ScriptRetry, and then after twice the previous pause. 2 and
// more: it has failed for good. One that runs for longer than ScriptTimeout is killed, with
// what it has started, which counts as a signal. At most 16 run at once and 256 wait or run;
// if there is one more, the oldest that is not running is given up. So scripts may run at
// the same time, out of order, and again: they must be prepared for that.
//
// The event -script-error reports one that has failed for good, and the log the end of what
// it has printed. [Sentinel.Close] kills those that run and forgets the others.
type Scripts struct {
	// NotificationScript is run for each event of the level warning that is about an
	// instance, with two arguments: the event's name, such as +sdown, and its description.
	NotificationScript string

	// ReconfigScript is run when another node has become master, so that clients can be
	// told, with seven arguments: the group; the role of this sentinel, "leader" if it
	// led the failover and otherwise "observer"; the state, "start"; host and port of the
	// old master; host and port of the new one. For an address that is not a host and a
	// port, such as a Unix socket's, the host is all of it and the port is 0.
	ReconfigScript string

	// ScriptRetry is the pause before a script is tried for the second time. The default
	// is 30 s, the most an hour.
	ScriptRetry time.Duration

	// ScriptTimeout is how long a script may run. The default is 60 s.
	ScriptTimeout time.Duration
}

// Defaults and limits of Scripts. The numbers are those of Redis.
const (
	DefaultScriptRetry   = 30 * time.Second
	DefaultScriptTimeout = 60 * time.Second

	maxScripts        = 256 // waiting and running
	maxScriptsRunning = 16
	maxScriptRuns     = 10 // of one that asks to be run again
	maxScriptRetry    = time.Hour
)

// normalize fills in the defaults and makes the paths independent of the folder that the
// process will be in. It returns the first thing that is wrong.
func (s *Scripts) normalize() error {
	if s.ScriptRetry == 0 {
		s.ScriptRetry = DefaultScriptRetry
	}
	if s.ScriptTimeout == 0 {
		s.ScriptTimeout = DefaultScriptTimeout
	}
	if s.ScriptRetry < 0 || s.ScriptRetry > maxScriptRetry {
		return &repl.OptionError{Field: "ScriptRetry", Value: s.ScriptRetry, Want: "more than 0, at most 1h"}
	}
	if s.ScriptTimeout < 0 {
		return &repl.OptionError{Field: "ScriptTimeout", Value: s.ScriptTimeout, Want: "more than 0"}
	}
	for _, script := range []struct {
		field string
		path  *string
	}{
		{"NotificationScript", &s.NotificationScript},
		{"ReconfigScript", &s.ReconfigScript},
	} {
		if *script.path == "" {
			continue
		}
		path, err := filepath.Abs(*script.path)
		if err == nil {
			// With an absolute path this looks at the file, and at no $PATH.
			_, err = exec.LookPath(path)
		}
		if err != nil {
			return &ScriptError{Field: script.field, Err: err}
		}
		*script.path = path
	}
	return nil
}

// tell runs the scripts that are for e, if there are any. leads says whether this sentinel
// leads the failover that e is about.
func (q *scriptQueue) tell(e Event, leads bool) {
	s := &q.scripts
	if s.NotificationScript != "" && e.Kind.Warning() && e.About.Type != NoInstance {
		q.add(s.NotificationScript, e.Kind.String(), e.Message())
	}
	if s.ReconfigScript != "" && e.Kind == EventSwitchMaster {
		role := "observer"
		if leads {
			role = "leader"
		}
		fromHost, fromPort := hostPort(e.About.Addr)
		toHost, toPort := hostPort(e.Master.Addr)
		q.add(s.ReconfigScript, e.Group, role, "start", fromHost, fromPort, toHost, toPort)
	}
}
