//go:build !linux

package hugepage

func advise(from, n uintptr) {}
