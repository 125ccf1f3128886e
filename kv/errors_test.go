package kv_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/emberkv/ember/kv"
	"github.com/emberkv/ember/rdb"
)

// A CorruptError says once where the damage is, and nothing of a place if it is the whole.
func TestCorruptErrorsNamePlacesOnce(t *testing.T) {
	for _, c := range []struct {
		err  kv.CorruptError
		want string
	}{
		{kv.CorruptError{File: "d/j", Offset: 30, Err: fmt.Errorf("synced up to 90: %w", &rdb.ReadError{Offset: 30, Err: rdb.ErrChecksum})},
			"kv: files are damaged: d/j, at byte 30: synced up to 90: rdb: checksum mismatch"},
		{kv.CorruptError{File: "d/j", Offset: 30, Err: &rdb.ReadError{Offset: 40, Err: rdb.ErrFormat}},
			"kv: files are damaged: d/j, at byte 30: rdb: malformed snapshot (at byte 40)"},
		{kv.CorruptError{File: "d", Err: rdb.ErrFormat}, "kv: files are damaged: d: rdb: malformed snapshot"},
	} {
		if got := c.err.Error(); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
		if !errors.Is(&c.err, kv.ErrCorrupt) || !errors.Is(&c.err, c.err.Err) {
			t.Errorf("%v hides its cause", &c.err)
		}
	}
}
