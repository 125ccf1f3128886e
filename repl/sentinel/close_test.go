package sentinel_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/repl"
	"github.com/emberkv/ember/repl/repltest"
	"github.com/emberkv/ember/repl/sentinel"
)

// Close ends everything, whatever is under way; after it all methods say so, and Status tells
// what was known in the end.
func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t, repltest.Star("a", "b"), 2, sentinel.Options{})
		w.settle()
		s := w.guards[0]
		last := s.Status()
		for range 2 {
			if err := s.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		}
		if st := s.Status(); st.Master != last.Master || len(st.Nodes) != 2 || len(st.Sentinels) != 1 {
			t.Errorf("in the end it knew %d nodes, %d sentinels and %v", len(st.Nodes), len(st.Sentinels), st.Master)
		}
		if len(s.seen(sentinel.EventUnmonitor)) != 1 {
			t.Error("it has not told that it was closed")
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, quorum := s.CheckQuorum()
		ln, err := w.Network.Host("s1").Listen("s1")
		if err != nil {
			t.Fatal(err)
		}
		for what, err := range map[string]error{
			"Reset": s.Reset(), "CheckQuorum": quorum, "Failover": s.Failover(ctx), "Handover": s.Handover(ctx, repl.NodeID{1}),
			"Serve": s.Serve(ln), "SetSecrets": s.SetSecrets([]repl.Secret{repl.NewSecret()}),
		} {
			if !errors.Is(err, sentinel.ErrClosed) {
				t.Errorf("%s returns %v, want ErrClosed", what, err)
			}
		}
	})
}

// A sentinel can be closed while it dials, while the master is down, and in the midst of a failover.
func TestCloseAtAnyTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for after := time.Duration(0); after < 3*time.Second; after += 211 * time.Millisecond {
			w := newTown(t, repltest.Star("a", "b"), 2, sentinel.Options{})
			time.Sleep(1500 * time.Millisecond)
			w.Network.Around("a").Blackhole()
			time.Sleep(after)
			for _, s := range w.guards {
				begun := time.Now()
				s.Close()
				if took := time.Since(begun); took > 100*time.Millisecond {
					t.Errorf("%v after the master was cut off it takes %v to close", after, took)
				}
			}
			w.Close()
		}
	})
}

// What a sentinel knows goes through JSON and back.
func TestStatusJSON(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t, repltest.Star("a", "b"), 2, sentinel.Options{})
		w.settle()
		text, err := json.Marshal(w.guards[0].Status())
		if err != nil {
			t.Fatal(err)
		}
		var read sentinel.Status
		if err := json.Unmarshal(text, &read); err != nil {
			t.Fatal(err)
		}
		again, err := json.Marshal(read)
		if err != nil || string(again) != string(text) {
			t.Errorf("read back as %s, %v, was %s", again, err, text)
		}
	})
}

func TestOptionsAreChecked(t *testing.T) {
	long := string(make([]byte, 300))
	for _, c := range []struct {
		field string
		opts  *sentinel.Options
	}{
		{"len(Monitor)", nil},
		{"len(Monitor)", &sentinel.Options{}},
		{"Monitor[1]", &sentinel.Options{Monitor: []string{"a", ""}}},
		{"Monitor[0]", &sentinel.Options{Monitor: []string{long}}},
		{"Name", &sentinel.Options{Monitor: []string{"a"}, Name: long}},
		{"Group", &sentinel.Options{Monitor: []string{"a"}, Group: long}},
		{"Quorum", &sentinel.Options{Monitor: []string{"a"}, Quorum: -1}},
		{"Quorum", &sentinel.Options{Monitor: []string{"a"}, Quorum: 65}},
		{"DownAfter", &sentinel.Options{Monitor: []string{"a"}, DownAfter: time.Millisecond}},
		{"DownAfter", &sentinel.Options{Monitor: []string{"a"}, DownAfter: 2 * time.Hour}},
		{"FailoverTimeout", &sentinel.Options{Monitor: []string{"a"}, FailoverTimeout: time.Millisecond}},
		{"ParallelSyncs", &sentinel.Options{Monitor: []string{"a"}, ParallelSyncs: -1}},
		{"MinHeard", &sentinel.Options{Monitor: []string{"a"}, MinHeard: -1}},
		{"ForgetAfter", &sentinel.Options{Monitor: []string{"a"}, ForgetAfter: time.Millisecond}},
		{"Announce", &sentinel.Options{Monitor: []string{"a"}, Announce: long}},
	} {
		s, err := sentinel.New(c.opts)
		var wrong *repl.OptionError
		if !errors.As(err, &wrong) || wrong.Field != c.field {
			t.Errorf("%s: New returns %v", c.field, err)
		}
		if err == nil {
			s.Close()
		}
	}
}

// TestClientOptionsAreChecked before anybody is dialled, by each of the three that a client has.
func TestClientOptionsAreChecked(t *testing.T) {
	long := string(make([]byte, 300))
	for _, c := range []struct {
		field, group string
		opts         *sentinel.ClientOptions
	}{
		{"Name", "", &sentinel.ClientOptions{Name: long}},
		{"Group", long, nil},
		{"Timeout", "", &sentinel.ClientOptions{Timeout: -1}},
		{"len(Secrets[0])", "", &sentinel.ClientOptions{Security: repl.Security{Secrets: []repl.Secret{repl.Secret("short")}}}},
	} {
		_, resolved := sentinel.Resolve(t.Context(), []string{"a"}, c.group, c.opts)
		_, dialled := sentinel.NewTransport([]string{"a"}, c.group, c.opts)
		errs := []error{resolved, dialled}
		for _, err := range sentinel.Switches(t.Context(), []string{"a"}, c.group, c.opts) {
			errs = append(errs, err)
			if len(errs) > 3 {
				break
			}
		}
		for _, err := range errs {
			var wrong *repl.OptionError
			if len(errs) != 3 || !errors.As(err, &wrong) || wrong.Field != c.field {
				t.Errorf("%s: %v", c.field, err)
			}
		}
	}
}
