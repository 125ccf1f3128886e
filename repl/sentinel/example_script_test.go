//go:build linux

package sentinel_test

import (
	"errors"
	"fmt"
	"io/fs"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/emberkv/ember/repl"
	"github.com/emberkv/ember/repl/sentinel"
)

// A script tells programs of other languages where the master is; this one, whoever reads a pipe.
func ExampleScripts() {
	dir, err := os.MkdirTemp("", "ember")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	pipe, script := filepath.Join(dir, "pipe"), filepath.Join(dir, "reconfig.sh")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		log.Fatal(err)
	}
	text := fmt.Sprintf("#!/bin/sh\necho \"$1, told by an $2: not $4 port $5 but $6 port $7\" >'%s'\n", pipe)
	if err := os.WriteFile(script, []byte(text), 0o700); err != nil {
		log.Fatal(err)
	}

	network := repl.NewMemory() // repl.TCP between machines
	w := newPair(network, repl.Security{})
	defer w.close()
	s, events := newGuard(network, "s", sentinel.Options{Scripts: sentinel.Scripts{ReconfigScript: script}})
	defer s.Close()
	await(events, sentinel.EventNewSlave)
	w.promote("b") // as an operator would
	told, err := os.ReadFile(pipe)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Print(string(told))
	// Output: cache, told by an observer: not 10.0.0.1 port 7000 but 10.0.0.2 port 7000
}

// A script that ends with 1 waits to be run again.
func ExampleScriptStatus() {
	program, err := exec.LookPath("false")
	if err != nil {
		log.Fatal(err)
	}
	network := repl.NewMemory() // repl.TCP between machines
	w := newPair(network, repl.Security{})
	defer w.close()
	s, events := newGuard(network, "s", sentinel.Options{
		Scripts: sentinel.Scripts{ReconfigScript: program, ScriptRetry: time.Hour},
	})
	defer s.Close()
	await(events, sentinel.EventNewSlave)
	w.promote("b") // as an operator would
	await(events, sentinel.EventSwitchMaster)

	for _, script := range s.Status().Scripts {
		fmt.Println(filepath.Base(script.Path), script.Args)
	}
	// Output: false [cache observer start 10.0.0.1 7000 10.0.0.2 7000]
}

// A script that is not there is found out at the start, and not when a master is down.
func ExampleScriptError() {
	_, err := sentinel.New(&sentinel.Options{
		Monitor: []string{"10.0.0.1:7000"},
		Scripts: sentinel.Scripts{NotificationScript: "no-such-script.sh"},
	})
	var wrong *sentinel.ScriptError
	fmt.Println(errors.As(err, &wrong) && errors.Is(err, fs.ErrNotExist), wrong.Field)
	// Output: true NotificationScript
}
