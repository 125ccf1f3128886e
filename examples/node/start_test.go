//go:build unix

package main

import (
	"bytes"
	"errors"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// TestStartRefused: a node that cannot be what its flags say does not start, says why in
// one line, and tells a script by its exit status whose fault it is.
func TestStartRefused(t *testing.T) {
	t.Parallel()
	other, own := start(t, "other"), fixedAddr(t)
	for _, c := range []struct {
		flags string
		code  int
		says  string
	}{
		{"-port 1", 2, "-port"},
		{"-backlog many", 2, "many"},
		{"-backlog 0", 2, "-backlog"},
		{"-backlog -5", 2, "-backlog"},
		{"-heartbeat 0s", 2, "-heartbeat"},
		{"-heartbeat 1ns", 2, "-heartbeat"},
		{"-heartbeat 48h", 2, "-heartbeat"},
		{"-ack -1", 2, "-ack"},
		{"-min-replicas -1", 2, "-min-replicas"},
		{"-max-lag 1ms", 2, "-max-lag"},
		{"-priority -1", 2, "-priority"},
		{"-priority 65536", 2, "-priority"},
		{"-drain -1s", 2, "-drain"},
		{"-max-staleness 1s", 2, "-max-staleness"},
		{"-serve-stale=perhaps", 2, "perhaps"},
		{"-compress gzip", 2, "gzip"},
		{"-name " + strings.Repeat("n", 65), 2, "-name"},
		{"-http 8001", 2, "-http"},
		{"-repl 127.0.0.1", 2, "-repl"},
		{"-follow nowhere", 2, "-follow"},
		{"master", 2, `"master"`},
		{"-quorum 2", 2, "-sentinel"},
		{"-sentinel 9001", 2, "-sentinel"},
		{"-sentinel 127.0.0.1:0 -monitor 7001", 2, "-monitor"},
		{"-sentinel 127.0.0.1:0 -quorum 0", 2, "-quorum"},
		{"-sentinel 127.0.0.1:0 -down-after 1ms", 2, "-down-after"},
		{"-sentinel 127.0.0.1:0 -notification-script /missing", 1, "-notification-script"},
		{"-sentinel " + other.repl, 1, "address already in use"},
		{"-http 127.0.0.1:http-of-nobody", 1, "-http"},
		{"-http " + other.http, 1, "address already in use"},
		{"-repl " + other.repl, 1, "address already in use"},
		{"-repl 192.0.2.1:7001", 1, "-repl"},
		{"-repl name.invalid:7001", 1, "name.invalid"},
		{"-follow name.invalid:7001", 1, "name.invalid"},
		{"-follow 127.0.0.1:70000", 2, "-follow"},
		{"-follow 127.0.0.1:0", 2, "-follow"},
		{"-repl " + own + " -follow " + own, 1, "own -repl"},
	} {
		code, stdout, stderr := runs(t, append([]string{"-http", "127.0.0.1:0", "-repl", "127.0.0.1:0"}, strings.Fields(c.flags)...)...)
		if code != c.code || !strings.Contains(stderr, c.says) || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%.60s: exit status %d, %q, want %d and one line with %s", c.flags, code, stderr, c.code, c.says)
		}
		if stdout != "" {
			t.Errorf("%.60s: printed %q", c.flags, stdout)
		}
	}
	for _, c := range []struct{ flags, says string }{
		{"-sentinel 127.0.0.1:0", "-monitor is missing"},
		{"-sentinel 127.0.0.1:0 -monitor " + other.repl + " -follow " + other.repl, "-repl"},
	} {
		code, _, stderr := runs(t, strings.Fields(c.flags)...)
		if code != 2 || !strings.Contains(stderr, c.says) || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%s: exit status %d, %q, want 2 and one line with %s", c.flags, code, stderr, c.says)
		}
	}
	if code, stdout, stderr := runs(t, "-help"); code != 0 || !strings.Contains(stdout, "-follow address") || stderr != "" {
		t.Errorf("-help: %d, %q, %q", code, stdout, stderr)
	}
}

// runs runs a node that is expected to end by itself.
func runs(t *testing.T, flags ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, log bytes.Buffer
	cmd := command(flags...)
	cmd.Stdout, cmd.Stderr = &out, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill := time.AfterFunc(patience, func() { cmd.Process.Kill() })
	defer kill.Stop()
	if err := cmd.Wait(); err != nil && !errors.As(err, new(*exec.ExitError)) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), log.String()
}
