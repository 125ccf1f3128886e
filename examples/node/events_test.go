package main

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

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

// TestRingThatPasses: what to do about a ring is said of one that lasts, and once.
func TestRingThatPasses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		e := events(slog.New(slog.NewTextHandler(&log, nil)))
		up := repl.Peer{Upstream: true, Addr: "10.0.0.1:7000"}
		fails := func(times int, lines, remedies int) {
			t.Helper()
			log.Reset()
			for range times {
				e.Disconnected(up, &repl.LinkError{Op: "follow", Peer: up.Addr, Err: repl.ErrCycle})
				time.Sleep(ringPause / 10)
			}
			if n, m := strings.Count(log.String(), "\n"), strings.Count(log.String(), "remedy="); n != lines || m != remedies {
				t.Errorf("%d lines, %d with a remedy, want %d and %d:\n%s", n, m, lines, remedies, &log)
			}
		}
		fails(9, 1, 0)
		e.CaughtUp(repl.CaughtUp{Peer: up}) // by itself
		fails(9, 1, 0)
		fails(20, 1, 1)
		fails(20, 0, 0)
	})
}

// TestTwinsDoNotFillTheLog: two nodes with one id take each other's place many times a second. That is told some times
// a minute, with what to do; and a node that comes back once is told of like any other.
func TestTwinsDoNotFillTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		e := events(slog.New(slog.NewTextHandler(&log, nil)))
		up := repl.Peer{Upstream: true, Addr: "10.0.0.1:7000"}
		round := func() {
			e.PartialSync(repl.PartialSync{Peer: up})
			e.CaughtUp(repl.CaughtUp{Peer: up})
			e.Disconnected(up, &repl.LinkError{Op: "follow", Peer: up.Addr, Err: repl.ErrReplaced})
			time.Sleep(100 * time.Millisecond)
		}
		for range 600 {
			round()
		}
		if n, m := strings.Count(log.String(), "\n"), strings.Count(log.String(), "remedy="); n > 12 || m != maxRivals {
			t.Errorf("%d lines, %d with a remedy:\n%s", n, m, &log)
		}
		time.Sleep(2 * time.Minute)
		log.Reset()
		round()
		e.PartialSync(repl.PartialSync{Peer: up})
		if n := strings.Count(log.String(), "\n"); n != 4 {
			t.Errorf("%d lines later, want 4:\n%s", n, &log)
		}
	})
}
