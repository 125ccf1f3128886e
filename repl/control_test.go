package repl_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/repl"
	"github.com/emberkv/ember/repl/repltest"
)

// control dials addr as a sentinel with the id {id}.
func control(t testing.TB, net repl.Transport, addr string, id byte, change ...func(*repl.ControlOptions)) *repl.Control {
	t.Helper()
	o := &repl.ControlOptions{ID: repl.NodeID{0xc, id}, Name: fmt.Sprint("sentinel", id), Transport: net}
	for _, f := range change {
		f(o)
	}
	c, err := repl.DialControl(t.Context(), addr, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// poll returns the node's report.
func poll(t testing.TB, c *repl.Control, p *repl.Poll) *repl.Report {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r, err := c.Poll(ctx, p)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestPoll: a report says what the node is, whom it follows and who follows it.
func TestPoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := repl.NewMemory()
		a := newMember(t, net, "a", "")
		c := control(t, net, "a", 1)
		if p := c.Peer(); p.ID != a.node.ID() || p.Name != "a" || p.Sentinel || p.Listen != "a" {
			t.Errorf("%+v answers", p)
		}
		empty := poll(t, c, nil)
		if empty.HasData || !empty.Ready || empty.Role != repl.RoleMaster || empty.Supervised || empty.Lease.Armed || !empty.Initial {
			t.Errorf("an empty master says %+v", empty)
		}
		fill(t, a.ledger, "k", 10)
		b := newMember(t, net, "b", "a", func(o *repl.Options) { o.Priority, o.Announce = -1, "b" })
		level(t, a, b)
		synctest.Wait()

		r := poll(t, c, &repl.Poll{})
		if r.ID != a.node.ID() || r.Name != "a" || r.Announce != "a" || r.Priority != repl.DefaultPriority || r.Life != empty.Life || r.Stamp == empty.Stamp {
			t.Errorf("the master says %+v", r)
		}
		if r.Position != a.Log().Position() || !reflect.DeepEqual(r.Lineage, a.Log().Lineage()) || r.Heard != r.Lineage.Epoch || !r.HasData || r.Upstream != (repl.UpstreamReport{}) {
			t.Errorf("the master says %+v", r)
		}
		if len(r.Followers) != 1 || r.Followers[0] != (repl.FollowerReport{ID: b.node.ID(), Name: "b", Addr: "b", Online: true, Applied: r.Position.Offset}) {
			t.Errorf("its followers: %+v", r.Followers)
		}
		r = poll(t, control(t, net, "b", 1), nil)
		if r.Role != repl.RoleReplica || r.Priority != 0 || !r.Synced || !r.Ready || r.Initial || r.Life == empty.Life ||
			r.Upstream != (repl.UpstreamReport{ID: a.node.ID(), Addr: "a", State: repl.LinkStreaming}) {
			t.Errorf("the replica says %+v", r)
		}
		a.node.Close()
		time.Sleep(time.Second)
		r = poll(t, control(t, net, "b", 1), nil)
		if r.Upstream.State == repl.LinkStreaming || r.Upstream.Down < time.Second || r.Synced || !r.Ready {
			t.Errorf("the replica of a dead master says %+v", r)
		}
		if err := c.Err(); !errors.Is(err, repl.ErrPeerClosed) {
			t.Errorf("the link to the master ended with %v", err)
		}
	})
}

// TestBoard: sentinels read what the others have posted, whoever posts and whoever reads
// first, for a minute beyond the end of their links, and no more than there is room for.
func TestBoard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := repl.NewMemory()
		newMember(t, net, "a", "")
		one := control(t, net, "a", 1, func(o *repl.ControlOptions) { o.Announce = "s1" })
		two := control(t, net, "a", 2)
		if r := poll(t, one, &repl.Poll{Notice: []byte("I am one")}); len(r.Notices) != 0 {
			t.Errorf("one reads %+v", r.Notices)
		}
		poll(t, one, &repl.Poll{}) // leaves it
		r := poll(t, two, &repl.Poll{Notice: []byte("I am two")})
		if len(r.Notices) != 1 || r.Notices[0].ID != (repl.NodeID{0xc, 1}) || r.Notices[0].Addr != "s1" || string(r.Notices[0].Body) != "I am one" {
			t.Errorf("two reads %+v", r.Notices)
		}
		poll(t, one, &repl.Poll{Notice: []byte("I am one still")})
		one.Close()
		time.Sleep(59 * time.Second)
		if r := poll(t, two, nil); len(r.Notices) != 1 || string(r.Notices[0].Body) != "I am one still" {
			t.Errorf("59 s later two reads %+v", r.Notices)
		}
		time.Sleep(2 * time.Second)
		if r := poll(t, two, nil); len(r.Notices) != 0 {
			t.Errorf("61 s later two reads %+v", r.Notices)
		}
		for i := range byte(60) { // one after the other, so that there are links to spare
			c := control(t, net, "a", 10+i)
			poll(t, c, &repl.Poll{Notice: []byte{i}})
			c.Close()
		}
		r = poll(t, two, nil)
		if len(r.Notices) != 32 || r.Notices[0].Body[0] != 28 {
			t.Errorf("of 60 notices two reads %d, from %v on", len(r.Notices), r.Notices[0].Body)
		}
	})
}

