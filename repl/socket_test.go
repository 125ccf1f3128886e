package repl_test

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/emberkv/ember/repl"
)

// A socket that a killed process left is replaced; one that is served, and a
// file that is no socket, are not.
func TestUnixReplacesAbandonedSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	dead.Close()
	l, err := repl.Unix{}.Listen(path)
	if err != nil {
		t.Fatalf("Listen where a socket was left: %v", err)
	}
	if _, err := (repl.Unix{}).Listen(path); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("Listen where somebody listens: %v", err)
	}
	l.Close()
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := (repl.Unix{}).Listen(path); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("Listen where a file is: %v", err)
	}
	if b, err := os.ReadFile(path); string(b) != "precious" {
		t.Errorf("the file that was in the way holds %q, %v", b, err)
	}
}

// TestUnixBadPaths: each is refused with a text that says what is wrong, whoever
// listens or dials, and leaves what is there as it was.
func TestUnixBadPaths(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	long := filepath.Join(dir, strings.Repeat("l", 120))
	for _, c := range []struct{ path, listen, dial string }{
		{"", "listen unix: missing path", "dial unix: missing path"},
		{"\x00", `listen unix: path "\x00" has a zero byte`, `dial unix: path "\x00" has a zero byte`},
		{filepath.Join(dir, "nosuch", "s"), "no such file or directory", "no such file or directory"},
		{filepath.Join(file, "s"), "not a directory", "not a directory"},
		{long, "bytes is too long, 103 fit everywhere", "bytes is too long, 103 fit everywhere"},
		{dir, "address already in use: it is a folder, not a socket", "it is a folder, not a socket"},
		{file, "address already in use: it is a file, not a socket", "it is a file, not a socket"},
		{filepath.Join(dir, "nobody"), "", "no such file or directory"},
	} {
		if _, err := (repl.Unix{}).Dial(t.Context(), c.path); err == nil || !strings.HasSuffix(err.Error(), c.dial) {
			t.Errorf("Dial(%q): %v, want ...%s", c.path, err, c.dial)
		}
		switch l, err := (repl.Unix{}).Listen(c.path); {
		case err == nil:
			if c.listen != "" {
				t.Errorf("Listen(%q) succeeded, want ...%s", c.path, c.listen)
			}
			l.Close()
		case c.listen == "" || !strings.HasSuffix(err.Error(), c.listen):
			t.Errorf("Listen(%q): %v, want ...%s", c.path, err, c.listen)
		}
	}
	entries, err := os.ReadDir(dir)
	if len(entries) != 1 || err != nil {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}
