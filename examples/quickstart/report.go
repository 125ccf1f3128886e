package main

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/emberkv/ember/repl"
)

// bars draws a progress bar for each of several syncs: on a terminal in place,
// elsewhere a line for each quarter.
type bars struct {
	mu       sync.Mutex
	names    []string
	progress map[string]repl.Progress
	quarter  map[string]int
	terminal bool
	drawn    bool
}

func newBars(names ...string) *bars {
	info, err := os.Stdout.Stat()
	return &bars{
		names:    names,
		progress: make(map[string]repl.Progress),
		quarter:  make(map[string]int),
		terminal: err == nil && info.Mode()&os.ModeCharDevice != 0,
	}
}

func (b *bars) update(name string, p repl.Progress) {
	if p.ShardsTotal == 0 {
		return // a partial resync, which is over before a bar is drawn
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.progress[name] = p
	if b.terminal {
		b.redraw()
		return
	}
	if quarter := 4 * p.Shards / max(p.ShardsTotal, 1); quarter > b.quarter[name] {
		b.quarter[name] = quarter
		fmt.Println(line(name, p))
	}
}

func (b *bars) redraw() {
	if b.drawn {
		fmt.Printf("\x1b[%dA", len(b.names))
	}
	b.drawn = true
	for _, name := range b.names {
		fmt.Printf("\x1b[2K%s\n", line(name, b.progress[name]))
	}
}

func (b *bars) done() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.terminal {
		b.redraw()
	}
}

func line(name string, p repl.Progress) string {
	const width = 30
	full := width * p.Shards / max(p.ShardsTotal, 1)
	return fmt.Sprintf("   %-10s [%s%s] %6d keys, %8s of about %s",
		name, strings.Repeat("#", full), strings.Repeat(".", width-full), p.Keys, size(p.Bytes), size(max(p.Bytes, p.BytesTotal)))
}

// phases collects what each part of the run took.
type phases []phase

type phase struct {
	what  string
	took  time.Duration
	keys  int64
	bytes int64
}

func (p *phases) add(what string, start time.Time, keys, bytes int64) {
	*p = append(*p, phase{what, time.Since(start), keys, bytes})
}

func (p phases) print() {
	for _, ph := range p {
		s := ph.took.Seconds()
		fmt.Printf("   %-28s %9v %10.0f keys/s %10s/s\n", ph.what, ph.took.Round(10*time.Microsecond),
			float64(ph.keys)/s, size(int64(float64(ph.bytes)/s)))
	}
}

// size prints a number of bytes for people.
func size(n int64) string {
	switch {
	case n >= 1e9:
		return fmt.Sprintf("%.2f GB", float64(n)/1e9)
	case n >= 1e6:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	case n >= 1e3:
		return fmt.Sprintf("%.1f kB", float64(n)/1e3)
	}
	return fmt.Sprintf("%d B", n)
}
