package repl_test

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"testing"
	"time"
)

// TestMain fails the run when a goroutine of this package outlives the tests.
// Those inside a synctest bubble are found by the bubble itself.
func TestMain(m *testing.M) {
	code := m.Run()
	if left := leaked(5 * time.Second); len(left) > 0 && code == 0 {
		fmt.Fprintf(os.Stderr, "goroutines left behind:\n%s\n", left)
		code = 1
	}
	os.Exit(code)
}

// leaked returns the stacks of goroutines other than this one that run or were
// started by this package. One that is about to end is given until patience is
// over.
func leaked(patience time.Duration) []byte {
	for begun := time.Now(); ; runtime.Gosched() {
		buf := make([]byte, 1<<20)
		stacks := bytes.Split(buf[:runtime.Stack(buf, true)], []byte("\n\n"))
		var left [][]byte
		for _, s := range stacks[1:] { // the first is the caller's own
			if bytes.Contains(s, []byte("emberkv/ember/repl")) {
				left = append(left, s)
			}
		}
		if left == nil || time.Since(begun) > patience {
			return bytes.Join(left, []byte("\n\n"))
		}
	}
}
