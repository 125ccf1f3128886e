//go:build go1.26

package repl_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/cryptotest"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/repl"
)

// A tape is what went over the wire between a master and its replica, frame by frame, and what
// was done to the two meanwhile, as text:
//
//	= put k v      the master writes
//	= link         the replica connects
//	> 8945...      the follower says this, < the upstream; a magic or a frame
//	= sleep 1s     both have this time
//	= cut          the connection breaks
//	= fork         the master begins a new history
//	= at 1234 7    what both have come to: the log's end and the number of entries
//
// The tapes in testdata were made once and are played to the present code, which has to say
// the same to the last bit. So what one of them tests is not that two nodes of today
// understand each other, but that one of today and one of then do, whichever follows which.
//
// A test that fails here has found that the wire format has changed. If that is meant, and a
// version with the old format has been released, it takes a new version of the protocol: the
// old tape stays, and a new one comes beside it. As long as none has, or when only what is
// done is another (the lines with "="), the tapes are made anew:
//
//	go test ./repl -run TestSessionTapes -update
type tape []string

// tapeScript is what happens on each of them: a full copy, the log, heartbeats, a partial
// resync, and a new history in passing.
const tapeScript = `
put k0 zero
put k1 one
put k2 two
put k3 three
put k4 four
link
put k5 five
put k1 again
sleep 1s
sleep 1s
cut
put k6 six
put k7 seven
link
sleep 1s
fork
put k8 eight
sleep 1s
`

// TestSessionTapes plays each tape to a replica and to a master of the present code.
func TestSessionTapes(t *testing.T) {
	t.Setenv("GODEBUG", "cryptocustomrand=0") // else keys are random by one byte that is read or not
	for name, secrets := range map[string][]repl.Secret{
		"session.tape":        nil,
		"session_sealed.tape": {"a secret that is as old as the tape"},
	} {
		file := filepath.Join("testdata", name)
		if *update {
			var made tape
			synctest.Test(t, func(t *testing.T) { made = newDeck(t, secrets, true, true).record(tapeScript) })
			if err := os.WriteFile(file, []byte(strings.Join(made, "\n")+"\n"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		lines := tape(strings.Split(strings.TrimSpace(string(text)), "\n"))
		t.Run(name+"/replica", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { newDeck(t, secrets, false, true).play(lines) })
		})
		t.Run(name+"/master", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { newDeck(t, secrets, true, false).play(lines) })
		})
	}
}

// A deck plays a tape to a master or to a replica, or records one of both. It stands between
// the two ends and passes on one frame at a time, when both have come to rest.
type deck struct {
	t       *testing.T
	net     *repl.Memory
	ln      net.Listener // that the replica dials
	sealed  bool
	links   int
	master  *ledger // nil if its part is played
	replica *ledger
	above   *tap // the connection to the master
	below   *tap // and to the replica
}

// newDeck returns a deck with the ends that are to be there. All that is random is fixed.
func newDeck(t *testing.T, secrets []repl.Secret, above, below bool) *deck {
	d := &deck{t: t, net: repl.NewMemory(), sealed: secrets != nil}
	options := func(id byte) *repl.Options {
		return &repl.Options{ID: repl.NodeID{id}, Name: fmt.Sprint("node ", id), Group: "tape", Announce: fmt.Sprintf("10.0.0.%d:7000", id),
			Transport: d.net, Security: repl.Security{Secrets: secrets}}
	}
	if above {
		d.master = tapeLedger(1)
		master(t, d.master, d.net, "master", options(1))
	}
	if below {
		var err error
		if d.ln, err = d.net.Listen("upstream"); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { d.ln.Close() })
		d.replica = tapeLedger(2)
	}
	d.seed()
	if below {
		replica(t, d.replica, d.net, "upstream", options(2))
	}
	t.Cleanup(d.cut)
	return d
}

// tapeLedger returns an empty ledger of a history that is always the same.
func tapeLedger(id byte) *ledger {
	l := newLedger(nil)
	l.log = backlog.NewLogAt(backlog.Lineage{Current: backlog.History{id}}, 0, nil)
	l.log.Claim()
	return l
}

// seed fixes the key of whoever shakes hands next: first the follower's, then the upstream's.
func (d *deck) seed() {
	d.links++
	cryptotest.SetGlobalRandom(d.t, uint64(d.links))
}

// record carries out the script and returns what came of it.
func (d *deck) record(script string) (made tape) {
	for step := range strings.Lines(strings.TrimSpace(script)) {
		step = strings.TrimSpace(step)
		made = append(made, "= "+step)
		d.do(step)
		for {
			synctest.Wait()
			if raw := d.below.next(); raw != nil {
				made = append(made, "> "+d.text(raw))
				d.above.say(d.t, raw)
			} else if raw := d.above.next(); raw != nil {
				made = append(made, "< "+d.text(raw))
				d.below.say(d.t, raw)
			} else {
				break
			}
		}
	}
	same(d.t, d.master, d.replica)
	return append(made, fmt.Sprintf("= at %d %d", d.master.Log().End(), d.master.Len()))
}

