package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

// A process is a node or a sentinel.
type process struct {
	name  string
	addrs []string // of its listeners, in the order in which it has told them
	cmd   *exec.Cmd
	in    io.Closer
}

// run starts this executable as something else, and waits for the line of its addresses.
// The caller must call end.
func run(ctx context.Context, what, name string, flags ...string) (*process, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := &process{name: name, cmd: exec.CommandContext(ctx, exe, append([]string{what, "-name", name}, flags...)...)}
	// A program with the race detector in it sleeps for a second when it exits.
	p.cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0")
	p.cmd.Stderr = os.Stderr
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		p.end()
		return nil, fmt.Errorf("%s %s has not started: %w", what, name, err)
	}
	p.addrs = strings.Fields(line)
	return p, nil
}

// end ends the process at once, as kill -9 does.
func (p *process) end() {
	p.cmd.Process.Kill()
	p.cmd.Wait()
	p.in.Close()
}

// repl and clients are where other nodes, and clients, reach a node.
func (p *process) repl() string    { return p.addrs[0] }
func (p *process) clients() string { return p.addrs[1] }

// lastAsLongAsParent returns when the process that has started this one is gone: nobody is to
// be left behind.
func lastAsLongAsParent() { io.Copy(io.Discard, os.Stdin) }
