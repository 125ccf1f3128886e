//go:build !linux

package main

import "time"

// precise has nothing to prepare where the runtime's timers are all there is.
func precise() (undo func()) { return func() {} }

// nap sleeps for at least d.
func nap(d time.Duration) { time.Sleep(d) }
