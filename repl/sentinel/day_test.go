package sentinel_test

import (
	"errors"
	"flag"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/repl"
	"github.com/emberkv/ember/repl/repltest"
	"github.com/emberkv/ember/repl/sentinel"
)

// A day, as the checks have it, takes three minutes of a processor. A week on demand takes some twenty:
//
//	go test -run TestLongRoundTrips -timeout 2h ./repl/sentinel -sentinel.time 168h
var dayTime = flag.Duration("sentinel.time", someTime, "how long, in virtual time, a group with long round trips is watched")

// Where round trips take half of DownAfter, no master is replaced and no write is refused;
// where they take nine tenths, no master is replaced.
func TestLongRoundTrips(t *testing.T) {
	for _, c := range []struct {
		name  string
		trip  float64 // of DownAfter
		write bool
	}{
		{"half", 0.5, true},
		{"nine tenths", 0.9, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if *dayTime > time.Hour {
				t.Parallel()
			}
			synctest.Test(t, func(t *testing.T) {
				w := newTown(t, repltest.Star("a", "b", "c"), 3, sentinel.Options{DownAfter: 8 * time.Second}) // with a poll a second
				w.settle()
				way := time.Duration(c.trip * float64(w.downAfter()) / 2)
				w.Network.SetDelay(way, 0)
				time.Sleep(10 * w.downAfter()) // what was under way before is over
				begun, refused := time.Now(), 0
				for time.Since(begun) < *dayTime {
					time.Sleep(1713*time.Millisecond + 11*time.Microsecond)
					switch err := w.Member("a").Machine().Set("key", []byte("value")); {
					case errors.Is(err, repl.ErrNoLease) && !c.write:
						refused++
					case err != nil:
						t.Fatalf("after %v: %v\n%s", time.Since(begun), err, w)
					}
				}
				for _, s := range w.guards {
					for _, k := range []sentinel.EventKind{sentinel.EventODown, sentinel.EventTryFailover, sentinel.EventSwitchMaster} {
						if len(s.seen(k)) > 0 {
							t.Errorf("%s tells %v\n%s", s.name, k, w)
						}
					}
				}
				t.Logf("%v in virtual time, %d writes refused", time.Since(begun), refused)
			})
		})
	}
}
