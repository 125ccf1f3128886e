package repl_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/rdb"
	"github.com/emberkv/ember/repl"
	"github.com/emberkv/ember/repl/repltest"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares got with a file in testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs; -update writes it anew. Got:\n%s", file, got)
	}
}

// statuses returns one of each kind, with every field set.
func statuses() map[string]repl.Status {
	now := time.Date(2026, 11, 21, 10, 0, 0, 500_000_000, time.UTC)
	h1, h2 := backlog.History{0xaa, 1}, backlog.History{0xbb, 2}
	at := backlog.Position{History: h2, Offset: 5000}
	peer := func(id byte, name, listen string) repl.Peer {
		return repl.Peer{ID: repl.NodeID{id}, Name: name, Addr: "10.0.0.9:51234", Listen: listen, Priority: 100}
	}
	full := &repl.SyncStatus{
		Peer: peer(3, "rome", "10.0.0.3:7000"), State: repl.SyncComplete, Reason: backlog.Trimmed, Resumed: true,
		From: backlog.Position{History: h2, Offset: 4000}, Began: now.Add(-90 * time.Second), Took: 1500 * time.Millisecond,
		Keys: 100, Bytes: 12_000, LogBytes: 300,
	}
	broken := &repl.SyncStatus{
		Peer: peer(4, "oslo", ""), State: repl.SyncBroken, Error: "repl: serve 10.0.0.9:51234 (oslo): EOF",
		From: backlog.Position{History: h2, Offset: 4900}, Began: now.Add(-10 * time.Second), Took: time.Millisecond, LogBytes: 100,
	}
	master := repl.Status{
		Time: now, ID: repl.NodeID{1}, Name: "paris", Group: "orders", Announce: "10.0.0.1:7000", Priority: 100,
		Role: repl.RoleMaster, Position: at,
		Lineage: backlog.Lineage{Current: h2, Earlier: []backlog.Fork{{History: h1, End: 700}}},
		Window:  backlog.Window{First: 4000, End: 5000, Max: 64 << 20, Age: 12_345 * time.Millisecond},
		Ack:     1, MaxUnacked: 100, MinReplicas: 1, MaxLag: 10 * time.Second, NearReplicas: 1,
		Refusing: "backlog: writes are held up", Handover: &repl.HandoverStatus{To: "berlin", Step: repl.StepPrepare, Took: 3 * time.Millisecond},
		Supervision: repl.SupervisionStatus{
			Supervised: true, Fenced: true, Lease: repl.LeaseReport{Armed: true, Remaining: 750 * time.Millisecond, Granted: 2, Need: 2},
			Askers: []repl.Peer{{ID: repl.NodeID{0x51}, Name: "sentinel", Addr: "10.0.0.8:40000", Sentinel: true}},
		},
		WhenDown: repl.RefuseStale, MaxStaleness: 5 * time.Second,
		Followers: []repl.FollowerStatus{
			{
				Peer: peer(2, "berlin", "10.0.0.2:7000"), State: repl.FollowerStreaming, Online: true, Sent: 5000, Received: 4950,
				Applied: 4950, Behind: 50, LastAck: 1999 * time.Millisecond, Lag: 2001 * time.Millisecond, Near: true, RTT: 1234 * time.Microsecond, Written: 6000,
				Compression: rdb.Zstd, WrittenPlain: 24_000,
				Sync: &repl.SyncStatus{State: repl.SyncComplete, LogBytes: 77},
			},
			{
				Peer: peer(4, "oslo", ""), State: repl.FollowerCopying, LastAck: -1, Lag: -1, Behind: 5000, Place: 1, Sent: 4000,
				Sync: &repl.SyncStatus{Reason: backlog.Empty},
			},
			{
				Peer: peer(3, "rome", "[2001:db8::3]:7000"), State: repl.FollowerCopying, LastAck: time.Second, Lag: -1, Behind: 5000, Sent: 4100,
				Sync:     &repl.SyncStatus{Reason: backlog.Trimmed, Keys: 40, Bytes: 4800, LogBytes: 100},
				Progress: repl.Progress{Keys: 40, KeysTotal: 100, Bytes: 4800, BytesTotal: 12_000, Shards: 3, ShardsTotal: 8, LogBytes: 100},
			},
		},
		Counters: repl.Counters{
			PartialSyncs: 3, FullSyncs: 2, LinksLost: 5, LinksLeft: 3, Handshakes: 1, Unheard: 4,
			Refusals: map[backlog.Refusal]int64{backlog.Empty: 1, backlog.Trimmed: 1},
		},
		LastPartial: broken, LastFull: full,
		LastLost: &repl.LostFollower{
			Peer: peer(3, "rome", "[2001:db8::3]:7000"), At: now.Add(-1500 * time.Millisecond), Behind: 1000, Left: true,
			Why: "repl: serve [2001:db8::3]:7000 (rome): peer is closed",
		},
	}
	follower := repl.Status{
		Time: now, ID: repl.NodeID{2}, Name: "berlin", Priority: 0, Role: repl.RoleReplica, Position: at,
		Refusing: "repl: READONLY: writes go to the master; this node follows 10.0.0.1:7000",
		Lineage:  backlog.Lineage{Current: h2}, Window: backlog.Window{First: 5000, End: 5000, Max: -1},
		Followers: []repl.FollowerStatus{}, Counters: repl.Counters{Refusals: map[backlog.Refusal]int64{}},
	}
	up := repl.UpstreamStatus{
		Addr: "10.0.0.1:7000", Peer: repl.Peer{ID: repl.NodeID{1}, Name: "paris", Addr: "10.0.0.1:7000", Upstream: true},
		State: repl.LinkStreaming, Synced: true, Behind: 50, Linked: true, Age: 1200 * time.Millisecond, Stale: true, LastIO: 2700 * time.Millisecond, Partials: 1, Fulls: 1, Attempts: 2,
		LastFull: full, LastPartial: nil, Progress: repl.Progress{Keys: 100, KeysTotal: 100, Bytes: 12_000, BytesTotal: 12_000, Shards: 8, ShardsTotal: 8},
		Read: 13_000, Compression: rdb.S2, ReadPlain: 39_000, ClockSkew: -25 * time.Millisecond,
	}
	copying, down := up, up
	copying.State, copying.Synced, copying.Down, copying.Behind, copying.LastIO = repl.LinkCopying, false, 3*time.Second, 0, 100*time.Millisecond
	copying.Outages, copying.OutageTime = 2, 10*time.Second
	copying.LastOutage = &repl.Outage{Began: now.Add(-3 * time.Second), Took: 3 * time.Second, Why: "repl: follow 10.0.0.1:7000 (paris): peer timed out"}
	copying.Progress = repl.Progress{Keys: 25, KeysTotal: 100, Bytes: 3000, BytesTotal: 12_000, Shards: 2, ShardsTotal: 8}
	down.State, down.Synced, down.Down, down.LastIO, down.Behind = repl.LinkDown, false, -1, -1, 0
	down.LastError, down.NextTry, down.LastFull = "repl: dial 10.0.0.1:7000: connection refused", 250*time.Millisecond, nil
	down.LastErrorAt = now.Add(-50 * time.Millisecond)
	with := func(u repl.UpstreamStatus) repl.Status { s := follower; s.Upstream = &u; return s }
	return map[string]repl.Status{"master": master, "streaming": with(up), "copying": with(copying), "down": with(down)}
}

