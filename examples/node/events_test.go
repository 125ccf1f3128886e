package main

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/emberkv/ember/repl"
)

// TestStrangersDoNotFillTheLog: whoever can connect can say something else each time.
func TestStrangersDoNotFillTheLog(t *testing.T) {
	var log bytes.Buffer
	e := events(slog.New(slog.NewTextHandler(&log, nil)))
	for i := range 100 {
		peer := repl.Peer{Addr: fmt.Sprint("10.0.0.1:", i)}
		e.Refused(peer, &repl.LinkError{Op: "handshake", Peer: peer.Addr, Err: fmt.Errorf("%w: connection begins with %q", repl.ErrProtocol, fmt.Sprint(i))})
	}
	e.Refused(repl.Peer{}, repl.ErrGroup) // that is another matter
	if n := strings.Count(log.String(), "\n"); n != 2 {
		t.Errorf("%d lines, want 2", n)
	}
}
