package backlog_test

import (
	"testing"

	"github.com/emberkv/ember/backlog"
)

// TestForkIsNoticed: whoever waits for records hears of a new history, once,
// whether it began before or during the wait.
func TestForkIsNoticed(t *testing.T) {
	forks := map[string]func(*testing.T, *backlog.Log){
		"fork": func(_ *testing.T, l *backlog.Log) { l.Fork(backlog.NewHistory()) },
		"raise": func(_ *testing.T, l *backlog.Log) {
			l.Raise(l.Lineage().Epoch.Next([16]byte{1}))
		},
		"extend": func(t *testing.T, l *backlog.Log) {
			if err := l.Extend(l.Lineage().Fork(backlog.NewHistory(), l.End())); err != nil {
				t.Fatal(err)
			}
		},
	}
	for name, fork := range forks {
		t.Run(name, func(t *testing.T) {
			l := backlog.NewLog(nil)
			r, err := l.NewReader(0)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			noticed := func(want bool, when string) {
				t.Helper()
				select {
				case <-r.Ready():
					if !want {
						t.Errorf("%s: woken for nothing", when)
					}
				default:
					if want {
						t.Errorf("%s: not woken", when)
					}
				}
			}
			noticed(false, "before")
			fork(t, l) // the reader is parked
			noticed(true, "parked")
			if b, err := r.Next(l.End()); b != nil || err != nil {
				t.Fatal(b, err)
			}
			noticed(false, "known to Next, parked again")
			r.Close() // not parked from here on: Ready itself has to look
			fork(t, l)
			if b, err := r.Next(l.End()); b != nil || err != nil {
				t.Fatal(b, err)
			}
			noticed(false, "known to Next")
			r.Close()
			fork(t, l)
			noticed(true, "between Next and Ready")
		})
	}
}
