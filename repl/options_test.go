package repl_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/repl"
)

// TestOptionsAreChecked: every invalid field is named, with its value, by both
// constructors.
func TestOptionsAreChecked(t *testing.T) {
	long, longAddr := strings.Repeat("x", repl.MaxNameBytes+1), strings.Repeat("x", repl.MaxAnnounceBytes+1)
	for _, c := range []struct {
		field string
		set   func(o *repl.Options)
		value any
	}{
		{"Name", func(o *repl.Options) { o.Name = long }, long},
		{"Group", func(o *repl.Options) { o.Group = long }, long},
		{"Announce", func(o *repl.Options) { o.Announce = longAddr }, longAddr},
		{"Priority", func(o *repl.Options) { o.Priority = repl.MaxPriority + 1 }, repl.MaxPriority + 1},
		{"Heartbeat", func(o *repl.Options) { o.Heartbeat = -1 }, time.Duration(-1)},
		{"Heartbeat", func(o *repl.Options) { o.Heartbeat = time.Millisecond - 1 }, time.Millisecond - 1},
		{"Heartbeat", func(o *repl.Options) { o.Heartbeat = time.Hour + 1 }, time.Hour + 1},
		{"Timeout", func(o *repl.Options) { o.Timeout = 2999 * time.Millisecond }, 2999 * time.Millisecond},
		{"Timeout", func(o *repl.Options) { o.Timeout = -1 }, time.Duration(-1)},
		{"HandshakeTimeout", func(o *repl.Options) { o.HandshakeTimeout = -1 }, time.Duration(-1)},
		{"MaxFollowers", func(o *repl.Options) { o.MaxFollowers = -1 }, -1},
		{"MaxHandshakes", func(o *repl.Options) { o.MaxHandshakes = -1 }, -1},
		{"SyncRate", func(o *repl.Options) { o.SyncRate = -1 }, int64(-1)},
		{"SyncRate", func(o *repl.Options) { o.SyncRate = 1000 }, int64(1000)},
		{"MaxSyncs", func(o *repl.Options) { o.MaxSyncs = -1 }, -1},
		{"SyncTimeout", func(o *repl.Options) { o.SyncTimeout = -1 }, time.Duration(-1)},
		{"Ack", func(o *repl.Options) { o.Ack = -1 }, -1},
		{"MaxUnacked", func(o *repl.Options) { o.Ack, o.MaxUnacked = 1, -1 }, int64(-1)},
		{"MaxUnacked", func(o *repl.Options) { o.MaxUnacked = 64 }, int64(64)},
		{"MinReplicas", func(o *repl.Options) { o.MinReplicas = -1 }, -1},
		{"Ack", func(o *repl.Options) { o.Ack = repl.DefaultMaxFollowers + 1 }, repl.DefaultMaxFollowers + 1},
		{"Ack", func(o *repl.Options) { o.Ack, o.MaxFollowers = 2, 1 }, 2},
		{"MinReplicas", func(o *repl.Options) { o.MinReplicas, o.MaxFollowers = 2, 1 }, 2},
		{"MaxLag", func(o *repl.Options) { o.MaxLag = -1 }, time.Duration(-1)},
		{"MaxLag", func(o *repl.Options) { o.MaxLag = 1999 * time.Millisecond }, 1999 * time.Millisecond},
		{"AckTimeout", func(o *repl.Options) { o.AckTimeout = -1 }, time.Duration(-1)},
	} {
		var o repl.Options
		c.set(&o)
		_, err1 := repl.NewMaster(newLedger(nil), &o)
		_, err2 := repl.NewReplica(newLedger(nil), "a", &o)
		for _, err := range []error{err1, err2} {
			var wrong *repl.OptionError
			if !errors.As(err, &wrong) || !errors.Is(err, repl.ErrOption) || wrong.Field != c.field || wrong.Value != c.value || wrong.Want == "" {
				t.Errorf("%s of %v: %v", c.field, c.value, err)
			}
		}
	}
	_, err1 := repl.NewMaster(nil, nil)
	_, err2 := repl.NewReplica(nil, "a", nil)
	for _, err := range []error{err1, err2} {
		if !errors.Is(err, repl.ErrOption) {
			t.Errorf("without a machine: %v, want ErrOption", err)
		}
	}
	longest, longestAddr := strings.Repeat("x", repl.MaxNameBytes), strings.Repeat("x", repl.MaxAnnounceBytes)
	for name, o := range map[string]*repl.Options{
		"nil": nil, "zero": {}, "longest names": {Name: longest, Group: longest, Announce: longestAddr, Priority: repl.MaxPriority},
		"limits": {Liveness: repl.Liveness{Heartbeat: time.Hour, Timeout: 3 * time.Hour}},
	} {
		m, err := repl.NewMaster(newLedger(nil), o)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if m.Node().Name() == "" || m.Node().ID() == (repl.NodeID{}) || m.Node().Role() != repl.RoleMaster {
			t.Errorf("%s: node %s %q", name, m.Node().ID(), m.Node().Name())
		}
		m.Close()
	}
}

// TestOptionsAreCopied: what the program does with them afterwards is its own
// business.
func TestOptionsAreCopied(t *testing.T) {
	o := repl.Options{Name: "before"}
	m, err := repl.NewMaster(newLedger(nil), &o)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	o.Name = "after"
	if m.Node().Name() != "before" || o.ID != (repl.NodeID{}) || o.Transport != nil {
		t.Errorf("name %q, options %+v", m.Node().Name(), o)
	}
}

