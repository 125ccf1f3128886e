package giveway

import "syscall"

// yieldThread tells Go's scheduler that it may take long, so that other goroutines need not wait
// for this thread's turn. It cannot fail.
func yieldThread() { syscall.Syscall(syscall.SYS_SCHED_YIELD, 0, 0, 0) }
