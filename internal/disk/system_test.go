package disk_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/emberkv/ember/internal/disk"
)

// TestListWhileFilesGo: what others create and remove in a folder while it is listed may be in the list, and is no
// error; what stays is in it.
func TestListWhileFilesGo(t *testing.T) {
	dir := t.TempDir()
	write := func(name string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600); err != nil {
			t.Error(err)
		}
	}
	write("stays")
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
			}
			for _, name := range []string{"a", "b", "c", "d"} {
				write(name)
			}
			for _, name := range []string{"a", "b", "c", "d"} {
				if err := os.Remove(filepath.Join(dir, name)); err != nil {
					t.Error(err)
				}
			}
		}
	}()
	defer func() { close(stop); <-stopped }()
	for range 2000 {
		files, err := disk.System{}.List(dir)
		if err != nil {
			t.Fatal(err)
		}
		stays := false
		for _, f := range files {
			stays = stays || f.Name == "stays" && f.Size == 1
		}
		if !stays {
			t.Fatalf("not in the list: %+v", files)
		}
	}
}
