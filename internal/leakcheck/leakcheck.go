// Package leakcheck fails a package's tests when they leave a goroutine behind.
// Goroutines inside a testing/synctest bubble are found by the bubble itself, at its end;
// this is for all the others. [Bubbled] counts those in a bubble before that.
package leakcheck

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"testing"
	"time"
)

const (
	// patience is how long goroutines that are about to end are given: much longer than
	// they take on a busy machine, since only what fails waits to the end.
	patience = 30 * time.Second

	// pause is how long they are left alone between two looks, each of which stops them.
	pause = 5 * time.Millisecond
)

// Main runs a package's tests and ends the program, with 1 if they failed or if a
// goroutine outlives them that runs this module's code or was started by it. It is all
// that a TestMain has to call.
func Main(m *testing.M) {
	code := m.Run()
	if left := goroutines(patience); len(left) > 0 && code == 0 {
		fmt.Fprintf(os.Stderr, "goroutines left behind:\n%s\n", left)
		code = 1
	}
	os.Exit(code)
}

// goroutines returns the stacks of the module's goroutines, other than this one, that
// have not ended when patience is over.
func goroutines(patience time.Duration) []byte {
	buf := make([]byte, 1<<20)
	for begun := time.Now(); ; time.Sleep(pause) {
		stacks := bytes.Split(buf[:runtime.Stack(buf, true)], []byte("\n\n"))
		var left [][]byte
		for _, s := range stacks[1:] { // the first is the caller's own
			if bytes.Contains(s, []byte("github.com/emberkv/ember")) {
				left = append(left, s)
			}
		}
		if left == nil || time.Since(begun) > patience {
			return bytes.Join(left, []byte("\n\n"))
		}
	}
}
