package repl_test

import (
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/emberkv/ember/repl"
)

// socketOption reads an option of a TCP connection's socket.
func socketOption(t *testing.T, c net.Conn, level, option int) int {
	t.Helper()
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var value int
	if cerr := raw.Control(func(fd uintptr) {
		value, err = syscall.GetsockoptInt(int(fd), level, option)
	}); cerr != nil || err != nil {
		t.Fatal(cerr, err)
	}
	return value
}

// What the fields of TCP promise is what the kernel has, at both ends.
func TestTCPSocketOptions(t *testing.T) {
	for _, test := range []struct {
		tcp                repl.TCP
		keepAlive, noDelay bool
	}{
		{repl.TCP{}, true, true},
		{repl.TCP{KeepAlive: time.Minute}, true, true},
		{repl.TCP{KeepAlive: -1, Nagle: true, BufferBytes: 128 << 10}, false, false},
	} {
		l, err := test.tcp.Listen(anyPort)
		if err != nil {
			t.Fatal(err)
		}
		dialed, err := test.tcp.Dial(t.Context(), l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		accepted, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []net.Conn{dialed, accepted} {
			if got := socketOption(t, c, syscall.SOL_SOCKET, syscall.SO_KEEPALIVE) != 0; got != test.keepAlive {
				t.Errorf("%+v: keep-alive is %v", test.tcp, got)
			}
			if got := socketOption(t, c, syscall.IPPROTO_TCP, syscall.TCP_NODELAY) != 0; got != test.noDelay {
				t.Errorf("%+v: no-delay is %v", test.tcp, got)
			}
			if got := socketOption(t, c, syscall.SOL_SOCKET, syscall.SO_RCVBUF); test.tcp.BufferBytes > 0 && got < test.tcp.BufferBytes {
				t.Errorf("%+v: receive buffer is %d", test.tcp, got)
			}
			c.Close()
		}
		l.Close()
	}
}
