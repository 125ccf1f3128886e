package main

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestEveryFlagRefuses: whatever flag has a value that it may not have, the error is one line that
// names the flag, the value, and what it may be: whether the value cannot be read, is out of bounds
// here, or is refused by the library, which knows fields and no flags.
func TestEveryFlagRefuses(t *testing.T) {
	long := strings.Repeat("n", 65)
	missing := filepath.Join(t.TempDir(), "missing")
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	const sent = "sentinel 127.0.0.1:0" // without it the flags of sentinels are refused, too
	bad := map[string][]string{
		"http":                {"8001", "127.0.0.1", "127.0.0.1:", "127.0.0.1:70000", ""},
		"repl":                {"7001", "127.0.0.1:-1", ""},
		"follow":              {"nowhere", "127.0.0.1:0", "127.0.0.1:70000", ""},
		"name":                {long, "\xff"},
		"group":               {long, "\xff"},
		"backlog":             {"many", "0", "-5", "1e6"},
		"dir":                 {""},
		"fsync":               {"sometimes", ""},
		"heartbeat":           {"1", "0s", "-1s", "1ns", "48h"},
		"ack":                 {"one", "-1", "1001"},
		"min-replicas":        {"some", "-1", "1001"},
		"max-lag":             {"10", "1ms", "-1s"},
		"priority":            {"high", "-1", "65536"},
		"fenced":              {"perhaps", ""},
		"drain":               {"5", "-1s"},
		"compress":            {"gzip", ""},
		"allow-empty":         {"2"},
		"allow-foreign":       {"yes"},
		"serve-stale":         {"perhaps"},
		"max-staleness":       {"10", "1s", "-1s"},
		"writable":            {"no"},
		"sentinel":            {"9001", "127.0.0.1:", ""},
		"monitor":             {"7001", "127.0.0.1:0", "host:", ""},
		"quorum":              {"most", "0", "-1", "65"},
		"down-after":          {"1", "0s", "1ms", "2h"},
		"failover-timeout":    {"60", "0s", "1ms", "-1s"},
		"parallel-syncs":      {"all", "0", "-1"},
		"min-heard":           {"both", "0", "-1"},
		"secret":              {missing, file},
		"notification-script": {missing, file},
		"reconfig-script":     {missing, file},
	}
	new(config).define().VisitAll(func(f *flag.Flag) {
		if len(bad[f.Name]) == 0 {
			t.Errorf("-%s: nothing is tried", f.Name)
		}
		for _, value := range bad[f.Name] {
			args := []string{"-http", "127.0.0.1:0", "-repl", "127.0.0.1:0", "-" + f.Name + "=" + value}
			if slices.Contains(sentinelFlags, f.Name) {
				args = append(args, strings.Fields("-"+sent)...)
			}
			err := refusal(t, args)
			if err == nil {
				t.Errorf("-%s %.20q is accepted", f.Name, value)
				continue
			}
			text, ofFile := err.Error(), wants[f.Name] == ""
			switch {
			case !strings.HasPrefix(text, "-"+f.Name) || strings.Contains(text, "\n"):
				t.Errorf("-%s %.20q: %q, want one line with the flag", f.Name, value, text)
			case ofFile && !strings.Contains(text, value):
				t.Errorf("-%s %.20q: %q, want the name of the file", f.Name, value, text)
			case !ofFile && (text != wrong(f.Name, value).Error() || !errors.Is(err, errUsage)):
				t.Errorf("-%s %.20q: %q, want %q", f.Name, value, text, wrong(f.Name, value))
			}
		}
	})
}

// refusal returns the error with which a node is not started.
func refusal(t *testing.T, args []string) error {
	c, err := parseFlags(args, io.Discard)
	if err != nil {
		return err
	}
	n := &node{log: slog.New(slog.DiscardHandler)}
	err = n.open(t.Context(), c)
	n.close()
	return err
}

// TestFlagsThatGoTogether: what one flag says may depend on another, or make no sense without it.
func TestFlagsThatGoTogether(t *testing.T) {
	for _, c := range []struct{ flags, says string }{
		{"-down-after 5m -sentinel 127.0.0.1:0", ""}, // the time-out grows with it
		{"-down-after 5m -failover-timeout 1m -sentinel 127.0.0.1:0", `-failover-timeout is "1m", want a time such as 1m, at least -down-after`},
		{"-heartbeat 6s", ""},
		{"-heartbeat 6s -max-lag 10s", `-max-lag is "10s", want 0s, or at least twice -heartbeat`},
		{"-heartbeat 6s -max-staleness 10s", `-max-staleness is "10s", want 0s, or at least twice -heartbeat`},
		{"-fsync always", "give its -dir, too"},
		{"-quorum 2", "give its -sentinel, too"},
		{"-port 1", "-port"},
		{"-heartbeat", "-heartbeat"},
		{"a", `"a" is not a flag`},
	} {
		err := refusal(t, append([]string{"-http", "127.0.0.1:0", "-repl", "127.0.0.1:0"}, strings.Fields(c.flags)...))
		if c.says == "" && err != nil || c.says != "" && (!errors.Is(err, errUsage) || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%s: %v, want %q", c.flags, err, c.says)
		}
	}
}

// TestHelp: it shows the defaults, whatever else was given, and no more.
func TestHelp(t *testing.T) {
	var help bytes.Buffer
	if _, err := parseFlags([]string{"-quorum", "3", "-drain", "1h", "-help"}, &help); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("it returns %v", err)
	}
	for _, line := range []string{"-drain duration", "(default 2s)", "-quorum number", "(default 2)", "-fenced\n", "-compress algorithm"} {
		if !strings.Contains(help.String(), line) {
			t.Errorf("it has no %q:\n%s", line, &help)
		}
	}
	if strings.Contains(help.String(), "panic") || strings.Contains(help.String(), "1h") {
		t.Errorf("it is\n%s", &help)
	}
}