// TestInfoGolden fixes the text, name by name.
func TestInfoGolden(t *testing.T) {
	for name, s := range statuses() {
		info := s.Info()
		if strings.Count(info, "\n") != strings.Count(info, "\r\n") || !strings.HasSuffix(info, "\r\n") {
			t.Errorf("%s: lines do not end in \\r\\n", name)
		}
		golden(t, "info_"+name+".txt", []byte(strings.ReplaceAll(info, "\r\n", "\n")))
	}
}

// TestInfoIsDocumented: every name that Info writes, of a line or in a list, stands in its
// documentation.
func TestInfoIsDocumented(t *testing.T) {
	source, err := os.ReadFile("info.go")
	if err != nil {
		t.Fatal(err)
	}
	doc, _, _ := strings.Cut(string(source), "func (s Status) Info()")
	words := make(map[string]bool)
	for _, w := range regexp.MustCompile(`[a-z_0-9N]+`).FindAllString(doc, -1) {
		words[w] = true
	}
	number := regexp.MustCompile(`slave[0-9]+`)
	for of, s := range statuses() {
		for line := range strings.Lines(s.Info()) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
			if name == "" || name[0] == '#' {
				continue
			}
			name = number.ReplaceAllString(name, "slaveN")
			for _, sync := range []string{"_last_full_", "_last_partial_"} {
				if before, after, ok := strings.Cut(name, sync); ok && words[before+sync] {
					name = after
				}
			}
			names := []string{name}
			if strings.HasSuffix(name, "slaveN") {
				for pair := range strings.SplitSeq(value, ",") {
					key, _, _ := strings.Cut(pair, "=")
					names = append(names, key)
				}
			}
			for _, n := range names {
				if !words[n] {
					t.Errorf("%s: nothing is said of %s, in %q", of, n, line)
				}
			}
		}
	}
}

