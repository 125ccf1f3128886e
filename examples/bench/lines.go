package main

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// A line is a measurement that can be chosen by name. It may make several rows.
type line struct {
	name    string
	measure measurement
	peer    peerMeasurement // nil where the peer has nothing that could be compared
}

// A measurement adds what -runs runs of a line give to its series.
type measurement func(ctx context.Context, b *bench, s *series) error

var lines = []line{
	{"writes/0", writes(0), peerWrites(0)},
	{"writes/1", writes(1), peerWrites(1)},
	{"writes/2", writes(2), peerWrites(2)},
	{"writes/4", writes(4), peerWrites(4)},
	{"sync/idle", syncIdle, peerSyncIdle},
	{"sync/loaded", syncLoaded, peerSyncLoaded},
	{"lag/memory", lag(sameNetwork), nil},
	{"lag/process", lag(sameProcess), nil},
	{"lag/processes", lag(ownProcess), peerLag},
	{"chain/memory", chain(sameNetwork), nil},
	{"chain/process", chain(sameProcess), nil},
	{"chain/processes", chain(ownProcess), peerChain},
	{"catchup/blip", catchUpBlip, peerBlip},
	{"catchup/second", catchUpSecond, peerSecond},
	{"failover/1s", failover(time.Second), peerFailover(time.Second)},
	{"failover/200ms", failover(200 * time.Millisecond), peerFailover(200 * time.Millisecond)},
	{"disk/memory", diskWrites("memory"), peerDiskWrites("memory")},
	{"disk/never", diskWrites("never"), peerDiskWrites("never")},
	{"disk/everysec", diskWrites("everysec"), peerDiskWrites("everysec")},
	{"disk/always", diskWrites("always"), peerDiskWrites("always")},
	{"disk/load", diskLoad, peerDiskLoad},
	{"cost/replicas", costOfReplicas, nil},
	{"cost/keys", costOfKeys, nil},
	{"cost/value", costOfValue, nil},
	{"cost/writers", costOfWriters, nil},
}

// choose returns the lines that only names, by their names or by what stands
// before the slash; all when it is empty.
func choose(only string) ([]line, error) {
	if only == "" {
		return lines, nil
	}
	var chosen []line
	for name := range strings.SplitSeq(only, ",") {
		before := len(chosen)
		for _, l := range lines {
			if kind, _, _ := strings.Cut(l.name, "/"); name == l.name || name == kind {
				chosen = append(chosen, l)
			}
		}
		if len(chosen) == before {
			var names []string
			for _, l := range lines {
				names = append(names, l.name)
			}
			return nil, fmt.Errorf("-only: no line is called %q; there are %s", name, strings.Join(names, ", "))
		}
	}
	return chosen, nil
}
