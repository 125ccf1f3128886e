package main

import (
	"runtime/metrics"
)

// counters are what the runtime has counted since the process began.
type counters struct {
	bytes      uint64  // allocated
	objects    uint64  // allocated
	collecting float64 // processor seconds, up to the end of the latest collection
}

func readCounters() counters {
	s := []metrics.Sample{
		{Name: "/gc/heap/allocs:bytes"},
		{Name: "/gc/heap/allocs:objects"},
		{Name: "/cpu/classes/gc/total:cpu-seconds"},
	}
	metrics.Read(s)
	return counters{s[0].Value.Uint64(), s[1].Value.Uint64(), s[2].Value.Float64()}
}

func (c counters) minus(o counters) counters {
	return counters{c.bytes - o.bytes, c.objects - o.objects, c.collecting - o.collecting}
}