// play says one side of the tape to the end that is there, and compares what that says with
// the other.
func (d *deck) play(lines tape) {
	d.t.Helper()
	for i, line := range lines {
		op, text, _ := strings.Cut(line, " ")
		end, says := d.below, op == ">"
		if d.master != nil {
			end, says = d.above, op == "<"
		}
		synctest.Wait()
		switch {
		case op == "=":
			d.do(text)
		case says:
			if got := d.text(end.next()); got != text {
				d.t.Fatalf("line %d: it says\n%s\nwhere the tape has\n%s", i+1, got, text)
			}
		default:
			raw, err := hex.DecodeString(text[:strings.IndexByte(text, ' ')])
			if err != nil {
				d.t.Fatal(err)
			}
			end.say(d.t, raw)
		}
	}
	synctest.Wait()
	for _, end := range []*tap{d.below, d.above} {
		if raw := end.next(); raw != nil {
			d.t.Errorf("at the end it says more: %s", d.text(raw))
		}
	}
}

// do carries out a step, as far as it is about the ends that are there.
func (d *deck) do(step string) {
	words := strings.Fields(step)
	switch words[0] {
	case "put":
		if d.master != nil {
			d.master.put(words[1], words[2])
		}
	case "fork":
		if d.master != nil {
			epoch := d.master.Log().Lineage().Epoch
			d.master.Log().Begin(backlog.History{3}, epoch.Next(repl.NodeID{1}))
		}
	case "sleep":
		pause, err := time.ParseDuration(words[1])
		if err != nil {
			d.t.Fatal(err)
		}
		time.Sleep(pause)
	case "link":
		d.link()
	case "cut":
		d.seed() // the replica dials at once
		d.cut()
	case "at":
		d.check(words[1], words[2])
	default:
		d.t.Fatalf("no such step: %s", step)
	}
}

// link connects the ends that are there.
func (d *deck) link() {
	if d.replica != nil {
		conn, err := d.ln.Accept()
		if err != nil {
			d.t.Fatal(err)
		}
		d.below = newTap(conn)
	}
	synctest.Wait() // the follower has its key
	d.seed()
	if d.master != nil {
		conn, err := d.net.Dial(context.Background(), "master")
		if err != nil {
			d.t.Fatal(err)
		}
		d.above = newTap(conn)
	}
}

func (d *deck) cut() {
	for _, end := range []*tap{d.below, d.above} {
		if end != nil {
			end.Close()
			<-end.over
		}
	}
}

// check compares what came of it.
func (d *deck) check(end, entries string) {
	for _, l := range []*ledger{d.master, d.replica} {
		if l == nil {
			continue
		}
		if at, n := strconv.FormatInt(l.Log().End(), 10), strconv.Itoa(l.Len()); at != end || n != entries {
			d.t.Errorf("it ends at %s with %s entries, then at %s with %s", at, n, end, entries)
		}
	}
}

// text returns a frame as a line of a tape, with the name of its kind.
func (d *deck) text(raw []byte) string {
	switch {
	case raw == nil:
		return "nothing"
	case len(raw) == len(wireMagic):
		return fmt.Sprintf("%x magic", raw)
	}
	sealed := ""
	if d.sealed && raw[0] != msgChallenge && raw[0] != msgProof {
		sealed = ", sealed"
	}
	return fmt.Sprintf("%x %s%s", raw, kindNames(d.t)[raw[0]], sealed)
}

// A tap is one connection of the deck. What comes is gathered, and taken frame by frame.
type tap struct {
	net.Conn
	over chan struct{}

	mu   sync.Mutex
	came bytes.Buffer
	told bool // the magic is taken
	tag  int  // bytes behind the body of a sealed frame
}

func newTap(conn net.Conn) *tap {
	p := &tap{Conn: conn, over: make(chan struct{})}
	go func() {
		defer close(p.over)
		buf := make([]byte, 4096)
		for {
			n, err := conn.Read(buf)
			p.mu.Lock()
			p.came.Write(buf[:n])
			p.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	return p
}

// next takes the next frame that has come, or returns nil.
func (p *tap) next() []byte {
	if p == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	size := len(wireMagic)
	if p.told {
		if p.came.Len() < 16 {
			return nil
		}
		size = 16 + p.tag + int(p.came.Bytes()[4]) + int(p.came.Bytes()[5])<<8
	}
	if p.came.Len() < size {
		return nil
	}
	raw := bytes.Clone(p.came.Next(size))
	if p.told && raw[0] == msgProof {
		p.tag = 16
	}
	p.told = true
	return raw
}

func (p *tap) say(t *testing.T, raw []byte) {
	if p == nil {
		return
	}
	if _, err := p.Write(raw); err != nil {
		t.Fatalf("the link is closed: %v", err)
	}
}
