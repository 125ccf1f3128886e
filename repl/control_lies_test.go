package repl_test

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/repl"
)

// TestAskersThatLie: whatever comes on a control link that does not belong there ends it, and costs
// the node nothing else.
func TestAskersThatLie(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := repl.NewMemory()
		newMember(t, net, "a", "", supervised)
		server(t, net, "s", repl.ControlOptions{}, echo)
		for _, addr := range []string{"a", "s"} {
			for kind := range byte(32) {
				if kind == msgRequest {
					continue
				}
				p := ask(t, net, addr, 1)
				p.send(kind, []byte("body"))
				if k, body, err := p.await(msgReply, msgNews); err == nil {
					t.Errorf("%s: kind %d is answered with %d %q", addr, kind, k, body)
				}
			}
			for name, body := range map[string][]byte{
				"nothing":              nil,
				"a ping with a number": requestBody(1, 0, nil),
				"no number":            requestBody(0, 1, pollBody(false, 0, 0, 0, "")),
				"no such question":     requestBody(1, 4, nil),
				"a long poll":          requestBody(1, 1, make([]byte, 3000)),
				"a long order":         requestBody(1, 2, make([]byte, 3000)),
				"a long call":          requestBody(1, 3, make([]byte, repl.MaxCallBytes+1)),
			} {
				p := ask(t, net, addr, 1)
				p.send(msgRequest, requestBody(0, 0, nil))
				p.await(msgReply)
				p.send(msgRequest, body)
				if code := p.drain(); code != 6 && name != "a long call" {
					t.Errorf("%s: %s is refused with %d", addr, name, code)
				}
			}
		}
		for name, body := range map[string][]byte{
			"a poll without an end":  requestBody(1, 1, pollBody(false, 0, 0, 0, "")[:2]),
			"a poll with more":       requestBody(1, 1, append(pollBody(false, 0, 0, 0, ""), 0)),
			"a grant for a year":     requestBody(1, 1, pollBody(true, 1, int64(365*24*time.Hour), 1, "")),
			"a grant for ever":       requestBody(1, 1, pollBody(true, 1, -1, 1, "")),
			"a grant that none need": requestBody(1, 1, pollBody(true, 1, 1, 0, "")),
			"a long notice":          requestBody(1, 1, pollBody(false, 0, 0, 0, string(make([]byte, 1025)))),
			"an order of no kind":    requestBody(1, 2, orderBody(3, 1, "", repl.NodeID{})),
			"an order of no epoch":   requestBody(1, 2, orderBody(0, 0, "", repl.NodeID{})),
			"an order to nowhere":    requestBody(1, 2, orderBody(1, 1, "", repl.NodeID{})),
		} {
			p := ask(t, net, "a", 1)
			p.send(msgRequest, body)
			if code := p.drain(); code != 6 {
				t.Errorf("%s is refused with %d", name, code)
			}
		}
		if r := poll(t, control(t, net, "a", 2), nil); r.Role != repl.RoleMaster || r.Lease.Granted != 0 || len(r.Notices) != 0 {
			t.Errorf("after all that: %+v", r)
		}
	})
}

// TestStrangeControls: what a stranger says in place of Control, and what he is answered.
func TestStrangeControls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := repl.NewMemory()
		newMember(t, net, "a", "")
		newMember(t, net, "guarded", "", func(o *repl.Options) { o.Secrets = []repl.Secret{keyA} })
		server(t, net, "s", repl.ControlOptions{}, echo)
		good := controlBody(1, "")
		version, nobody := bytes.Clone(good), bytes.Clone(good)
		version[0], version[1] = 7, 9
		copy(nobody[3:], make([]byte, 16))
		for _, c := range []struct {
			addr string
			kind byte
			body []byte
			code byte // of the refusal; 0 for no answer at all
		}{
			{"a", msgControl, version, 1}, {"s", msgControl, version, 1},
			{"a", msgControl, controlBody(1, "other"), 2}, {"s", msgControl, controlBody(1, "other"), 2},
			{"a", msgControl, nobody, 0}, {"a", msgControl, nil, 0}, {"a", msgControl, good[:20], 0},
			{"a", msgControl, append(bytes.Clone(good), 0), 0}, {"a", msgControl, make([]byte, 1025), 0},
			{"a", msgRequest, requestBody(0, 0, nil), 0}, {"a", msgReply, nil, 0}, {"a", msgNews, nil, 0},
			{"s", msgHello, someone(7).body(), 0}, {"s", msgRequest, requestBody(0, 0, nil), 0},
			{"guarded", msgControl, good, 0}, {"s", msgChallenge, make([]byte, 35), 0},
		} {
			p := call(t, net, c.addr)
			p.Write([]byte(wireMagic))
			p.send(c.kind, c.body)
			answer, err := io.ReadAll(p)
			if c.code == 0 && len(answer) > 0 || c.code != 0 && (len(answer) < 25 || answer[8] != msgRefuse || answer[24] != c.code) {
				t.Errorf("%s, kind %d, %q: %q, %v; want code %d", c.addr, c.kind, c.body, answer, err, c.code)
			}
		}
	})
}

