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
	seeds     = flag.Int("sim.seeds", someSeeds, "how many seeds to run")
	firstSeed = flag.Int64("sim.first", 1, "the first of them")
	simulated = flag.Duration("sim.time", someTime, "how long a run is, in virtual time; the floors are for an hour or more")
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
	all := pastSeeds(t)
	for i := range *seeds {
		all = append(all, uint64(*firstSeed)+uint64(i))
	}
	for _, seed := range all {
		if !t.Run(fmt.Sprint(seed), func(t *testing.T) { hour(t, seed) }) {
			t.Errorf("seed %d fails; go test ./internal/sim -v -sim.seed %d repeats it", seed, seed)
		}
	}
	t.Logf("%d runs of %v, %v each", len(all), *simulated, time.Since(begun)/time.Duration(len(all)))
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

// hour runs one seed for as long as the flag says.
func hour(t *testing.T, seed uint64) { run(t, seed, *simulated) }

// run runs one seed and returns its trace.
func run(t *testing.T, seed uint64, lasts time.Duration) (trace uint64) {
	repeatable(t, seed)
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, seed)
		w.settle() // the first copies
		for w.elapsed() < lasts {
			w.episode()
			w.settle()
		}
		w.group.Close() // a goroutine that is left is a deadlock of the bubble
		trace = w.group.Network.Trace()
		waits := w.ledger.waits()
		if lasts >= time.Hour {
			w.tally.check(t, waits, lasts)
		}
		w.say("%s; %d waits; trace %x", &w.tally, waits, trace)
	})
	return trace
}