// TestStatusGolden fixes the JSON, and reads it back.
func TestStatusGolden(t *testing.T) {
	for name, s := range statuses() {
		text, err := json.MarshalIndent(s, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		golden(t, "status_"+name+".json", append(text, '\n'))
		var back repl.Status
		if err := json.Unmarshal(text, &back); err != nil || !reflect.DeepEqual(back, s) {
			t.Errorf("%s: %v; read back\n%+v\nwant\n%+v", name, err, back, s)
		}
	}
}

// TestStatusWords: what is no word of a status is not read as one.
func TestStatusWords(t *testing.T) {
	for _, bad := range []string{
		`{"role":"slave"}`, `{"role":""}`, `{"id":"cafe"}`, `{"id":"` + strings.Repeat("x", 32) + `"}`,
		`{"followers":[{"state":"online"}]}`, `{"upstream":{"state":"up"}}`, `{"last_full":{"state":"done"}}`,
		`{"counters":{"refusals":{"bad luck":1}}}`,
	} {
		var s repl.Status
		if err := json.Unmarshal([]byte(bad), &s); err == nil {
			t.Errorf("%s was read as %+v", bad, s)
		}
	}
	for _, s := range []fmt.Stringer{repl.Role(9), repl.FollowerState(9), repl.LinkState(9), repl.SyncState(9)} {
		if got, want := s.String(), strings.TrimPrefix(fmt.Sprintf("%T(9)", s), "repl."); got != want {
			t.Errorf("%T is %q", s, got)
		}
	}
}

// TestInfoKeepsToItsLines: a peer that names itself like a line of the text adds
// none, nor a pair to a list.
func TestInfoKeepsToItsLines(t *testing.T) {
	const evil = "x\r\nrole:master\n\u2028,state=online,\x00\xff="
	clean := statuses()["master"]
	s := statuses()["master"]
	s.Name, s.Group, s.Announce = evil, evil, evil
	s.LastFull.Peer.Name, s.LastPartial.Error = evil, evil
	for i := range s.Followers {
		p := &s.Followers[i].Peer
		p.Name, p.Addr, p.Listen = evil, evil, evil
	}
	up := statuses()["down"]
	up.Upstream.Addr, up.Upstream.Peer.Name, up.Upstream.LastError = evil, evil, evil
	for _, pair := range [][2]string{{s.Info(), clean.Info()}, {up.Info(), statuses()["down"].Info()}} {
		evil, clean := strings.Split(pair[0], "\r\n"), strings.Split(pair[1], "\r\n")
		if len(evil) != len(clean) {
			t.Fatalf("%d lines, want %d:\n%s", len(evil), len(clean), pair[0])
		}
		for i, line := range evil {
			name, value, _ := strings.Cut(line, ":")
			cleanName, cleanValue, _ := strings.Cut(clean[i], ":")
			if name != cleanName || !utf8.ValidString(line) || strings.ContainsAny(line, "\r\n\x00\u2028") {
				t.Errorf("line %q where there was %q", line, clean[i])
			}
			if strings.Contains(name, "slave") && strings.Count(value, ",") != strings.Count(cleanValue, ",") {
				t.Errorf("line %q has other pairs than %q", line, clean[i])
			}
		}
	}
}

// FuzzStatus reads a status from JSON of any kind. What is read can be written and
// read again, and its text keeps to its form.
func FuzzStatus(f *testing.F) {
	for _, s := range statuses() {
		text, err := json.Marshal(s)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var s, again repl.Status
		if json.Unmarshal(text, &s) != nil {
			return
		}
		written, err := json.Marshal(s)
		if err != nil {
			return // a year of five digits
		}
		if err := json.Unmarshal(written, &again); err != nil {
			t.Errorf("%s: %v", written, err)
		}
		for line := range strings.SplitSeq(strings.TrimSuffix(s.Info(), "\r\n"), "\r\n") {
			if line != "" && !strings.HasPrefix(line, "# ") && !strings.Contains(line, ":") || strings.ContainsAny(line, "\r\n") {
				t.Errorf("line %q", line)
			}
		}
	})
}

