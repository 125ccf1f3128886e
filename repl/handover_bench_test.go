package repl_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/emberkv/ember/repl"
)

// BenchmarkHandover hands the writing to and fro between two nodes on loopback that have
// nothing else to do. What one takes, writers are held up at most.
func BenchmarkHandover(b *testing.B) {
	var nodes [2]*repl.Node
	var names [2]string
	for i := range nodes {
		ln, err := repl.TCP{}.Listen("127.0.0.1:0")
		if err != nil {
			b.Fatal(err)
		}
		names[i] = fmt.Sprint("node", i)
		o := &repl.Options{Name: names[i], Announce: ln.Addr().String()}
		if i == 0 {
			m, err := repl.NewMaster(newLedger(nil), o)
			if err != nil {
				b.Fatal(err)
			}
			nodes[i] = m.Node()
		} else {
			r, err := repl.NewReplica(newLedger(nil), nodes[0].Status().Announce, o)
			if err != nil {
				b.Fatal(err)
			}
			nodes[i] = r.Node()
		}
		go nodes[i].Serve(ln)
		go nodes[i].Run(context.Background())
		b.Cleanup(func() { nodes[i].Close() })
	}
	ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
	defer cancel()
	at := 0
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		for s := nodes[at].Status(); len(s.Followers) == 0 || !s.Followers[0].Online; s = nodes[at].Status() {
			if ctx.Err() != nil {
				b.Fatal("no follower")
			}
		}
		master, err := nodes[at].Master()
		if err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		if _, err := master.Handover(ctx, names[1-at]); err != nil {
			b.Fatal(err)
		}
		at = 1 - at
	}
}
