package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// A peer is a server that speaks as Redis does, which is measured in turns with Ember.
type peer struct {
	name string // with the version
	path string
}

// A peerMeasurement adds what one run of a line gives to its series, under the names that
// Ember's rows have.
type peerMeasurement func(ctx context.Context, b *bench, s *series) error

// findPeer looks for the executable on PATH.
func findPeer(name string) (*peer, error) {
	path, err := exec.LookPath(name)
	if err != nil {
		return nil, fmt.Errorf("%s is not on PATH, nor a file that can be run: %w", name, err)
	}
	out, err := exec.Command(path, "--version").Output()
	if err != nil {
		return nil, fmt.Errorf("%s --version: %w", path, err)
	}
	p := &peer{name: filepath.Base(name), path: path}
	for field := range strings.FieldsSeq(string(out)) { // Redis server v=7.0.15 sha=...
		if version, ok := strings.CutPrefix(field, "v="); ok {
			p.name = strings.TrimSuffix(p.name, "-server") + " " + version
		}
	}
	return p, nil
}

// A server is a process of the peer, with a folder and a client of its own.
type server struct {
	peer  *peer
	cmd   *exec.Cmd
	dir   string
	addr  string
	c     *resp
	ended chan struct{} // closed when the process is gone
}

// How long a server may take to answer: until it listens, and to load what it has on disk.
const (
	serverStarts = time.Minute
	serverPoll   = 2 * time.Millisecond
	startTries   = 3 // somebody else may take the port that was free
)

// start starts a server that holds nothing, and returns when it answers. The caller must call stop.
func (p *peer) start(ctx context.Context, options ...string) (*server, error) {
	dir, err := os.MkdirTemp("", "ember-peer-")
	if err != nil {
		return nil, err
	}
	s, err := p.startIn(ctx, dir, options...)
	if err != nil {
		os.RemoveAll(dir)
	}
	return s, err
}

// startIn starts a server on what is in dir, which stop removes.
func (p *peer) startIn(ctx context.Context, dir string, options ...string) (s *server, err error) {
	for range startTries {
		port, err := freePort()
		if err != nil {
			return nil, err
		}
		args := []string{
			"--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--dir", dir, "--logfile", filepath.Join(dir, "log"),
			"--save", "", "--appendonly", "no", "--repl-diskless-sync-delay", "0", "--repl-backlog-size", "64mb",
		}
		if s, err = p.run(ctx, dir, port, append(args, options...)); err == nil {
			return s, nil
		}
	}
	return nil, err
}

// run runs a process and returns when it answers.
func (p *peer) run(ctx context.Context, dir string, port int, args []string) (*server, error) {
	s := &server{peer: p, dir: dir, addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), ended: make(chan struct{})}
	s.cmd = exec.CommandContext(ctx, p.path, args...)
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		s.cmd.Wait()
		close(s.ended)
	}()
	for begun := time.Now(); time.Since(begun) < serverStarts; {
		if s.answers() {
			return s, nil
		}
		select {
		case <-s.ended:
			return nil, fmt.Errorf("%s ended: %s", p.path, s.lastWords())
		case <-time.After(serverPoll):
		}
	}
	s.kill()
	return nil, fmt.Errorf("%s does not answer: %s", p.path, s.lastWords())
}

// answers reports whether the server takes commands, and keeps the connection if so.
func (s *server) answers() bool {
	c, err := dialRESP(s.addr)
	if err != nil {
		return false
	}
	if v, err := c.do("PING"); err != nil || v != "PONG" { // it may be loading
		c.close()
		return false
	}
	s.c = c
	return true
}

// lastWords returns the last line of the server's log.
func (s *server) lastWords() string {
	log, _ := os.ReadFile(filepath.Join(s.dir, "log"))
	lines := strings.Split(strings.TrimSpace(string(log)), "\n")
	return lines[len(lines)-1]
}

// kill ends the process, as kill -9 does, and leaves its folder.
func (s *server) kill() {
	if s.c != nil {
		s.c.close()
	}
	s.cmd.Process.Kill()
	<-s.ended
}

// stop ends the process and removes what it has left.
func (s *server) stop() {
	s.kill()
	os.RemoveAll(s.dir)
}

// freePort returns a port on which nobody listens now.
func freePort() (int, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer ln.Close()
	addr, ok := ln.Addr().(*net.TCPAddr)
	if !ok {
		return 0, errors.New("a listener without a port")
	}
	return addr.Port, nil
}
