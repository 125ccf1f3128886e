package repl_test

import (
	"errors"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/emberkv/ember/repl"
)

// A socket whose queue is full says so; and nobody takes it for one that was
// left behind.
func TestUnixFullSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	if err := errors.Join(syscall.Bind(fd, &syscall.SockaddrUnix{Name: path}), syscall.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		c, err := repl.Unix{}.Dial(t.Context(), path)
		if err == nil {
			defer c.Close()
			continue
		}
		if !errors.Is(err, syscall.EAGAIN) || !strings.HasSuffix(err.Error(), "too many wait to be accepted there") {
			t.Errorf("Dial: %v", err)
		}
		if _, err := (repl.Unix{}).Listen(path); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("Listen: %v", err)
		}
		return
	}
	t.Error("the queue is never full")
}
