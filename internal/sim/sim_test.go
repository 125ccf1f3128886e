package sim_test

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/internal/leakcheck"
)

var (
	oneSeed   = flag.Int64("sim.seed", -1, "run this seed alone, and tell what happens")
	seeds     = flag.Int("sim.seeds", 4, "how many seeds to run")
	firstSeed = flag.Int64("sim.first", 1, "the first of them")
	simulated = flag.Duration("sim.time", time.Hour, "how long a run is, in virtual time")
)

func TestMain(m *testing.M) { leakcheck.Main(m) }

// TestSim runs one hour for each seed.
//
// One processor does, and makes a seed repeat (see [repltest.New]): to use more, run
// several processes with seeds of their own.
func TestSim(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	if *oneSeed >= 0 {
		hour(t, uint64(*oneSeed))
		return
	}
	begun := time.Now()
	run := append(pastSeeds(t), make([]uint64, 0, *seeds)...)
	for i := range *seeds {
		run = append(run, uint64(*firstSeed)+uint64(i))
	}
	for _, seed := range run {
		if !t.Run(fmt.Sprint(seed), func(t *testing.T) { hour(t, seed) }) {
			t.Errorf("seed %d fails; go test ./internal/sim -v -sim.seed %d repeats it", seed, seed)
		}
	}
	t.Logf("%d runs of %v, %v each", len(run), *simulated, time.Since(begun)/time.Duration(len(run)))
}

// pastSeeds returns those of testdata/seeds.txt: one a line, with what it has found.
func pastSeeds(t *testing.T) (past []uint64) {
	f, err := os.Open("testdata/seeds.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		number, _, _ := strings.Cut(lines.Text(), " ")
		if number == "" || number == "#" {
			continue
		}
		seed, err := strconv.ParseUint(number, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		past = append(past, seed)
	}
	return past
}

// hour runs one seed and returns its trace.
func hour(t *testing.T, seed uint64) (trace uint64) {
	repeatable(t, seed)
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, seed)
		w.settle() // the first copies
		for w.elapsed() < *simulated {
			w.episode()
			w.settle()
		}
		w.group.Close() // a goroutine that is left is a deadlock of the bubble
		trace = w.group.Network.Trace()
		waits := w.ledger.waits()
		w.tally.check(t, waits, *simulated)
		w.say("%s; %d waits; trace %x", &w.tally, waits, trace)
	})
	return trace
}
