package sentinel

import (
	"reflect"
	"testing"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/repl"
)

func id(b byte) repl.NodeID { return repl.NodeID{15: b} }

func testReign(b byte, counter uint64) Reign {
	return Reign{
		Epoch:   backlog.Epoch{Counter: counter, Node: id(b)},
		History: backlog.History{1, b}, ID: id(b), Name: "paris", Addr: "10.0.0.1:7000",
	}
}

func testState() *state {
	return &state{
		Epoch: 7, Reign: testReign(1, 6), Down: true, Leading: 7, Known: 3, Addr: "10.0.0.9:9000",
		Peers: []contact{{id(11), "10.0.0.8:9000"}, {id(12), ""}},
		Nodes: []contact{{id(1), "10.0.0.1:7000"}, {id(2), "10.0.0.2:7000"}},
	}
}

func testMemory() *memory {
	return &memory{
		group: "shop", id: id(10), ballot: ballot{epoch: 7, votedIn: 5, votedFor: id(11)}, hold: 1500 * time.Millisecond, reign: testReign(1, 6),
		peers: []contact{{id(11), "10.0.0.8:9000"}}, nodes: []contact{{id(1), "10.0.0.1:7000"}},
	}
}

// codecs are all messages, each with a body and with how it is read, to be compared with
// want, and written again.
func codecs() []codec {
	a, w := ask{7, testReign(1, 6).Epoch, true}, who{testReign(1, 6).Epoch, "10.0.0.1:7000", 20 * time.Second}
	r := reply{To: 7, Epoch: 8, Verdict: notYet, Known: 3, Wait: 1500 * time.Microsecond}
	n := &notice{Epoch: 7, Reign: testReign(1, 6), Name: "s1", Addr: "10.0.0.9:9000"}
	return []codec{
		{"state", testState().append(nil), testState(), readAs(parseState, (*state).append)},
		{"empty state", (&state{Known: 1}).append(nil), &state{Known: 1}, readAs(parseState, (*state).append)},
		{"ask", a.append(nil), a, readAs(parseAsk, ask.append)},
		{"reply", r.append(nil), r, readAs(parseReply, reply.append)},
		{"who", w.append(nil), w, readAs(parseWho, who.append)},
		{"master", appendMaster(nil, testReign(1, 6)), testReign(1, 6), readAs(parseMaster, func(r Reign, b []byte) []byte { return appendMaster(b, r) })},
		{"no master", appendMaster(nil, Reign{}), Reign{}, readAs(parseMaster, func(r Reign, b []byte) []byte { return appendMaster(b, r) })},
		{"notice", n.append(nil), n, readAs(parseNotice, (*notice).append)},
		{"memory", testMemory().append(nil), testMemory(), readAs(parseMemory, (*memory).append)},
	}
}

type codec struct {
	name string
	body []byte
	want any
	read func([]byte) (value any, again []byte, err error)
}

func readAs[T any](parse func([]byte) (T, error), write func(T, []byte) []byte) func([]byte) (any, []byte, error) {
	return func(b []byte) (any, []byte, error) {
		v, err := parse(b)
		if err != nil {
			return nil, nil, err
		}
		return v, write(v, nil), nil
	}
}

func TestMessagesArriveAsTheyWereSent(t *testing.T) {
	for _, c := range codecs() {
		got, _, err := c.read(c.body)
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s arrives as %+v, %v; want %+v", c.name, got, err, c.want)
		}
	}
}
