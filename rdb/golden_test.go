package rdb_test

import (
	"bytes"
	"flag"
	"io"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/emberkv/ember/rdb"
)

var newGolden = flag.Bool("golden", false, "write the golden file of the current version if there is none")

// goldens are snapshots as released versions wrote them. They must load for
// ever; an entry is never changed nor removed.
var goldens = []struct {
	file        string
	want        func() *sample
	compression rdb.Compression
}{
	{"version1.rdb", func() *sample { return newSample(1, 4, 60, 400) }, rdb.None},
	{"version1-s2.rdb", func() *sample { return newJSON(2, 4, 60, 1500) }, rdb.S2},
	{"version1-zstd.rdb", func() *sample { return newJSON(3, 4, 60, 1500) }, rdb.Zstd},
}

func TestGoldenFilesLoad(t *testing.T) {
	for _, c := range goldens {
		path := filepath.Join("testdata", c.file)
		if _, err := os.Stat(path); err != nil && *newGolden {
			if err := rdb.WriteFile(path, func(w io.Writer) error { return c.want().compressTo(w, c.compression) }); err != nil {
				t.Fatal(err)
			}
		}
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		got, err := read(bytes.NewReader(b))
		if err != nil {
			t.Fatalf("%s: %v", c.file, err)
		}
		if packed := isPacked(b); packed != (c.compression != rdb.None) {
			t.Errorf("%s: compressed: %v", c.file, packed)
		}
		want := c.want()
		if !reflect.DeepEqual(got.header, want.header) || got.footer != want.footer {
			t.Errorf("%s: got %+v, %+v", c.file, got.header, got.footer)
		}
		if !maps.Equal(got.contents(t), want.entries) {
			t.Errorf("%s: entries differ", c.file)
		}
	}
}

// The current version is written as it always was: another encoding needs
// another version. What a compressor makes of a block may change with the compressor.
func TestGoldenFileIsWrittenAgain(t *testing.T) {
	c := goldens[0]
	f, err := os.Open(filepath.Join("testdata", c.file))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(c.want().written(t), b) {
		t.Errorf("%s is written differently now", c.file)
	}
}
