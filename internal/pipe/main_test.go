package pipe_test

import (
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestMain fails when a goroutine is left behind that was started by a test.
func TestMain(m *testing.M) {
	code := m.Run()
	deadline := time.Now().Add(5 * time.Second)
	for code == 0 && leaked() != "" {
		if time.Now().After(deadline) {
			os.Stderr.WriteString("goroutines left behind:\n" + leaked())
			code = 1
		}
		runtime.Gosched()
	}
	os.Exit(code)
}

func leaked() string {
	buf := make([]byte, 1<<20)
	var left []string
	for _, g := range strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n")[1:] {
		if strings.Contains(g, "emberkv/ember") {
			left = append(left, g)
		}
	}
	return strings.Join(left, "\n\n")
}
