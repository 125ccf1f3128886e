package repl

import (
	"encoding/binary"
	"time"

	"github.com/emberkv/ember/backlog"
)

// A Report is a node's answer to a [Poll]: what it is and knows at that moment. Names and
// addresses are as the node tells them; what is not printable in them is replaced by "_".
type Report struct {
	ID       NodeID
	Name     string
	Life     [16]byte // drawn when the node was made: it differs with each start of the program
	Role     Role
	Priority int    // for becoming master, the lowest first; 0 for never
	Announce string // where the node may be reached, as seen from this end of the link; empty if it does not say so

	Position backlog.Position // end of the log
	Lineage  backlog.Lineage
	Heard    backlog.Epoch // the highest that the node has heard of; that of Lineage, or above it
	HasData  bool          // the machine is not empty
	Ready    bool          // its data are the group's: it is a master, or came with a history, or has completed a sync
	Initial  bool          // a master that was started as one and has not been promoted since
	Synced   bool          // a replica that streams, and has caught up since the link came up

	Upstream  UpstreamReport   // the zero one on a master
	Followers []FollowerReport // those connected, as many as fit into MaxReportBytes

	Lease       LeaseReport
	Supervised  bool // it takes orders and grants
	HandingOver bool // a handover is under way

	// Stamp names this report for a [Grant] that answers it.
	Stamp uint64

	// Notices are what is posted on the node's board, except by the asker.
	Notices []Notice
}

// An UpstreamReport is about the link of a replica to the node that it follows.
type UpstreamReport struct {
	ID    NodeID // of the present link, or the last one; zero before the first
	Addr  string // empty for a replica of nobody
	State LinkState
	Down  time.Duration // since the replica stopped streaming; 0 while it streams, -1 if it never has
}

// A FollowerReport is about a node that follows the one that reports.
type FollowerReport struct {
	ID      NodeID
	Name    string
	Addr    string // where it may be reached, if it has said so
	Online  bool   // it streams
	Applied int64  // offset that it has acked
}

// A LeaseReport says where a node stands with its lease.
type LeaseReport struct {
	Armed     bool          `json:"armed"`        // as a master it takes writes only while it holds the lease
	Remaining time.Duration `json:"remaining_ns"` // of the lease; 0 if it is not held
	Granted   int           `json:"granted"`      // how many sentinels' grants are in force
	Need      int           `json:"need"`         // how many there must be; 0 before the first grant
}

// MaxReportBytes bounds a report on the wire: some two thousand followers.
const MaxReportBytes = 192 << 10

const (
	reportArmed = 1 << iota
	reportSupervised
	reportHandingOver
	reportHasData
	reportReady
	reportSynced
	reportInitial
	reportFlags // the first bit that says nothing
)

func (r *Report) flags() (bits byte) {
	for i, on := range [...]bool{r.Lease.Armed, r.Supervised, r.HandingOver, r.HasData, r.Ready, r.Synced, r.Initial} {
		bits |= flag(on) << i
	}
	return bits
}

func (r *Report) setFlags(bits byte) {
	for i, on := range [...]*bool{&r.Lease.Armed, &r.Supervised, &r.HandingOver, &r.HasData, &r.Ready, &r.Synced, &r.Initial} {
		*on = bits>>i&1 == 1
	}
}

func (r *Report) append(b []byte) []byte {
	b = appendUint64(b, r.Stamp)
	b = append(b, r.ID[:]...)
	b = append(b, r.Life[:]...)
	b = append(b, byte(r.Role), r.flags())
	b = binary.LittleEndian.AppendUint16(b, uint16(r.Priority))
	b = appendAddress(appendAddress(b, r.Name), r.Announce)
	b = appendUint64(b, uint64(r.Position.Offset))
	b, _ = r.Lineage.AppendBinary(b)
	b, _ = r.Heard.AppendBinary(b)

	b = append(b, r.Upstream.ID[:]...)
	b = appendAddress(b, r.Upstream.Addr)
	b = appendUint64(append(b, byte(r.Upstream.State)), uint64(r.Upstream.Down+1)) // from -1 on

	b = appendDuration(b, r.Lease.Remaining)
	b = binary.LittleEndian.AppendUint16(b, uint16(r.Lease.Granted))
	b = binary.LittleEndian.AppendUint16(b, uint16(r.Lease.Need))

	b = append(b, byte(len(r.Notices)))
	for _, n := range r.Notices {
		b = append(b, n.ID[:]...)
		b = appendBytes(appendAddress(b, n.Addr), n.Body)
	}
	return r.appendFollowers(b)
}

// appendFollowers writes as many of the followers as fit.
func (r *Report) appendFollowers(b []byte) []byte {
	at, n := len(b), 0
	b = append(b, 0, 0)
	for _, f := range r.Followers {
		if len(b)+len(f.ID)+1+len(f.Name)+1+len(f.Addr)+1+8 > MaxReportBytes {
			break
		}
		b = append(b, f.ID[:]...)
		b = appendAddress(appendAddress(b, f.Name), f.Addr)
		b = appendUint64(append(b, flag(f.Online)), uint64(f.Applied))
		n++
	}
	binary.LittleEndian.PutUint16(b[at:], uint16(n))
	return b
}

func parseReport(b []byte) (*Report, error) {
	c, r := &cursor{b: b}, &Report{}
	r.Stamp, r.ID = c.uint64(), c.id()
	r.Life = c.id()
	r.Role = Role(c.below(byte(len(roles))))
	r.setFlags(c.below(reportFlags))
	r.Priority = c.uint16()
	r.Name, r.Announce = printable(c.name(), ""), printable(c.address(), "")
	r.Position.Offset = c.offset()
	r.Lineage = c.lineage(r.Position.Offset)
	r.Position.History = r.Lineage.Current
	r.Heard = c.epoch()

	r.Upstream.ID, r.Upstream.Addr = c.id(), printable(c.address(), "")
	r.Upstream.State = LinkState(c.below(byte(len(linkStates))))
	r.Upstream.Down = c.duration() - 1

	r.Lease.Remaining, r.Lease.Granted, r.Lease.Need = c.duration(), c.uint16(), c.uint16()
	for range c.below(maxNotices + 1) {
		if c.err != nil {
			break
		}
		r.Notices = append(r.Notices, Notice{ID: c.id(), Addr: printable(c.address(), ""), Body: c.bytes(MaxNoticeBytes)})
	}
	for range c.uint16() {
		if c.err != nil {
			break
		}
		r.Followers = append(r.Followers, FollowerReport{
			ID: c.id(), Name: printable(c.name(), ""), Addr: printable(c.address(), ""), Online: c.flag(), Applied: c.offset(),
		})
	}
	if err := c.end("report"); err != nil {
		return nil, err
	}
	return r, nil
}
