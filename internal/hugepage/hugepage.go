// Package hugepage asks the operating system for large pages under memory that is read
// and written at random places.
//
// A processor finds some 2,000 pages without help. A million entries of 120 bytes lie on
// 30,000 pages of 4 KiB, so that nearly every access walks the page table first, and waits
// for memory twice; or on 60 of 2 MiB. Linux gives such pages to those who ask, unless it
// was told to give them to all or to nobody; elsewhere Advise does nothing.
//
// It has no cost in memory where it is used: blocks that are filled whole, except for one that is
// made ahead. They lie in Go's
// heap among others, whose pages become large, too: at most the heap's own size becomes
// resident, and what the runtime has given back may become so again.
package hugepage

import "unsafe"

// Size is what a large page has in bytes, on most machines.
const Size = 2 << 20

// smallSize is what a page has that is not large, at least.
const smallSize = 4 << 10

// Advise asks for large pages under s. Where nobody has touched it, as where the caller has just
// allocated it, they are large from the start; under the rest they become so in the kernel's own
// time. It costs about a microsecond.
func Advise[T any](s []T) {
	if len(s) == 0 {
		return
	}
	from := uintptr(unsafe.Pointer(unsafe.SliceData(s)))
	to := from + uintptr(len(s))*unsafe.Sizeof(s[0])
	// Go's heap grows by multiples of two such pages, so that all of this is its own.
	from &^= Size - 1
	to = (to + Size - 1) &^ (Size - 1)
	advise(from, to-from)
}

// Touch has the system find memory for s, which the caller has just allocated, and which is all
// zeros: else whoever comes first to a page waits for that. It takes some microseconds for memory
// that has been used before.
func Touch(s []byte) {
	for i := 0; i < len(s); i += smallSize {
		s[i] = 0 // a page that is only read would be one that all share
	}
}
