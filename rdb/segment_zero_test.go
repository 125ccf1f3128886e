package rdb_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/rdb"
)

// TestZeroVersionIsDamage: a crash may leave zeros in place of what was not synced, and they
// are no newer version.
func TestZeroVersionIsDamage(t *testing.T) {
	name := rdb.Segment{Generation: 1, Sequence: 2}
	b := name.AppendHeader(nil, rdb.SegmentHeader{
		Origin: rdb.Origin{Lineage: backlog.Lineage{Current: backlog.NewHistory()}}, RecordVersion: rdb.RecordVersion,
	})
	clear(b[8:])
	if _, err := rdb.NewSegmentReader(bytes.NewReader(b), name); !errors.Is(err, rdb.ErrFormat) || errors.Is(err, rdb.ErrVersion) {
		t.Errorf("zeros behind the magic: %v", err)
	}
}
