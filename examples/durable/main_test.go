package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/emberkv/ember/internal/leakcheck"
	"github.com/emberkv/ember/kv"
)

// TestMain makes the test's executable the program itself when it is started as a node.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == nodeArgument {
		main()
	}
	leakcheck.Main(m)
}

// TestKills kills real processes at random moments, under each policy. It proves that what
// was written is there, and that they go on from it; what a disk does with what was not
// synced is for the model of package faultfs to show.
func TestKills(t *testing.T) {
	kills := 20
	if testing.Short() {
		kills = 4
	}
	for _, policy := range []kv.Fsync{kv.FsyncAlways, kv.FsyncEverySecond, kv.FsyncNever} {
		t.Run(policy.String(), func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			c := config{fsync: policy, kills: kills, life: 100 * time.Millisecond, dir: t.TempDir()}
			if err := run(t.Context(), &out, c); err != nil {
				t.Fatalf("%v, after\n%s", err, &out)
			}
			if n := strings.Count(out.String(), " is back with "); n != kills || !strings.Contains(out.String(), "Both have the same") {
				t.Errorf("%d restarts:\n%s", n, &out)
			}
			t.Log("\n" + out.String())
		})
	}
}
