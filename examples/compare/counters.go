package main

import (
	"runtime/metrics"
	"time"
)

// counters are what the runtime has counted since the process began.
type counters struct {
	bytes      uint64        // allocated
	objects    uint64        // allocated
	collecting time.Duration // of the processors, up to the end of the latest collection
	working    time.Duration // of the processors; 0 where it is not known
}

func readCounters() counters {
	s := []metrics.Sample{
		{Name: "/gc/heap/allocs:bytes"},
		{Name: "/gc/heap/allocs:objects"},
		{Name: "/cpu/classes/gc/total:cpu-seconds"},
	}
	metrics.Read(s)
	collecting := time.Duration(s[2].Value.Float64() * float64(time.Second))
	return counters{s[0].Value.Uint64(), s[1].Value.Uint64(), collecting, processorTime()}
}

func (c counters) minus(o counters) counters {
	return counters{c.bytes - o.bytes, c.objects - o.objects, c.collecting - o.collecting, c.working - o.working}
}
