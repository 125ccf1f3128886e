package disk

import "os"

// syncRead makes what others have written to f, which is open for reading, durable.
// Windows syncs a file only by a handle that may write.
func syncRead(f *os.File) (err error) {
	w, err := os.OpenFile(f.Name(), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer func() {
		if cerr := w.Close(); err == nil {
			err = cerr
		}
	}()
	return w.Sync()
}
