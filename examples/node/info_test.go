//go:build unix

package main

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
)

const (
	noHistory = "00000000000000000000000000000000"
	nobody    = "127.0.0.1:1" // where nobody listens
)

// TestInfoOfMaster: what GET /info says of a master by itself, and with a slave that
// came late, hangs, and is gone.
func TestInfoOfMaster(t *testing.T) {
	t.Parallel()
	a := start(t, "a", "-backlog", "100000")
	a.shows("role:master", "connected_slaves:0", "master_replid2:"+noHistory, "second_repl_offset:-1",
		"master_repl_offset:0", "repl_backlog_active:1", "repl_backlog_size:100000",
		"repl_backlog_first_byte_offset:1", "repl_backlog_histlen:0")
	a.silentOn("master_host", "master_link_status", "slave_repl_offset", "slave_read_only", "slave0")

	written := a.fill("k", 10)
	a.shows("master_replid:"+historyOf(written), "master_repl_offset:"+offsetOf(written),
		"repl_backlog_histlen:"+offsetOf(written))

	b := start(t, "b", "-follow", a.repl)
	b.gets("k9", "k", written)
	a.shows("connected_slaves:1", fmt.Sprintf("slave0:ip=127.0.0.1,port=%s,state=online,offset=%s,lag=0,type=replica",
		portOf(b.repl), offsetOf(written)))

	// One that hangs acks no more: its lag grows, and its offset stays behind.
	b.freeze()
	a.put("more", "v")
	eventually(t, func() error {
		slave := a.info()["slave0"]
		if !strings.Contains(slave, "offset="+offsetOf(written)+",") || strings.Contains(slave, "lag=0,") {
			return fmt.Errorf("slave0 is %q, want it at %s and lagging", slave, offsetOf(written))
		}
		return nil
	})
	b.thaw()
	b.kill()
	a.shows("connected_slaves:0", "repl_backlog_active:1")
	a.silentOn("slave0")
}

// TestInfoOfSlave: what GET /info says of a slave that has never seen its master, has
// found one, has lost it, and is promoted.
func TestInfoOfSlave(t *testing.T) {
	t.Parallel()
	b := start(t, "b", "-follow", nobody)
	b.shows("role:slave", "master_host:127.0.0.1", "master_port:"+portOf(nobody), "master_link_status:down",
		"master_last_io_seconds_ago:-1", "master_sync_in_progress:0", "master_link_down_since_seconds:-1",
		"slave_repl_offset:0", "slave_priority:100", "slave_read_only:1", "connected_slaves:0")

	// What it knows begins where it joined.
	a := start(t, "a")
	joined := a.fill("k", 10)
	b.follow(a)
	b.gets("k9", "k", joined)
	written := a.put("late", "v")
	b.gets("late", "v", written)
	first, err := strconv.ParseInt(offsetOf(joined), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	b.shows("role:slave", "master_host:127.0.0.1", "master_port:"+portOf(a.repl), "master_link_status:up",
		"master_last_io_seconds_ago:0", "master_sync_in_progress:0", "slave_read_only:1",
		"slave_repl_offset:"+offsetOf(written), "master_repl_offset:"+offsetOf(written),
		"master_replid:"+historyOf(written), "master_replid2:"+noHistory, "second_repl_offset:-1",
		"repl_backlog_active:1", fmt.Sprint("repl_backlog_first_byte_offset:", first+1))
	b.silentOn("master_link_down_since_seconds")

	a.kill()
	b.shows("master_link_status:down", "master_last_io_seconds_ago:-1", "master_link_down_since_seconds:1",
		"slave_repl_offset:"+offsetOf(written), "master_replid:"+historyOf(written))

	end, err := strconv.ParseInt(offsetOf(written), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	promoted := b.promote()
	b.shows("role:master", "master_replid:"+historyOf(promoted), "master_replid2:"+historyOf(written),
		"master_repl_offset:"+offsetOf(promoted), fmt.Sprint("second_repl_offset:", end+1))
	b.silentOn("master_host", "master_link_status", "slave_repl_offset")
}

// silentOn says that these fields are not in GET /info.
func (p *process) silentOn(fields ...string) {
	p.t.Helper()
	got := p.info()
	for _, name := range fields {
		if value, ok := got[name]; ok {
			p.t.Errorf("%s: %s is %q, want no such field", p.name, name, value)
		}
	}
}
