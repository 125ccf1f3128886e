package repl

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
)

// Unix is the [Transport] over Unix domain sockets, for nodes on one machine;
// addresses are paths, of up to about 100 bytes on most systems. The zero value
// is ready to use. The permissions of the folder say who may connect.
type Unix struct{}

// Dial connects to the socket at path. Errors are those of
// [net.Dialer.DialContext], with the reason where theirs is hard to guess.
func (Unix) Dial(ctx context.Context, path string) (net.Conn, error) {
	if err := checkPath("dial", path); err != nil {
		return nil, err
	}
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return nil, socketError(path, err)
	}
	return c, nil
}

// Listen makes a socket at path and removes it when the listener is closed. A
// socket left by a killed process, on which nobody listens, is replaced; a
// socket in use, a file or a folder is not. Errors are those of [net.Listen],
// with the reason where theirs is hard to guess.
func (Unix) Listen(path string) (net.Listener, error) {
	if err := checkPath("listen", path); err != nil {
		return nil, err
	}
	l, err := net.Listen("unix", path)
	if errors.Is(err, syscall.EADDRINUSE) && abandoned(path) {
		if err := os.Remove(path); err != nil {
			return nil, err
		}
		l, err = net.Listen("unix", path)
	}
	if err != nil {
		return nil, socketError(path, err)
	}
	return l, nil
}

// checkPath refuses what Linux takes for a socket without a name: it would
// listen where nobody can find it.
func checkPath(op, path string) error {
	switch {
	case path == "":
		return addrError(op, "unix", nil, "missing path")
	case strings.IndexByte(path, 0) >= 0:
		return addrError(op, "unix", nil, fmt.Sprintf("path %q has a zero byte", path))
	}
	return nil
}

// maxSocketPath is how much of a path fits everywhere: 104 bytes on BSD and macOS, 108
// on Linux and Windows, one of them a zero.
const maxSocketPath = 103

// socketError adds what the system's error does not say.
func socketError(path string, err error) error {
	switch {
	case errors.Is(err, syscall.EINVAL) && len(path) > maxSocketPath:
		return fmt.Errorf("%w: a socket's path of %d bytes is too long, %d fit everywhere", err, len(path), maxSocketPath)
	case errors.Is(err, syscall.EAGAIN):
		return fmt.Errorf("%w: too many wait to be accepted there", err)
	}
	info, lerr := os.Stat(path)
	switch {
	case lerr != nil || info.Mode().Type() == os.ModeSocket:
		return err
	case info.IsDir():
		return fmt.Errorf("%w: it is a folder, not a socket", err)
	}
	return fmt.Errorf("%w: it is a file, not a socket", err)
}

// abandoned reports whether path is a socket that nobody listens on. Two
// processes that start at once may both find it so, and one then takes the
// socket from the other; what must be exclusive is the store's folder, and that
// has a lock.
func abandoned(path string) bool {
	info, err := os.Lstat(path)
	if err != nil || info.Mode().Type() != os.ModeSocket {
		return false
	}
	c, err := net.Dial("unix", path)
	if err == nil {
		c.Close()
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}
