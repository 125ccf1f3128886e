package repl_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/repl"
)

func TestSmoke(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, a, b := repl.NewMemory(), newLedger(nil), newLedger(nil)
		fill(t, a, "k", 10)
		o := &repl.Options{Security: repl.Security{Secrets: []repl.Secret{repl.NewSecret()}}}
		m := master(t, a, net, "a", o)
		r := replica(t, b, net, "a", o)
		synced(t, m, a, r)
		same(t, a, b)
		time.Sleep(time.Minute)
		if s := r.Status().Upstream; s.Attempts != 1 || !s.Sealed || s.Secret != 1 {
			t.Errorf("%+v", s)
		}
	})
}
