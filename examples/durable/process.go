package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"sync"
)

func itemKey(i int) string   { return fmt.Sprintf("item:%08d", i) }
func itemValue(i int) []byte { return fmt.Appendf(nil, "the value of item %d", i) }

// lastingAddr returns an address for a node that is to come back to it. Its port is below those
// that systems hand out to whoever dials, so that nobody has taken it meanwhile.
func lastingAddr() (string, error) {
	for range 100 {
		addr := fmt.Sprintf("127.0.0.1:%d", 10_000+rand.IntN(20_000))
		if ln, err := net.Listen("tcp", addr); err == nil {
			ln.Close()
			return addr, nil
		}
	}
	return "", errors.New("no port is free")
}

// A process is a node in a process of its own.
type process struct {
	cmd  *exec.Cmd
	in   io.WriteCloser
	read chan struct{} // closed when its output has ended
	done chan string   // has the position at which a master has stopped writing

	mu     sync.Mutex
	opened chan int // keys that it began with
	kept   int      // keys that it has said to be on disk
	copies []string // full copies, and why
	clean  bool
}

// startProcess starts a node and waits until its store is open. The caller must call kill
// or stop.
func startProcess(ctx context.Context, flags ...string) (*process, int, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, 0, err
	}
	p := &process{
		cmd:  exec.CommandContext(ctx, exe, append([]string{nodeArgument}, flags...)...),
		read: make(chan struct{}), done: make(chan string, 1), opened: make(chan int, 1),
	}
	// A program with the race detector in it sleeps for a second when it exits.
	p.cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0")
	p.cmd.Stderr = os.Stderr
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, 0, err
	}
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, 0, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, 0, err
	}
	go p.listen(out)
	select {
	case keys := <-p.opened:
		return p, keys, nil
	case <-p.read:
		return nil, 0, fmt.Errorf("a node has not started: %w", p.cmd.Wait())
	}
}

// listen notes what the process says, to its last whole line.
func (p *process) listen(out io.Reader) {
	defer close(p.read)
	for lines := bufio.NewScanner(out); lines.Scan(); {
		var (
			n     int
			clean bool
			where string
		)
		line := lines.Text()
		p.mu.Lock()
		switch {
		case scan(line, sayFull, &where):
			p.copies = append(p.copies, where)
		case scan(line, sayKept, &n): // of two goroutines, and the later line may be of less
			p.kept = max(p.kept, n)
		case scan(line, sayOpened, &n, &clean, &where):
			p.kept, p.clean = n, clean
			p.opened <- n
		case scan(line, sayDone, &where):
			p.done <- where
		}
		p.mu.Unlock()
	}
}

func scan(line, format string, to ...any) bool {
	n, err := fmt.Sscanf(line, format, to...)
	return err == nil && n == len(to)
}

// kill ends the process at once, as kill -9 does, and returns how many keys it had said to
// be on disk.
func (p *process) kill() (kept int) {
	p.cmd.Process.Kill()
	<-p.read
	p.cmd.Wait()
	return p.kept
}

// tell gives the process a line.
func (p *process) tell(line string) error {
	_, err := fmt.Fprintln(p.in, line)
	return err
}

// stop lets the process end, which must find nothing wrong.
func (p *process) stop() error {
	p.in.Close()
	<-p.read
	return p.cmd.Wait()
}
