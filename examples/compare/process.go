package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// childFlag makes this executable one of the processes that it starts.
const childFlag = "child"

// What a process is for.
const (
	childSpeed  = "speed"
	childMemory = "memory"
	childHits   = "hits"
)

// start runs a process and copies what it prints.
func start(ctx context.Context, out io.Writer, task string, p peer, c *config, gogc int) error {
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, processTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, exe, c.args(task, p)...)
	cmd.Env = append(os.Environ(), "GOGC="+strconv.Itoa(gogc))
	cmd.Stdout, cmd.Stderr = out, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s of %s: %w", task, p.name, err)
	}
	return nil
}

// args returns the command line of a process.
func (c *config) args(task string, p peer) []string {
	return []string{
		"-" + childFlag, task,
		"-stores", p.name,
		"-only", strings.Join(c.only, ","),
		"-keys", strconv.Itoa(c.keys),
		"-runs", strconv.Itoa(c.runs),
		"-goroutines", strconv.Itoa(c.goroutines),
		"-time", c.time.String(),
		"-limit", c.limit.String(),
		"-ascending=" + strconv.FormatBool(c.ascending),
	}
}

// serve is what a process does.
func serve(out io.Writer, task string, p peer, c *config) error {
	switch task {
	case childSpeed:
		return speed(out, p, c)
	case childMemory:
		return memory(out, p, c)
	case childHits:
		return hits(out, p, c)
	}
	return fmt.Errorf("-%s: no %q", childFlag, task)
}
