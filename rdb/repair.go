package rdb

import "github.com/emberkv/ember/backlog"

// A Repair is what a machine needs to leave the end of its log for the history of another
// node, in place of a full copy: the log from the offset at which the two have parted, and
// the present state of whatever the machine's own records after it concern. All else the
// machine still has as it was at the fork, and the other node's log brings it up to date.
type Repair struct {
	Tail    backlog.Position // end of the machine's log when Keys were taken
	Fork    int64            // offset from which its log is left
	Lineage backlog.Lineage  // of the other node's log at Footer.Position

	Keys    []byte   // what the machine's records from Fork to Tail concern, in its own words
	Blocks  []*Block // the entries of those keys at Footer.Position; a deleted key has none
	Records [][]byte // the other log from Fork to Footer.Position, in runs of whole records
	Footer  Footer   // what the result must be
}
