//go:build unix

package main

import (
	"bufio"
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A process is a node of a story: a process of its own, on ports of its own.
type process struct {
	t    *testing.T
	name string
	http string // address
	repl string // address, of a node
	sent string // address, of a sentinel
	cmd  *exec.Cmd
	log  bytes.Buffer  // may be read when gone is closed
	gone chan struct{} // closed when the process has ended
}

// patient is a flag of nodes whose links are counted: without it one that gets no time for three
// seconds is taken for dead by the others, on a slow machine.
const patient = "-heartbeat=10s"

// start starts a node with these flags, and ends it with the test: by SIGTERM, after
// which it must exit with 0. A -http or -repl among the flags takes the place of port 0.
func start(t *testing.T, name string, flags ...string) *process {
	t.Helper()
	return launch(t, name, append([]string{"-http", "127.0.0.1:0", "-repl", "127.0.0.1:0"}, flags...)...)
}

// watchover starts a sentinel that is alone in its process.
func watchover(t *testing.T, name string, flags ...string) *process {
	t.Helper()
	return launch(t, name, append([]string{"-http", "127.0.0.1:0", "-sentinel", "127.0.0.1:0"}, flags...)...)
}

// launch starts the program with these flags.
func launch(t *testing.T, name string, flags ...string) *process {
	t.Helper()
	p := &process{t: t, name: name, gone: make(chan struct{})}
	if name != "" {
		flags = append([]string{"-name", name}, flags...)
	}
	p.cmd = command(flags...)
	p.cmd.Stderr = &p.log
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stdout)
	listening := true
	for _, l := range []struct {
		flag string
		addr *string
	}{{"-http", &p.http}, {"-repl", &p.repl}, {"-sentinel", &p.sent}} {
		if slices.Contains(flags, l.flag) {
			listening = lines.Scan()
			_, *l.addr, _ = strings.Cut(lines.Text(), " ")
		}
	}
	go func() {
		for lines.Scan() {
		}
		p.cmd.Wait()
		close(p.gone)
	}()
	t.Cleanup(p.finish)
	if !listening {
		<-p.gone
		t.Fatalf("%s has not started: %s", name, &p.log)
	}
	return p
}

// command returns a command that runs a node with these flags.
func command(flags ...string) *exec.Cmd {
	exe, err := os.Executable()
	if err != nil {
		panic(err)
	}
	cmd := exec.Command(exe, flags...)
	// A program with the race detector in it sleeps for a second when it exits.
	cmd.Env = append(os.Environ(), asNode+"=1", "GORACE=atexit_sleep_ms=0")
	return cmd
}

// finish ends a process that is still there, and shows its log if the test has failed.
func (p *process) finish() {
	select {
	case <-p.gone:
	default:
		p.thaw()
		p.terminate()
	}
	if p.t.Failed() {
		p.t.Logf("what %s has said:\n%s", p.name, &p.log)
	}
}

// terminate sends SIGTERM. The process must exit with 0.
func (p *process) terminate() {
	p.t.Helper()
	p.signal(syscall.SIGTERM)
	if code := p.wait(); code != 0 {
		p.t.Errorf("%s: exit status %d after SIGTERM", p.name, code)
	}
}

// kill sends SIGKILL, as a crash does.
func (p *process) kill() {
	p.t.Helper()
	p.signal(syscall.SIGKILL)
	p.wait()
}

// freeze stops the process where it is: its connections stay and are silent. All of its
// threads stand when freeze returns.
func (p *process) freeze() {
	p.t.Helper()
	p.signal(syscall.SIGSTOP)
	var s syscall.WaitStatus
	if _, err := syscall.Wait4(p.cmd.Process.Pid, &s, syscall.WUNTRACED, nil); err != nil || !s.Stopped() {
		p.t.Fatalf("%s: status %v, %v, want stopped", p.name, s, err)
	}
}

// thaw lets a frozen process go on.
func (p *process) thaw() { p.t.Helper(); p.signal(syscall.SIGCONT) }

func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Errorf("%s: %v: %v", p.name, s, err)
	}
}

// wait waits until the process has ended, and returns its exit status.
func (p *process) wait() int {
	p.t.Helper()
	select {
	case <-p.gone:
	case <-time.After(patience):
		p.cmd.Process.Kill()
		<-p.gone
		p.t.Errorf("%s did not end", p.name)
	}
	return p.cmd.ProcessState.ExitCode()
}

// fixedAddrs are those that were handed out: nodes that are down keep theirs.
var fixedAddrs sync.Map

// fixedAddr returns an address for a node that is to come back to it. Its port is below
// those that the system hands out, so that nobody takes it meanwhile.
func fixedAddr(t *testing.T) string {
	t.Helper()
	for range 100 {
		addr := fmt.Sprintf("127.0.0.1:%d", 10_000+rand.IntN(20_000))
		if _, taken := fixedAddrs.LoadOrStore(addr, nil); taken {
			continue
		}
		if ln, err := net.Listen("tcp", addr); err == nil {
			ln.Close()
			return addr
		}
	}
	t.Fatal("no port is free")
	return ""
}
