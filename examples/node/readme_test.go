//go:build unix

package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// TestReadme does what the README says to do by hand, but for the ports: it runs each
// curl command, in order, until the answer has what stands behind the number sign.
func TestReadme(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("there is no curl here")
	}
	f, err := os.Open("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var (
		nodes []*process
		addrs = make(map[string]string) // what the README says, and what it is
		run   int
	)
	asIs := func(line string) string {
		var pairs []string
		for said, is := range addrs {
			pairs = append(pairs, said, is)
		}
		return strings.NewReplacer(pairs...).Replace(line)
	}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		line, code := strings.CutPrefix(lines.Text(), "    ")
		flags, isNode := strings.CutPrefix(line, "go run ./examples/node ")
		switch {
		case code && isNode:
			p := start(t, "", append(strings.Fields(asIs(flags)), "-http", "127.0.0.1:0", "-repl", "127.0.0.1:0")...)
			nodes = append(nodes, p)
			said := strings.Fields(flags)
			addrs[said[1+slices.Index(said, "-http")]] = p.http
			addrs[said[1+slices.Index(said, "-repl")]] = p.repl
		case code && strings.HasPrefix(line, "curl "):
			command, want, _ := strings.Cut(line, " # ")
			curl(t, asIs(command), strings.TrimSpace(want))
			run++
		case strings.HasPrefix(line, "End a, with Ctrl-C."):
			nodes[0].terminate()
		}
	}
	if len(nodes) != 4 || run < 10 {
		t.Errorf("the README has %d nodes and %d commands; has its form changed?", len(nodes), run)
	}
}

// curl runs a command until it prints what has want in it.
func curl(t *testing.T, command, want string) {
	t.Helper()
	eventually(t, func() error {
		out, err := exec.Command("sh", "-c", "curl -sS "+strings.TrimPrefix(command, "curl ")).CombinedOutput()
		if err != nil || !strings.Contains(string(out), want) || want == "" && strings.Contains(string(out), "READONLY") {
			return fmt.Errorf("%s: %s, %v, want %s", command, out, err, want)
		}
		return nil
	})
}
