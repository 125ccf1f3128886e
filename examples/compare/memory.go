package main

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"time"
)

// collectionRuns is how many collections are measured.
const collectionRuns = 5

// memory measures what the keys of a peer take, once loaded and in the steady state of
// overwrites, and what a collection costs. The process must do nothing else, and have
// the GOGC that is asked for.
func memory(out io.Writer, p peer, c *config) error {
	l := newWorkload(p, c)
	base := settle()
	resetPeak()
	if err := l.open(); err != nil {
		return err
	}
	defer l.Close()
	if _, err := l.load(); err != nil {
		return err
	}
	loaded := settle().minus(base)
	if err := collections(out, l); err != nil {
		return err
	}
	resetPeak()
	if err := l.churn(); err != nil {
		return err
	}
	churned := settle().minus(base)
	runtime.KeepAlive(l.store)
	keys := float64(c.keys)
	return printLine(out, l.memoryLine("Memory"), 1, []figure{
		{float64(loaded.heap) / keys, "heap-B/key"},
		{float64(loaded.resident) / keys, "resident-B/key"},
		{float64(loaded.peak) / keys, "peak-B/key"},
		{float64(churned.heap) / keys, "churned-heap-B/key"},
		{float64(churned.peak) / keys, "churned-peak-B/key"},
	})
}

func (l *workload) memoryLine(name string) string {
	gogc := debug.SetGCPercent(100)
	debug.SetGCPercent(gogc)
	return fmt.Sprintf("%s/keys=%d/gogc=%d/store=%s", name, l.config.keys, gogc, l.peer.name)
}

// collections measures collections of the loaded store. Their time is that of both
// processors when nothing else runs; what a program notices is the processor time, and
// the pauses.
func collections(out io.Writer, l *workload) error {
	for range collectionRuns {
		before := readCounters()
		begin := time.Now()
		runtime.GC()
		took := time.Since(begin)
		cost := readCounters().minus(before)
		var stats debug.GCStats
		debug.ReadGCStats(&stats)
		err := printLine(out, l.memoryLine("Collection"), 1, []figure{
			{float64(took), "ns/op"},
			{float64(cost.collecting), "cpu-ns/op"},
			{float64(stats.Pause[0]), "pause-ns/op"},
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// A footprint is the memory of this process, in bytes. What the system does not say
// is 0.
type footprint struct {
	heap     int64 // alive
	resident int64
	peak     int64 // resident, since resetPeak
}

// settle frees what can be freed, and returns what is left.
func settle() (f footprint) {
	peak := readStatus("VmHWM:") // before the collections add to it
	runtime.GC()
	runtime.GC()
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return footprint{heap: int64(m.HeapAlloc), resident: readStatus("VmRSS:"), peak: peak}
}

// minus subtracts what was there before the store from what is there with it.
func (f footprint) minus(base footprint) footprint {
	return footprint{f.heap - base.heap, f.resident - base.resident, max(f.peak-base.resident, 0)}
}

// readStatus returns a field of what Linux says about this process, in bytes, or 0.
func readStatus(field string) int64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for l := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(l, field); ok {
			kib, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			if err == nil {
				return kib << 10
			}
		}
	}
	return 0
}

// resetPeak lets the peak begin at what is resident now. Where it cannot, the peak is
// that of the whole life of the process, which is never less.
func resetPeak() { os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) }
