package repl_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/repl"
	"github.com/emberkv/ember/repl/repltest"
)

func TestMemoryIsATransport(t *testing.T) {
	m := repl.NewMemory()
	repltest.CheckTransport(t, m, m, "master")
}

func TestMemoryErrors(t *testing.T) {
	m := repl.NewMemory()
	if _, err := m.Listen(""); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("Listen without a name: %v", err)
	}
	l, err := m.Listen("a")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := m.Listen("a"); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("second Listen: %v", err)
	}
	if _, err := m.Dial(t.Context(), "b"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("Dial where nobody listens: %v", err)
	}
	if _, err := repl.NewMemory().Dial(t.Context(), "a"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("Dial on another network: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := m.Dial(ctx, "a"); !errors.Is(err, context.Canceled) {
		t.Errorf("Dial with a context that had ended: %v", err)
	}
}

// An hour of heartbeats passes in an instant on virtual time.
func TestMemoryOnVirtualTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := repl.NewMemory()
		l, err := m.Listen("a")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		var server sync.WaitGroup
		server.Go(func() {
			c, err := l.Accept()
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			io.Copy(c, c)
		})
		c, err := m.Dial(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		for range 3600 {
			time.Sleep(time.Second)
			c.SetDeadline(time.Now().Add(3 * time.Second))
			if _, err := c.Write([]byte{1}); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
		}
		c.Close()
		server.Wait()
	})
}

func BenchmarkMemoryRoundTrip(b *testing.B) {
	m := repl.NewMemory()
	l, err := m.Listen("a")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	var server sync.WaitGroup
	server.Go(func() {
		if c, err := l.Accept(); err == nil {
			io.Copy(c, c)
			c.Close()
		}
	})
	c, err := m.Dial(b.Context(), "a")
	if err != nil {
		b.Fatal(err)
	}
	p := make([]byte, 128)
	b.ReportAllocs()
	b.SetBytes(int64(len(p)))
	for b.Loop() {
		if _, err := c.Write(p); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(c, p); err != nil {
			b.Fatal(err)
		}
	}
	c.Close()
	server.Wait()
}

func ExampleMemory() {
	network := repl.NewMemory()
	listener, _ := network.Listen("master")
	defer listener.Close()
	go func() {
		c, err := listener.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		fmt.Fprint(c, "hello from ", c.LocalAddr())
	}()

	c, err := network.Dial(context.Background(), "master")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	greeting, _ := io.ReadAll(c)
	fmt.Println(string(greeting))

	_, err = network.Dial(context.Background(), "replica")
	fmt.Println(err)
	// Output:
	// hello from master
	// dial memory replica: connection refused
}
