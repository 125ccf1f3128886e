package hugepage

import "syscall"

// advise ignores the error: a kernel without large pages has none to give, and all works as well.
func advise(from, n uintptr) {
	syscall.Syscall(syscall.SYS_MADVISE, from, n, syscall.MADV_HUGEPAGE)
}
