package kv_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/emberkv/ember/kv"
	"github.com/emberkv/ember/rdb"
)

// resealed returns a snapshot that change was made to, and whose checksums are right again.
func resealed(t *testing.T, snapshot []byte, change func([]*rdb.Block, *rdb.Footer)) []byte {
	t.Helper()
	r, err := rdb.NewReader(bytes.NewReader(snapshot))
	must(t, err)
	var blocks []*rdb.Block
	for {
		b, err := r.Next()
		if err == io.EOF {
			break
		}
		must(t, err)
		blocks = append(blocks, b)
	}
	footer := r.Footer()
	change(blocks, &footer)
	var out bytes.Buffer
	w, err := rdb.NewWriter(&out, r.Header())
	must(t, err)
	for _, b := range blocks {
		must(t, w.WriteBlock(b))
	}
	must(t, w.Close(footer))
	return out.Bytes()
}

// What no checksum finds, because whoever wrote it was wrong, is found when the entries are
// inserted: by Restore, and by Open, which calls it damage.
func TestWrongEntriesUnderRightChecksums(t *testing.T) {
	dir := t.TempDir()
	s, err := kv.Open(dir, nil)
	must(t, err)
	for i := range 2000 {
		set(t, s, key(i), "value")
	}
	_, err = s.Save(t.Context())
	must(t, err)
	must(t, s.Close())
	files, err := filepath.Glob(filepath.Join(dir, "snapshot-*"))
	must(t, err)
	path := files[len(files)-1]
	must(t, os.Remove(files[0])) // of the empty store; nothing but the newest is to be found
	good, err := os.ReadFile(path)
	must(t, err)
	for name, c := range map[string]struct {
		change func([]*rdb.Block, *rdb.Footer)
		want   error
	}{
		"no entry":    {func(b []*rdb.Block, _ *rdb.Footer) { b[5].Data[1] = 77 }, kv.ErrBlock},
		"other value": {func(b []*rdb.Block, _ *rdb.Footer) { b[5].Data[len(b[5].Data)-1]++ }, kv.ErrDigest},
		"other sum":   {func(_ []*rdb.Block, f *rdb.Footer) { f.Sum++ }, kv.ErrDigest},
	} {
		bad := resealed(t, good, c.change)
		to := open(t, nil)
		set(t, to, "old", "state")
		before := digest(t, to)
		if err := to.Restore(bytes.NewReader(bad)); !errors.Is(err, c.want) {
			t.Errorf("%s: Restore: %v", name, err)
		}
		if after := digest(t, to); after != before {
			t.Errorf("%s: the state in use has changed", name)
		}
		must(t, os.WriteFile(path, bad, 0o600))
		var damage *kv.CorruptError
		if _, err := kv.Open(dir, nil); !errors.As(err, &damage) || damage.File != path {
			t.Errorf("%s: Open: %v", name, err)
		}
	}
	must(t, os.WriteFile(path, good, 0o600))
	again, err := kv.Open(dir, nil)
	must(t, err)
	defer again.Close()
	if n := again.Len(); n != 2000 {
		t.Errorf("%d keys", n)
	}
}