// TestEventsComeInOrder checks both ends of a link's life, with the reasons.
func TestEventsComeInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, a, b := repl.NewMemory(), newLedger(nil), newLedger(nil)
		fill(t, a, "k", 100)
		slowly(a, 30*time.Millisecond)
		mo, ro := repl.Options{Name: "top"}, repl.Options{Name: "below"}
		md, rd := keep(&mo), keep(&ro)
		m := master(t, a, net, "a", &mo)
		r := replica(t, b, net, "a", &ro)
		synced(t, m, a, r)
		r.Close()
		time.Sleep(time.Millisecond) // events of two links have no order
		fill(t, a, "later", 10)
		r2 := replica(t, b, net, "a", &ro)
		synced(t, m, a, r2)
		m.Close()
		time.Sleep(time.Millisecond)
		r2.Close()
		want := "connected full synced disconnected connected partial disconnected"
		if md.kinds() != want {
			t.Errorf("the master: %s", md.kinds())
		}
		if got := rd.kinds(); !strings.HasPrefix(got, want) {
			t.Errorf("the replica: %s", got)
		}
		for _, d := range []*diary{md, rd} {
			progress := 0
			for i, l := range d.lines {
				kind, peer, _ := strings.Cut(l, " ")
				if kind == "progress" {
					progress++
					if before := strings.Join(d.lines[:i], " "); !strings.Contains(before, "full") || strings.Contains(before, "synced") && !strings.Contains(before, "partial") {
						t.Errorf("progress outside of a sync: %q", d.lines)
					}
				}
				if name := map[*diary]string{md: "below", rd: "top"}[d]; peer != name && i < 10 {
					t.Errorf("%s is of %q, want %q", kind, peer, name)
				}
			}
			if progress == 0 {
				t.Error("no progress was reported")
			}
			if s := d.synced[0]; s.Keys != 100 || s.Position.IsZero() || s.Took < 200*time.Millisecond || s.Bytes == 0 {
				t.Errorf("synced: %+v", s)
			}
			if f := d.fulls[0]; f.Reason != backlog.Empty || f.Keys != 100 || f.Resumed {
				t.Errorf("full sync: %+v", f)
			}
			if p := d.parts[0]; p.Bytes != a.Log().End()-p.From.Offset || p.From != d.synced[0].Position {
				t.Errorf("partial sync: %+v", p)
			}
		}
		if !md.saw(repl.ErrPeerClosed) || !errors.Is(md.last(), repl.ErrClosed) || !errors.Is(rd.ends[0], repl.ErrClosed) {
			t.Errorf("reasons: %v at the master, %v at the replica", md.ends, rd.ends)
		}
	})
}

// TestStatusTells: what a dashboard shows, in words, and while things happen.
func TestStatusTells(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, a, b := repl.NewMemory(), newLedger(nil), newLedger(nil)
		fill(t, a, "k", 100)
		slowly(a, 100*time.Millisecond)
		m := master(t, a, net, "a", &repl.Options{Name: "top", Group: "prod"})
		r := replica(t, b, net, "a", &repl.Options{Name: "below", Group: "prod"})
		time.Sleep(450 * time.Millisecond)
		ms, rs := m.Status(), r.Status().Upstream
		if len(ms.Followers) != 1 || ms.Followers[0].State != repl.FollowerCopying || ms.Followers[0].Online {
			t.Errorf("during the copy: %+v", ms.Followers)
		}
		for _, p := range []repl.Progress{ms.Followers[0].Progress, rs.Progress} {
			if p.Shards < 2 || p.Shards > 5 || p.ShardsTotal != ledgerShards || p.Keys == 0 || p.KeysTotal != 100 {
				t.Errorf("progress %+v", p)
			}
		}
		synced(t, m, a, r)
		time.Sleep(2500 * time.Millisecond)
		ms, rs = m.Status(), r.Status().Upstream
		f := ms.Followers[0]
		if f.State != repl.FollowerStreaming || !f.Online || f.Behind != 0 || f.Applied != a.Log().End() || f.Received != f.Applied ||
			f.LastAck < 0 || f.LastAck > time.Second || f.Peer.Name != "below" || f.Peer.Upstream || f.Written == 0 {
			t.Errorf("the follower: %+v", f)
		}
		if rs.State != repl.LinkStreaming || !rs.Synced || rs.Behind != 0 || rs.LastIO < 0 || rs.LastIO > time.Second || rs.Down != 0 ||
			rs.Peer.Name != "top" || !rs.Peer.Upstream || rs.Attempts != 1 || rs.Read == 0 || rs.LastFull.Reason != backlog.Empty {
			t.Errorf("the upstream: %+v", rs)
		}
		for _, s := range []repl.Status{ms, r.Status()} {
			text, err := json.Marshal(s)
			if err != nil {
				t.Fatal(err)
			}
			var back repl.Status
			if err := json.Unmarshal(text, &back); err != nil || !reflect.DeepEqual(back, s) {
				t.Errorf("read back, %v:\n%+v\nwant\n%+v", err, back, s)
			}
			for _, word := range []string{`"top"`, `"below"`, `"streaming"`, `"prod"`, s.ID.String(), s.Position.String()} {
				if !strings.Contains(string(text), word) {
					t.Errorf("%s is not in %s", word, text)
				}
			}
			if s.Role == repl.RoleMaster && !strings.Contains(string(text), `"refusals":{"empty":1}`) {
				t.Errorf("refusals do not read as words in %s", text)
			}
		}
		m.Close()
		r.Close()
		if s := m.Status(); len(s.Followers) != 0 || s.Counters.FullSyncs != 1 {
			t.Errorf("after Close: %+v", s)
		}
	})
}
