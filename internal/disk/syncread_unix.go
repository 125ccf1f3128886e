//go:build !windows

package disk

import "os"

// syncRead makes what others have written to f, which is open for reading, durable.
func syncRead(f *os.File) error { return f.Sync() }
