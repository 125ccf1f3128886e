//go:build !unix

package sentinel

import (
	"os"
	"os/exec"
)

// isolate does nothing where there are no process groups: the context kills the program
// alone.
func isolate(*exec.Cmd) {}

// signalOf returns 0: there are no signals.
func signalOf(*os.ProcessState) int { return 0 }
