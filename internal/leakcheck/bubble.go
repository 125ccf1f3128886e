package leakcheck

import (
	"runtime"
	"strings"
	"testing"
)

// Bubbled returns how many goroutines are in the testing/synctest bubble of its caller, those
// included that are about to end: call synctest.Wait first to leave them out. It fails the
// test outside of a bubble. runtime.NumGoroutine counts others as well: the runtime's own,
// while they run somebody's cleanups.
func Bubbled(t testing.TB) int {
	t.Helper()
	buf := make([]byte, 1<<20)
	stacks := string(buf[:runtime.Stack(buf, true)])
	own, _, _ := strings.Cut(stacks, "\n") // goroutine 7 [running, synctest bubble 3]:
	_, number, ok := strings.Cut(own, bubble)
	if !ok {
		t.Fatalf("the stack's first line names no bubble: %s", own)
	}
	return strings.Count(stacks, bubble+number)
}

// bubble is what stands before a bubble's number, which ends with a bracket.
const bubble = ", synctest bubble "