// server answers calls at addr.
func server(t testing.TB, net repl.Transport, addr string, o repl.ControlOptions, handle repl.CallHandler) *repl.ControlServer {
	t.Helper()
	s, err := repl.NewControlServer(&o, handle)
	if err != nil {
		t.Fatal(err)
	}
	serve(t, s, net, addr)
	t.Cleanup(func() { s.Close() })
	return s
}

// TestCalls: bytes go to the program at the other end, and come back, each to whoever has asked.
func TestCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := repl.NewMemory()
		var ended atomic.Int32
		s := server(t, net, "s", repl.ControlOptions{Name: "s"}, func(ctx context.Context, from repl.Peer, body []byte) ([]byte, error) {
			switch string(body) {
			case "wait":
				<-ctx.Done()
				ended.Add(1)
				return nil, ctx.Err()
			case "busy":
				return nil, fmt.Errorf("not now: %w", repl.ErrBusy)
			case "no":
				return nil, errors.New("I will not")
			case "much":
				return make([]byte, repl.MaxCallBytes+1), nil
			}
			return append(body, from.Name...), nil
		})
		c := control(t, net, "s", 1)
		if !c.Peer().Sentinel || c.Peer().Name != "s" || c.Peer().Listen != "s" {
			t.Errorf("%+v answers", c.Peer())
		}
		waiting, cancel := context.WithCancel(t.Context())
		var late sync.WaitGroup
		for range repl.MaxRequests / 2 {
			late.Go(func() {
				if _, err := c.Call(waiting, []byte("wait")); err != context.Canceled {
					t.Errorf("a call that was given up: %v", err)
				}
			})
		}
		var all sync.WaitGroup
		for i := range 200 {
			all.Go(func() {
				body := bytes.Repeat([]byte{byte(i)}, i*300)
				if answer, err := c.Call(t.Context(), body); err != nil || string(answer) != string(body)+"sentinel1" {
					t.Errorf("call %d: %d bytes, %v", i, len(answer), err)
				}
			})
		}
		all.Wait()
		cancel()
		late.Wait()
		for say, want := range map[string]error{"busy": repl.ErrBusy, "no": repl.ErrFailed, "much": repl.ErrLimit, strings.Repeat("x", repl.MaxCallBytes+1): repl.ErrLimit} {
			if _, err := c.Call(t.Context(), []byte(say)); !errors.Is(err, want) {
				t.Errorf("%.10s: %v, want %v", say, err, want)
			}
		}
		if _, err := c.Poll(t.Context(), nil); !errors.Is(err, repl.ErrNotAsked) {
			t.Errorf("a poll of no node: %v", err)
		}
		if err := c.Order(t.Context(), &repl.Order{Epoch: 1}); !errors.Is(err, repl.ErrNotAsked) {
			t.Errorf("an order to no node: %v", err)
		}
		s.Close()
		if n := ended.Load(); n != repl.MaxRequests/2 {
			t.Errorf("%d handlers have ended with the server", n)
		}
		<-c.Done()
		if _, err := c.Call(t.Context(), nil); err == nil || c.Err() == nil {
			t.Errorf("a call on a link that has ended: %v, %v", err, c.Err())
		}
	})
}

