package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
)

// A process is a node in a process of its own.
type process struct {
	url  string // of the service
	repl string // address
	http string // address
	cmd  *exec.Cmd
	in   io.Closer
}

// startProcess starts a node and waits until it serves. The caller must call kill or stop.
func startProcess(ctx context.Context, flags ...string) (*process, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := &process{cmd: exec.CommandContext(ctx, exe, append([]string{nodeArgument}, flags...)...)}
	// A program with the race detector in it sleeps for a second when it exits.
	p.cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0")
	p.cmd.Stderr = os.Stderr
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(out)
	for _, addr := range []*string{&p.http, &p.repl} {
		if lines.Scan() {
			*addr = lines.Text()
		}
	}
	if p.repl == "" {
		p.kill()
		return nil, errors.New("a node has not started")
	}
	p.url = "http://" + p.http
	return p, nil
}

// kill ends the process at once, as kill -9 does.
func (p *process) kill() {
	p.cmd.Process.Kill()
	p.cmd.Wait()
}

// stop lets the process end, which must find nothing wrong.
func (p *process) stop() error {
	p.in.Close()
	return p.cmd.Wait()
}

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

// report returns what the node says of itself.
func (p *process) report(ctx context.Context) (r report, err error) {
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url+"/stats", nil)
	if err != nil {
		return r, err
	}
	answer, err := http.DefaultClient.Do(q)
	if err != nil {
		return r, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return r, fmt.Errorf("/stats answers %s", answer.Status)
	}
	return r, json.NewDecoder(answer.Body).Decode(&r)
}

// miss asks the node for a product that there is not.
func (p *process) miss(ctx context.Context) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprint(p.url, "/products/", products), nil)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusNotFound {
		return fmt.Errorf("product %d, which there is not: %s", products, answer.Status)
	}
	return nil
}
