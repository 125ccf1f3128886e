package main

import (
	"runtime"
	"syscall"
	"time"
)

// prSetTimerslack is PR_SET_TIMERSLACK of prctl(2).
const prSetTimerslack = 29

// precise prepares the calling goroutine for naps that end in time, and returns
// what undoes that. The runtime's timers are of no use to an open loop: they may
// round up to a millisecond when nothing else runs. So it keeps a thread, and tells
// the kernel not to group that thread's wake-ups with others'.
func precise() (undo func()) {
	runtime.LockOSThread()
	syscall.RawSyscall(syscall.SYS_PRCTL, prSetTimerslack, 1, 0)
	return func() {
		syscall.RawSyscall(syscall.SYS_PRCTL, prSetTimerslack, 0, 0) // 0 is the default
		runtime.UnlockOSThread()
	}
}

// nap sleeps for at least d.
func nap(d time.Duration) {
	t := syscall.NsecToTimespec(int64(d))
	syscall.Nanosleep(&t, nil)
}
