package main

import (
	"flag"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/emberkv/ember/repl/sentinel"
)

// A sentinelConfig is what the flags say of a sentinel.
type sentinelConfig struct {
	addr    string // empty for none
	alone   bool   // there is no node beside it
	serves  bool   // alone, and with -http
	monitor []string

	quorum          int
	downAfter       time.Duration
	failoverTimeout time.Duration
	parallelSyncs   int
	minHeard        int

	notificationScript string
	reconfigScript     string
}

// sentinelFlags are those that mean nothing without -sentinel, sharedFlags those that a
// sentinel without a node has, too.
var (
	sentinelFlags = []string{"monitor", "quorum", "down-after", "failover-timeout", "parallel-syncs", "min-heard",
		"notification-script", "reconfig-script"}
	sharedFlags = []string{"sentinel", "http", "dir", "name", "group", "secret"}
)

func (c *sentinelConfig) define(f *flag.FlagSet) {
	f.StringVar(&c.addr, "sentinel", "", "run a sentinel, which others reach at this `address`; without a -repl it is alone in the process")
	f.Func("monitor", "`address` of a node of the group (its -repl), by which the sentinel finds all others; may be repeated; without it the node beside it", c.watch)
	f.IntVar(&c.quorum, "quorum", sentinel.DefaultQuorum, "`number` of sentinels that must find the master down")
	f.DurationVar(&c.downAfter, "down-after", sentinel.DefaultDownAfter, "for how long a node must not answer to be down; the same at all sentinels")
	f.DurationVar(&c.failoverTimeout, "failover-timeout", sentinel.DefaultFailoverTimeout, "how long a failover waits for a node at each step")
	f.IntVar(&c.parallelSyncs, "parallel-syncs", sentinel.DefaultParallelSyncs, "`number` of replicas that are told at a time to follow a new master")
	f.IntVar(&c.minHeard, "min-heard", 1, "`number` of replicas that must be heard before one of them is promoted")
	f.StringVar(&c.notificationScript, "notification-script", "", "`program` to run for each warning, with the event's name and its description")
	f.StringVar(&c.reconfigScript, "reconfig-script", "", "`program` to run when the master has changed, with group, role, state, and host and port of the old and the new one")
}

// watch adds an address of -monitor.
func (c *sentinelConfig) watch(addr string) error {
	if !canDial(addr) {
		return errUsage
	}
	c.monitor = append(c.monitor, addr)
	return nil
}

// check looks at what belongs together, and at what the library would take for its default.
func (c *sentinelConfig) check(typed arguments) error {
	_, beside := typed["repl"]
	_, c.serves = typed["http"]
	c.alone = c.addr != "" && !beside
	c.serves = c.serves && c.alone
	if _, is := typed["sentinel"]; is && !canListen(c.addr) {
		return wrong("sentinel", c.addr)
	}
	for _, name := range slices.Sorted(maps.Keys(typed)) {
		switch {
		case c.addr == "" && slices.Contains(sentinelFlags, name):
			return fmt.Errorf("-%s is for a sentinel; give its -sentinel, too; %w", name, errUsage)
		case c.alone && !slices.Contains(sentinelFlags, name) && !slices.Contains(sharedFlags, name):
			return fmt.Errorf("-%s is for a node; give its -repl, too; %w", name, errUsage)
		}
	}
	if c.alone && len(c.monitor) == 0 {
		return fmt.Errorf("-monitor is missing, want %s of a node of the group; %w", wants["monitor"], errUsage)
	}
	for _, flag := range []struct {
		name string
		zero bool
	}{
		{"quorum", c.quorum == 0},
		{"down-after", c.downAfter == 0},
		{"failover-timeout", c.failoverTimeout == 0},
		{"parallel-syncs", c.parallelSyncs == 0},
		{"min-heard", c.minHeard == 0},
	} {
		if flag.zero {
			return wrong(flag.name, typed[flag.name])
		}
	}
	if _, is := typed["failover-timeout"]; !is {
		c.failoverTimeout = 0 // which grows with -down-after
	}
	return nil
}
