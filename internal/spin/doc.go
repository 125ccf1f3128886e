// Package spin takes locks that are held for a microsecond as a rule.
//
// A sync.Mutex lets a goroutine sleep that has waited for two microseconds. If nothing
// else is to be done, its processor sleeps too, and to be woken takes far longer than nearly
// all waits would have taken. By "go test -bench Contended ./internal/spin", of a lock
// that is held for a microsecond, two thirds of the time (two cores of an EPYC, a virtual machine,
// 2026-11-22; medians of five runs):
//
//   - of those who find it locked half have it after 0.9 microseconds, and 99 of 100 after 1.4;
//     with Mutex.Lock after 1.5, and 137;
//   - so a turn, with two microseconds of other work in it, takes 2.5 in place of 4.8.
package spin
