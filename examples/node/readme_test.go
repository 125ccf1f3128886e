//go:build unix

package main

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// TestReadme does what README.md says, except for the ports: it runs each curl command, in
// order, until the answer has what stands behind the number sign. Each section begins with
// nothing.
func TestReadme(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("there is no curl here")
	}
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		section   string
		processes int
	}{
		{"By hand", 4},
		{"By itself", 7},
	} {
		t.Run(c.section, func(t *testing.T) {
			_, section, _ := strings.Cut(string(text), "\n## "+c.section+"\n")
			section, _, _ = strings.Cut(section, "\n## ")
			b := byHand{t: t, addrs: make(map[string]string)}
			for line := range strings.Lines(section) {
				b.read(strings.TrimSuffix(line, "\n"))
			}
			if len(b.processes) != c.processes || b.run < 7 {
				t.Errorf("the README has %d processes and %d commands; has its form changed?", len(b.processes), b.run)
			}
		})
	}
}

// A byHand is somebody who does what the README says.
type byHand struct {
	t         *testing.T
	processes []*process
	addrs     map[string]string // what the README says, and what it is
	run       int               // commands
}

// read does what a line of the README says.
func (b *byHand) read(line string) {
	line, code := strings.CutPrefix(line, "    ")
	flags, isNode := strings.CutPrefix(line, "go run ./examples/node ")
	switch {
	case code && isNode:
		b.launch(strings.Fields(flags))
	case code && strings.HasPrefix(line, "curl "):
		command, want, _ := strings.Cut(line, " # ")
		curl(b.t, b.asIs(command), b.asIs(strings.TrimSpace(want)))
		b.run++
	case strings.HasPrefix(line, "End a, with Ctrl-C."):
		b.processes[0].terminate()
	case strings.HasPrefix(line, "Kill a."):
		b.processes[0].kill()
	}
}

// launch starts a process whose listeners are at ports of its own. One that comes back has those
// that it had.
func (b *byHand) launch(said []string) {
	flags := slices.Clone(said)
	for i, word := range said {
		if i == 0 || b.addrs[word] != "" {
			continue
		}
		if slices.Contains([]string{"-http", "-repl", "-sentinel"}, said[i-1]) {
			b.addrs[word] = fixedAddr(b.t)
		}
	}
	for i, word := range flags {
		if is := b.addrs[word]; is != "" {
			flags[i] = is
		}
	}
	b.processes = append(b.processes, launch(b.t, "", flags...))
}

// asIs returns a line with the addresses as they are.
func (b *byHand) asIs(line string) string {
	var pairs []string
	for said, is := range b.addrs {
		pairs = append(pairs, said, is)
	}
	return strings.NewReplacer(pairs...).Replace(line)
}

// curl runs a command until it prints what has want in it, or nothing if that is empty.
func curl(t *testing.T, command, want string) {
	t.Helper()
	eventually(t, func() error {
		out, err := exec.Command("sh", "-c", "curl -sS "+strings.TrimPrefix(command, "curl ")).CombinedOutput()
		if err != nil || !strings.Contains(string(out), want) || want == "" && len(out) > 0 {
			return fmt.Errorf("%s: %s, %v, want %s", command, out, err, want)
		}
		return nil
	})
}
