package repltest

import "bytes"

// A Recording is what was written on one connection, before any fault of the
// network.
type Recording struct {
	Dialer, Listener string // names of the hosts
	Addr             string // that was dialed
	Sent             []byte // by the dialer
	Received         []byte // by the dialer; sent by the listener
	Truncated        bool   // the limit was reached; this is only the beginning
}

// A recorder keeps recordings within a budget. Guarded by Network.mu, as is all
// that belongs to it.
type recorder struct {
	on    bool
	left  int // bytes that may still be kept
	conns []*recording
}

type recording struct {
	conn *Conn
	sent [2]capture // by the dialer, by the listener
}

// A capture is what one stream has carried. Its methods may be called on nil.
type capture struct {
	bytes     []byte
	truncated bool
}

// Record begins to keep what is written on connections made from now on, up to
// limit bytes in all, and drops what was recorded before. A limit of 0 ends it.
func (n *Network) Record(limit int) {
	mustNot(limit < 0, "negative limit")
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, r := range n.mu.recorder.conns {
		r.conn.out.recording, r.conn.back.recording = nil, nil
	}
	n.mu.recorder = recorder{on: limit > 0, left: limit}
}

// Recordings returns copies of what was recorded so far, in the order in which
// the connections were made.
func (n *Network) Recordings() []Recording {
	n.mu.Lock()
	defer n.mu.Unlock()
	var all []Recording
	for _, r := range n.mu.recorder.conns {
		all = append(all, Recording{
			Dialer:    r.conn.Dialer(),
			Listener:  r.conn.Listener(),
			Addr:      r.conn.addr,
			Sent:      bytes.Clone(r.sent[0].bytes),
			Received:  bytes.Clone(r.sent[1].bytes),
			Truncated: r.sent[0].truncated || r.sent[1].truncated,
		})
	}
	return all
}

// begin returns what to record c in, or nil.
func (r *recorder) begin(c *Conn) *recording {
	if !r.on {
		return nil
	}
	rec := &recording{conn: c}
	r.conns = append(r.conns, rec)
	return rec
}

func (c *capture) add(r *recorder, p []byte) {
	if c == nil {
		return
	}
	n := min(len(p), r.left)
	c.bytes = append(c.bytes, p[:n]...)
	c.truncated = c.truncated || n < len(p)
	r.left -= n
}