// TestAskedThatLie: an end that answers by hand what nobody would ends the link of who asks, with an
// error that has a name.
func TestAskedThatLie(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := repl.NewMemory()
		done := make([]byte, 9)
		done[0] = 1
		for name, c := range map[string]struct {
			kind byte
			body []byte
			want error
		}{
			"nothing":                    {msgReply, nil, repl.ErrProtocol},
			"a reply to nobody":          {msgReply, requestBody(5, 0, nil), repl.ErrProtocol},
			"an empty report":            {msgReply, done, repl.ErrProtocol},
			"a report of noise":          {msgReply, requestBody(1, 0, bytes.Repeat([]byte{0xa5}, 300)), repl.ErrProtocol},
			"a report that is long":      {msgReply, requestBody(1, 0, make([]byte, repl.MaxReportBytes+1)), repl.ErrLimit},
			"a refusal of nothing known": {msgReply, requestBody(1, 99, []byte("so there")), repl.ErrFailed},
			"a refusal that is long":     {msgReply, requestBody(1, 1, make([]byte, 513)), repl.ErrProtocol},
			"a request":                  {msgRequest, requestBody(0, 0, nil), repl.ErrProtocol},
			"a heartbeat":                {msgHeartbeat, beatBody(1, 0, 0), repl.ErrProtocol},
			"news with a body":           {msgNews, []byte{1}, repl.ErrLimit},
			"a farewell":                 {msgRefuse, []byte{8}, repl.ErrPeerClosed},
		} {
			upstream(t, net, name, func(n int, p *peer) {
				p.readMagic()
				p.await(msgControl)
				p.Write([]byte(wireMagic))
				p.send(msgControl, controlBody(9, ""))
				p.await(msgRequest) // the ping
				p.await(msgRequest)
				p.send(c.kind, c.body)
				io.Copy(io.Discard, p)
			})
			asker := control(t, net, name, 1)
			if r, err := asker.Poll(t.Context(), nil); !errors.Is(err, c.want) {
				t.Errorf("%s: %+v, %v, want %v", name, r, err, c.want)
			}
			if c.want != repl.ErrFailed {
				<-asker.Done()
			}
			asker.Close()
		}
		for name, body := range map[string][]byte{
			"an answer of no version": append([]byte{1, 3}, controlBody(9, "")[2:]...),
			"an answer of nobody":     make([]byte, 40),
			"an answer of another":    controlBody(9, "other"),
		} {
			upstream(t, net, name, func(n int, p *peer) {
				p.readMagic()
				p.await(msgControl)
				p.Write([]byte(wireMagic))
				p.send(msgControl, body)
				io.Copy(io.Discard, p)
			})
			if _, err := repl.DialControl(t.Context(), name, &repl.ControlOptions{Transport: net}); !errors.Is(err, repl.ErrProtocol) && !errors.Is(err, repl.ErrGroup) && !errors.Is(err, repl.ErrVersion) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

// TestFloodOfCalls: a peer that calls and reads no answers keeps a bounded number of handlers busy.
func TestFloodOfCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := repl.NewMemory()
		s := server(t, net, "s", repl.ControlOptions{}, echo)
		p := ask(t, net, "s", 1)
		sent := 0
		for ; sent < 10_000; sent++ {
			p.SetWriteDeadline(time.Now().Add(time.Second))
			if p.send(msgRequest, requestBody(uint64(sent+1), 3, make([]byte, repl.MaxCallBytes))) != nil {
				break
			}
		}
		if sent > 3*repl.MaxRequests {
			t.Errorf("%d calls were taken of one who reads no answers", sent)
		}
		if answer, err := control(t, net, "s", 2).Call(t.Context(), []byte("x")); string(answer) != "x" || err != nil {
			t.Errorf("beside a flood: %q, %v", answer, err)
		}
		s.Close()
	})
}