// fields reads the first section of Info.
func fields(info string) map[string]string {
	m := make(map[string]string)
	section, _, _ := strings.Cut(info, "\r\n\r\n")
	for line := range strings.SplitSeq(section, "\r\n") {
		if name, value, ok := strings.Cut(line, ":"); ok {
			m[name] = value
		}
	}
	return m
}

// shows fails t unless the text has these fields; an empty value stands for a
// field that must not be there.
func shows(t *testing.T, when, info string, want map[string]string) {
	t.Helper()
	got := fields(info)
	for name, value := range want {
		if got[name] != value {
			t.Errorf("%s: %s is %q, want %q", when, name, got[name], value)
		}
	}
}

// TestInfoThroughALife follows the fields of both ends from before the first
// connection to after the last.
func TestInfoThroughALife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, a, b := repltest.NewNetwork(1), newLedger(nil), newLedger(nil)
		fill(t, a, "k", 100)
		end := fmt.Sprint(a.Log().End())
		slowly(a, 100*time.Millisecond)
		r, err := repl.NewReplica(b, "10.0.0.1:7000", seeded(t, &repl.Options{Name: "below", Transport: net.Host("b"), Priority: -1}))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { r.Close() })
		always := map[string]string{"role": "slave", "master_host": "10.0.0.1", "master_port": "7000",
			"slave_read_only": "1", "slave_priority": "0", "connected_slaves": "0"}
		never := map[string]string{"master_link_status": "down", "master_last_io_seconds_ago": "-1", "master_link_down_since_seconds": "-1",
			"master_sync_in_progress": "0", "master_sync_perc": "", "slave_repl_offset": "0", "repl_backlog_histlen": "0",
			"master_replid2": strings.Repeat("0", 32), "second_repl_offset": "-1"}
		shows(t, "before Run", r.Status().Info(), always)
		shows(t, "before Run", r.Status().Info(), never)

		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go r.Run(ctx)
		time.Sleep(10 * time.Second)
		shows(t, "with nobody there", r.Status().Info(), never)
		if s := r.Status().Upstream; s.LastError == "" || s.Attempts < 2 {
			t.Errorf("with nobody there: %+v", s)
		}

		m := master(t, a, net.Host("a"), "10.0.0.1:7000", &repl.Options{Name: "top"})
		eventually(t, func() bool { return r.Status().Upstream.State == repl.LinkCopying }, func() string { return r.Status().Info() })
		time.Sleep(350 * time.Millisecond)
		info := r.Status().Info()
		shows(t, "copying", info, map[string]string{"master_link_status": "down", "master_last_io_seconds_ago": "-1", "master_sync_in_progress": "1",
			"master_link_down_since_seconds": "-1", "master_sync_last_io_seconds_ago": "0"})
		if fields(info)["master_sync_read_bytes"] == "0" {
			t.Errorf("copying, and nothing is here:\n%s", info)
		}
		if line := fields(m.Status().Info())["slave0"]; !strings.Contains(line, "state=send_bulk,offset=0,lag=0,") {
			t.Errorf("copying: slave0 is %q", line)
		}

		synced(t, m, a, r)
		up := map[string]string{"master_link_status": "up", "master_last_io_seconds_ago": "0", "master_link_down_since_seconds": "",
			"master_sync_in_progress": "0", "master_sync_perc": "", "slave_repl_offset": end, "master_repl_offset": end,
			"master_replid": a.Log().Position().History.String()}
		shows(t, "online", r.Status().Info(), up)
		shows(t, "online", m.Status().Info(), map[string]string{"role": "master", "connected_slaves": "1", "slave_priority": "",
			"master_link_status": "", "master_replid": a.Log().Position().History.String(), "master_repl_offset": end,
			"repl_backlog_active": "1", "repl_backlog_first_byte_offset": "1", "repl_backlog_histlen": end})

		// The acks are lost: the lag grows until the master gives the link up.
		time.Sleep(time.Until(time.Now().Truncate(time.Second).Add(1050 * time.Millisecond)))
		net.Link("a", "b").Refuse()
		net.Link("b", "a").OneWay().Blackhole()
		for lag := range 3 {
			if line := fields(m.Status().Info())["slave0"]; !strings.Contains(line, fmt.Sprintf("state=online,offset=%s,lag=%d,", end, lag)) {
				t.Errorf("%d s without an ack: slave0 is %q", lag, line)
			}
			time.Sleep(time.Second)
		}
		shows(t, "given up", m.Status().Info(), map[string]string{"connected_slaves": "0", "slave0": ""})
		for since := range 3 {
			shows(t, "cut", r.Status().Info(), map[string]string{"master_link_status": "down", "master_last_io_seconds_ago": "-1",
				"master_link_down_since_seconds": fmt.Sprint(since), "slave_repl_offset": end})
			time.Sleep(time.Second)
		}

		net.HealAll()
		synced(t, m, a, r)
		shows(t, "back", r.Status().Info(), up)
		cancel()
		synctest.Wait()
		shows(t, "after Run", r.Status().Info(), map[string]string{"master_link_status": "down", "master_last_io_seconds_ago": "-1",
			"master_link_down_since_seconds": "0", "slave_repl_offset": end})
	})
}

