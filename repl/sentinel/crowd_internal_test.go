package sentinel

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/emberkv/ember/repl"
)

// crowd returns a view of a master and n replicas, all of which are linked to this sentinel, and say
// this of their links to the node before them: the master, or in a chain the replica before.
func crowd(n int, state repl.LinkState, chained bool) *view {
	now := time.Now()
	master := reportOf(1, repl.RoleMaster, epochOf(1, 1), 1)
	v := watched(now, master)
	for i := range n {
		r := reportOf(2, repl.RoleReplica, epochOf(1, 1), 1)
		binary.BigEndian.PutUint32(r.ID[1:], uint32(i))
		r.Name = fmt.Sprintf("10.0.%d.%d:7000", i/256, i%256)
		r.Upstream = repl.UpstreamReport{ID: master.ID, Addr: master.Name, State: state}
		if chained && i > 0 {
			r.Upstream.Addr = fmt.Sprintf("10.0.%d.%d:7000", (i-1)/256, (i-1)%256)
			r.Upstream.ID = repl.NodeID{2}
			binary.BigEndian.PutUint32(r.Upstream.ID[1:], uint32(i-1))
		}
		v.add(r.ID, now).linked = true
		v.heard(r, r.Name, now, now)
		v.nodes[r.ID].silentSince = time.Time{}
	}
	v.told = nil
	return v
}

// BenchmarkCrowd is a turn's look at a thousand replicas: whose master is there, whose master does not
// answer, so that each is looked for by the address that it dials, and in the longest chain that there may be.
func BenchmarkCrowd(b *testing.B) {
	for _, c := range []struct {
		name    string
		state   repl.LinkState
		chained bool
	}{
		{"streaming", repl.LinkStreaming, false},
		{"connecting", repl.LinkConnecting, false},
		{"chain", repl.LinkStreaming, true},
		{"chain connecting", repl.LinkConnecting, true},
	} {
		b.Run(c.name, func(b *testing.B) {
			v, now := crowd(1000, c.state, c.chained), time.Now()
			b.ReportAllocs()
			for b.Loop() {
				v.judge(now)
				v.compare(now)
			}
		})
	}
}

// TestChains: a node that is looked at together with others is judged as if it were looked at alone, in
// whatever ways nodes follow each other: in trees, in rings, and behind those.
func TestChains(t *testing.T) {
	now, random := time.Now(), rand.New(rand.NewPCG(1, 2))
	states := []repl.LinkState{repl.LinkStreaming, repl.LinkDown}
	led, astray := 0, 0
	for round := range 500 {
		reports := []*repl.Report{reportOf(1, repl.RoleMaster, epochOf(2, 1), 2, 1)}
		for id := byte(2); id <= 7; id++ {
			r := reportOf(id, repl.RoleReplica, epochOf(2, 1), 2, 1)
			if random.IntN(10) == 0 {
				r = reportOf(id, repl.RoleMaster, epochOf(1, id), 1)
			} else if up := byte(1 + random.IntN(8)); up < 8 { // 8 is nobody
				r.Upstream = repl.UpstreamReport{ID: repl.NodeID{up}, Addr: string('a' + rune(up) - 1), State: states[random.IntN(2)]}
			}
			reports = append(reports, r)
		}
		v := watched(now, reports...)
		v.nodes[repl.NodeID{byte(2 + random.IntN(6))}].downSince = now
		all := v.chains()
		for _, n := range v.inOrder()[1:] {
			want := leadsAlone(v, n)
			if got := all.leads(n); got != want {
				t.Errorf("round %d: %s leads is %v, want %v", round, n.name, got, want)
			}
			if want {
				led++
			} else {
				astray++
			}
		}
	}
	if led < 500 || astray < 500 {
		t.Errorf("%d are led, and %d astray", led, astray)
	}
}

// leadsAlone is what chains.leads says of n, found out step by step.
func leadsAlone(v *view, n *node) bool {
	up := v.chains().upstream(n)
	if up == nil || up.id != v.reign.ID && (up.report.Role == repl.RoleMaster || up.down()) {
		return false
	}
	for range len(v.nodes) {
		if up == nil || up.report.Role == repl.RoleMaster {
			return true
		}
		up = v.chains().upstream(up)
	}
	return false
}
