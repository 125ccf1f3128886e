package main

import (
	"os"
	"strconv"
	"strings"
)

// Memory is what a process holds of the machine's memory, in bytes; 0 where the
// system does not say.
type Memory struct {
	Resident int64
	Peak     int64 // the greatest Resident since the start, or since resetPeak
}

// readMemory asks Linux about this process.
func readMemory() Memory { return memoryOf("self") }

// processMemory asks Linux about another process.
func processMemory(pid int) Memory { return memoryOf(strconv.Itoa(pid)) }

func memoryOf(process string) Memory {
	status, err := os.ReadFile("/proc/" + process + "/status")
	if err != nil {
		return Memory{}
	}
	return Memory{Resident: statusField(string(status), "VmRSS:"), Peak: statusField(string(status), "VmHWM:")}
}

func statusField(status, name string) int64 {
	for l := range strings.Lines(status) {
		if rest, ok := strings.CutPrefix(l, name); ok {
			kib, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			if err == nil {
				return kib << 10
			}
		}
	}
	return 0
}

// resetPeak lets Peak begin at what is resident now. Where it cannot, the peak
// of the whole life of the process is reported, which is never less.
func resetPeak() { os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) }

// resetPeakOf does that to another process.
func resetPeakOf(pid int) { os.WriteFile("/proc/"+strconv.Itoa(pid)+"/clear_refs", []byte("5"), 0) }