// TestInfoOfAChain: a node in the middle shows both sides.
func TestInfoOfAChain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, a, b, c := repl.NewMemory(), newLedger(nil), newLedger(nil), newLedger(nil)
		fill(t, a, "k", 10)
		m := master(t, a, net, "a:1", nil)
		rb := replica(t, b, net, "a:1", &repl.Options{Name: "middle", Announce: "10.0.0.2:7000"})
		serve(t, rb, net, "b:1")
		synced(t, m, a, rb)
		rc := replica(t, c, net, "b:1", &repl.Options{Name: "end"})
		caughtUp(t, rc, c, a)
		time.Sleep(10 * time.Millisecond)
		end := fmt.Sprint(a.Log().End())
		shows(t, "top", m.Status().Info(), map[string]string{"slave0": "ip=10.0.0.2,port=7000,state=online,offset=" + end + ",lag=0,type=replica"})
		shows(t, "middle", rb.Status().Info(), map[string]string{"role": "slave", "master_host": "a", "master_port": "1", "connected_slaves": "1",
			"slave0": "ip=b,port=0,state=online,offset=" + end + ",lag=0,type=replica", "replica_announced": "1", "repl_backlog_active": "1"})
		shows(t, "end", rc.Status().Info(), map[string]string{"master_host": "b", "connected_slaves": "0", "replica_announced": "0",
			"slave_repl_offset": end, "slave_read_repl_offset": end})
	})
}