// TestControlIsRefused: who may not have a link, and what each end is told.
func TestControlIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := repl.NewMemory()
		a := newMember(t, net, "a", "", func(o *repl.Options) { o.Group = "prod" })
		newMember(t, net, "guarded", "", func(o *repl.Options) { o.Secrets = []repl.Secret{keyA} })
		server(t, net, "s", repl.ControlOptions{ID: repl.NodeID{9}, MaxLinks: 2}, echo)
		for name, c := range map[string]struct {
			addr string
			opts repl.ControlOptions
			want error
		}{
			"nobody there":      {"x", repl.ControlOptions{}, nil},
			"another group":     {"a", repl.ControlOptions{Group: "test"}, repl.ErrGroup},
			"the same id":       {"a", repl.ControlOptions{Group: "prod", ID: a.node.ID()}, repl.ErrCycle},
			"itself":            {"s", repl.ControlOptions{ID: repl.NodeID{9}}, repl.ErrCycle},
			"no secret":         {"guarded", repl.ControlOptions{}, nil},
			"the wrong secret":  {"guarded", repl.ControlOptions{Security: repl.Security{Secrets: []repl.Secret{keyB}}}, repl.ErrAuth},
			"one secret only":   {"s", repl.ControlOptions{Security: repl.Security{Secrets: []repl.Secret{keyB}}}, nil},
			"an option too bad": {"a", repl.ControlOptions{Timeout: time.Millisecond}, repl.ErrOption},
		} {
			c.opts.Transport = net
			_, err := repl.DialControl(t.Context(), c.addr, &c.opts)
			if link := (*repl.LinkError)(nil); err == nil || !errors.Is(err, c.want) && c.want != nil || c.want != repl.ErrOption && !errors.As(err, &link) {
				t.Errorf("%s: %v, want %v", name, err, c.want)
			}
		}
		if o := a.node.Status().Counters; o.Handshakes != 2 {
			t.Errorf("a has turned away %d", o.Handshakes)
		}
		control(t, net, "s", 1)
		two := control(t, net, "s", 1) // of the same id: both are served
		if _, err := repl.DialControl(t.Context(), "s", &repl.ControlOptions{Transport: net}); !errors.Is(err, repl.ErrBusy) {
			t.Errorf("a third link: %v", err)
		}
		two.Close()
		time.Sleep(time.Millisecond)
		control(t, net, "s", 3)
		good := control(t, net, "guarded", 1, func(o *repl.ControlOptions) { o.Secrets = []repl.Secret{keyB, keyA} })
		if r := poll(t, good, nil); r.Name != "guarded" {
			t.Errorf("behind a secret: %+v", r)
		}
		if _, err := repl.NewControlServer(nil, nil); !errors.Is(err, repl.ErrOption) {
			t.Errorf("a server without a handler: %v", err)
		}
	})
}

func echo(_ context.Context, _ repl.Peer, body []byte) ([]byte, error) { return body, nil }

// TestControlLivesAndDies: a link on which nobody asks stays up; one whose other end is silent does
// not, at either end; and a node takes a newer link in place of an older one of the same id.
func TestControlLivesAndDies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := repltest.NewNetwork(1)
		defer net.Close()
		net.SetDelay(300*time.Millisecond, 0)
		a := newMember(t, net.Host("a"), "a", "")
		c := control(t, net.Host("s"), "a", 1, func(o *repl.ControlOptions) { o.Timeout = time.Second })
		time.Sleep(10 * time.Minute)
		if err := c.Err(); err != nil {
			t.Fatalf("after ten minutes of silence: %v", err)
		}
		var busy sync.WaitGroup
		begun := time.Now()
		for range 3 * repl.MaxRequests {
			busy.Go(func() { poll(t, c, nil) })
		}
		busy.Wait()
		if took := time.Since(begun); took > 1900*time.Millisecond {
			t.Errorf("%d polls took %v, with round trips of 600 ms and %d under way", 3*repl.MaxRequests, took, repl.MaxRequests)
		}
		newer := control(t, net.Host("s"), "a", 1, func(o *repl.ControlOptions) { o.Timeout = time.Second })
		<-c.Done()
		if err := c.Err(); !errors.Is(err, repl.ErrReplaced) {
			t.Errorf("the older link ended with %v", err)
		}
		poll(t, newer, nil)
		begun = time.Now()
		net.Around("s").HalfOpen()
		<-newer.Done()
		if took := time.Since(begun); took > 1700*time.Millisecond || !errors.Is(newer.Err(), repl.ErrTimeout) {
			t.Errorf("a dead link ended after %v: %v", took, newer.Err())
		}
		time.Sleep(3 * time.Second)
		if s := a.node.Status().Supervision.Askers; len(s) != 0 {
			t.Errorf("the node still serves %+v", s)
		}
	})
}

// TestNews: whoever watches a node hears at once of a change of its role or of its upstream link,
// and not twice of what was not looked at.
func TestNews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := repl.NewMemory()
		a := newMember(t, net, "a", "")
		b := newMember(t, net, "b", "a")
		level(t, a, b)
		ca, cb := control(t, net, "a", 1), control(t, net, "b", 1)
		time.Sleep(time.Second)
		select {
		case <-ca.News():
			t.Error("news where nothing happens")
		default:
		}
		begun := time.Now()
		b.promote(t)
		<-cb.News()
		if took := time.Since(begun); took > 10*time.Millisecond || poll(t, cb, nil).Role != repl.RoleMaster {
			t.Errorf("news of the promotion after %v", took)
		}
		a.follow(t, "b")
		<-ca.News()
		if poll(t, ca, nil).Role != repl.RoleReplica {
			t.Error("a is no replica")
		}
	})
}
