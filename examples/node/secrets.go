package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/emberkv/ember/repl"
)

// A fileList is a flag that may be given several times.
type fileList []string

func (f *fileList) String() string { return strings.Join(*f, ",") }

func (f *fileList) Set(name string) error {
	*f = append(*f, name)
	return nil
}

// read returns the secrets in the files, one a line, the first being the newest. Space
// around one does not belong to it. Without files there are none; with files there must
// be some, and an error names the file and the line of one that is too short.
func (f fileList) read() ([]repl.Secret, error) {
	if len(f) == 0 {
		return nil, nil
	}
	secrets := []repl.Secret{}
	for _, name := range f {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		number := 0
		for line := range bytes.Lines(text) {
			number++
			switch line = bytes.TrimSpace(line); {
			case len(line) == 0:
			case len(line) < repl.MinSecretBytes:
				return nil, fmt.Errorf("%s:%d: %w", name, number, &repl.OptionError{
					Field: "the secret's length", Value: len(line), Want: fmt.Sprintf("at least %d bytes", repl.MinSecretBytes),
				})
			default:
				secrets = append(secrets, repl.Secret(line))
			}
		}
	}
	if len(secrets) == 0 {
		return nil, fmt.Errorf("no secret in %s", f.String())
	}
	return secrets, nil
}

// rereadSecrets reads the files again at each SIGHUP until ctx ends. What cannot be read, or
// is not good enough, changes nothing.
func (n *node) rereadSecrets(ctx context.Context, files fileList) {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	for {
		select {
		case <-hangups:
		case <-ctx.Done():
			return
		}
		secrets, err := files.read()
		if err == nil && n.repl != nil {
			err = n.repl.SetSecrets(secrets)
		}
		if err == nil && n.guard != nil {
			err = n.guard.sentinel.SetSecrets(secrets)
		}
		if err != nil {
			n.log.Error("secrets stay as they were", "err", err)
		} else {
			n.log.Info("secrets are in force", "number", len(secrets))
		}
	}
}
