package sentinel

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"time"
)

// Bounds of one run of a script.
const (
	maxScriptOutput = 1 << 10     // bytes of the end of what it prints, which are logged if it fails
	scriptWaitDelay = time.Second // for somebody to whom it has left its output, and lives on
)

// A scriptEnd says how a run of a script has ended.
type scriptEnd struct {
	err      error // why it could not be started
	code     int   // -1 after a signal
	signal   int   // 0 without one
	timedOut bool
	pid      int
	printed  string // the end of it
}

// runScript runs a program and waits for its end, which comes after timeout at the latest,
// or when ctx ends.
func runScript(ctx context.Context, timeout time.Duration, path string, args []string) scriptEnd {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var printed tail
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Stdout, cmd.Stderr = &printed, &printed
	cmd.WaitDelay = scriptWaitDelay
	isolate(cmd)
	err := cmd.Run()
	if cmd.ProcessState == nil {
		return scriptEnd{err: err}
	}
	return scriptEnd{
		code:     cmd.ProcessState.ExitCode(),
		signal:   signalOf(cmd.ProcessState),
		timedOut: errors.Is(ctx.Err(), context.DeadlineExceeded) && !cmd.ProcessState.Exited(),
		pid:      cmd.ProcessState.Pid(),
		printed:  string(printed.bytes),
	}
}

func (e scriptEnd) ok() bool { return e.err == nil && e.code == 0 }

// again reports whether the script wants to be run once more. One that cannot be started
// does not get better.
func (e scriptEnd) again() bool { return e.err == nil && (e.code == 1 || e.code < 0) }

// String returns the end in words.
func (e scriptEnd) String() string {
	switch {
	case e.err != nil:
		return "not started: " + e.err.Error()
	case e.timedOut:
		return "killed for taking too long"
	case e.code < 0:
		return fmt.Sprintf("signal %d", e.signal)
	}
	return fmt.Sprintf("exit status %d", e.code)
}

// codes returns the two numbers that stand in the description of -script-error: the signal
// and the exit status. A script that could not be started has 2, as if it had said so itself.
func (e scriptEnd) codes() string {
	switch {
	case e.err != nil:
		return "0 2"
	case e.code < 0:
		return fmt.Sprintf("%d 0", e.signal)
	}
	return fmt.Sprintf("0 %d", e.code)
}

func (e scriptEnd) pidText() string { return strconv.Itoa(e.pid) }

// A tail keeps the end of what is written to it.
type tail struct{ bytes []byte }

// Write takes all of b and returns no error.
func (t *tail) Write(b []byte) (int, error) {
	t.bytes = append(t.bytes, b[max(0, len(b)-maxScriptOutput):]...)
	if over := len(t.bytes) - maxScriptOutput; over > 0 {
		t.bytes = append(t.bytes[:0], t.bytes[over:]...)
	}
	return len(b), nil
}
