package main

import (
	"errors"
	"flag"
	"fmt"
	"net"
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
	f.Func("monitor", "`address` of a node of the group (its -repl), by which the sentinel finds all others; may be repeated; without it the node beside it", func(addr string) error {
		c.monitor = append(c.monitor, addr)
		return nil
	})
	f.IntVar(&c.quorum, "quorum", sentinel.DefaultQuorum, "`number` of sentinels that must find the master down")
	f.DurationVar(&c.downAfter, "down-after", sentinel.DefaultDownAfter, "for how long a node must not answer to be down; the same at all sentinels")
	f.DurationVar(&c.failoverTimeout, "failover-timeout", sentinel.DefaultFailoverTimeout, "how long a failover waits for a node at each step")
	f.IntVar(&c.parallelSyncs, "parallel-syncs", sentinel.DefaultParallelSyncs, "`number` of replicas that are told at a time to follow a new master")
	f.IntVar(&c.minHeard, "min-heard", 1, "`number` of replicas that must be heard before one of them is promoted")
	f.StringVar(&c.notificationScript, "notification-script", "", "`program` to run for each warning, with the event's name and its description")
	f.StringVar(&c.reconfigScript, "reconfig-script", "", "`program` to run when the master has changed, with group, role, state, and host and port of the old and the new one")
}

// check looks at what belongs together, by the names of the flags that were given.
func (c *sentinelConfig) check(given map[string]bool) error {
	c.alone = c.addr != "" && !given["repl"]
	c.serves = c.alone && given["http"]
	for name := range given {
		switch {
		case c.addr == "" && slices.Contains(sentinelFlags, name):
			return fmt.Errorf("-%s is for a sentinel; give its -sentinel, too", name)
		case c.alone && !slices.Contains(sentinelFlags, name) && !slices.Contains(sharedFlags, name):
			return fmt.Errorf("-%s is for a node; give its -repl, too", name)
		}
	}
	if c.addr == "" {
		return nil
	}
	if c.quorum <= 0 || c.parallelSyncs <= 0 || c.minHeard <= 0 {
		return errors.New("-quorum, -parallel-syncs and -min-heard are at least 1")
	}
	if _, _, err := net.SplitHostPort(c.addr); err != nil {
		return fmt.Errorf("-sentinel: %w", err)
	}
	if c.alone && len(c.monitor) == 0 {
		return errors.New("-monitor is missing: the address of a node of the group")
	}
	for _, addr := range c.monitor {
		if _, _, err := net.SplitHostPort(addr); err != nil {
			return fmt.Errorf("-monitor: %w", err)
		}
	}
	return nil
}
