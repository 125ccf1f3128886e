package repl_test

import (
	"context"
	"errors"
	"io"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/kv"
	"github.com/emberkv/ember/rdb"
	"github.com/emberkv/ember/repl"
)

const (
	msgParted byte = 20
	msgTail   byte = 21
)

// A mending is what an upstream by hand has to send for the repair of a replica's tail.
type mending struct {
	who    identity
	fork   int64
	sum    backlog.Sum
	blocks []*rdb.Block
	footer rdb.Footer
	log    []byte // from the fork on

	instead func(p *peer) // of all that comes behind Tail; nil for that
}

// send plays the upstream's part, up to the end of the log that it has.
func (m *mending) send(p *peer) error {
	p.send(msgHeartbeat, beatBody(1, m.who.end, 1))
	sum, _ := m.sum.AppendBinary(int64s(m.fork))
	p.send(msgParted, sum)
	_, tail, err := p.await(msgTail)
	if err != nil {
		return err
	}
	if tail[0] != 0 {
		return errors.New(string(tail[1:]))
	}
	if m.instead != nil {
		m.instead(p)
		return nil
	}
	for _, b := range m.blocks {
		p.send(msgBlock, rdb.AppendBlock(nil, b))
	}
	p.send(msgSyncEnd, footerBody(m.footer))
	if len(m.log) > 0 {
		p.send(msgLog, logBody(m.fork, m.log))
	}
	return nil
}

// mend makes a replica with a tail, and lets an upstream by hand repair it, as change has
// it; on later links as it should be. It returns what that was told on each link.
func mend(t *testing.T, change func(m *mending)) (s *kv.Store, before, after kv.Digest, told, ends []error, r *repl.Replica) {
	old, now := kv.New(nil), kv.New(nil)
	t.Cleanup(func() { old.Close(); now.Close() })
	old.Set("both", []byte("1"))
	now.Log().Adopt(backlog.NewLogAt(old.Log().Lineage(), 0, nil))
	now.Set("both", []byte("1"))
	m := mending{fork: old.Position().Offset}
	now.Log().Fork(backlog.NewHistory())
	old.Set("both", []byte("lost"))
	old.Set("lost", []byte("1"))
	now.Set("kept", []byte("2"))
	keys, _, _, err := old.Tail(m.fork, 10, 1000)
	if err != nil {
		t.Fatal(err)
	}
	m.footer, _ = now.State(keys, 1000, func(b *rdb.Block) error { m.blocks = append(m.blocks, b); return nil })
	m.sum, _ = now.Log().Sum(m.fork)
	reader, _ := now.Log().NewReader(m.fork)
	m.log, _ = reader.Next(now.Log().End())
	m.log = slices.Clone(m.log)
	m.who = someone(8)
	m.who.end, m.who.lineage = now.Log().End(), now.Log().Lineage()

	net, answers := repl.NewMemory(), make(chan error, 100)
	upstream(t, net, "a", func(n int, p *peer) {
		with := m
		if n == 0 {
			change(&with)
		}
		p.welcome(m.who)
		answers <- with.send(p)
		io.Copy(io.Discard, p)
	})
	before, _ = old.Digest()
	after, _ = now.Digest()
	if r, err = repl.NewReplica(old, "a", seeded(t, &repl.Options{Transport: net, Events: repl.Events{
		Disconnected: func(_ repl.Peer, err error) { ends = append(ends, err) },
	}})); err != nil {
		t.Fatal(err)
	}
	go r.Run(context.Background())
	t.Cleanup(func() { r.Close() })
	time.Sleep(2 * time.Second)
	synctest.Wait()
	for len(answers) > 0 {
		told = append(told, <-answers)
	}
	return old, before, after, told, ends, r
}

// TestLiesInARepair: an upstream that breaks the rules in a repair is cut off, with an error
// that says why and the data as they were. One whose state does not come out is asked for a
// full copy next time.
func TestLiesInARepair(t *testing.T) {
	for name, c := range map[string]struct {
		lie   func(m *mending)
		want  error
		asked bool // for a repair again
	}{
		"none":                  {func(m *mending) {}, nil, false},
		"a fork beyond":         {func(m *mending) { m.fork++ }, repl.ErrProtocol, true},
		"a sum of something":    {func(m *mending) { m.sum.From = m.fork + 1 }, repl.ErrProtocol, true},
		"another sum":           {func(m *mending) { m.footer.Sum++ }, repl.ErrDiverged, false},
		"no state":              {func(m *mending) { m.blocks = nil }, repl.ErrDiverged, false},
		"a state twice":         {func(m *mending) { m.blocks = append(m.blocks, m.blocks...) }, repl.ErrDiverged, false},
		"entries of other keys": {func(m *mending) { m.blocks = append(m.blocks, &rdb.Block{Count: 1, Data: record("x", "y")}) }, repl.ErrDiverged, false},
		"another history":       {func(m *mending) { m.footer.Position.History[0]++ }, repl.ErrProtocol, true},
		"a state before":        {func(m *mending) { m.footer.Position.Offset = m.fork - 1 }, repl.ErrProtocol, true},
		"log without an end":    {func(m *mending) { m.footer.Position.Offset += 1 << 40 }, repl.ErrLimit, true},
		"a gap in the log":      {func(m *mending) { m.fork, m.log = m.fork+1, m.log[1:] }, repl.ErrProtocol, true},
		"log that does not fit": {func(m *mending) { m.log = slices.Concat(m.log[:1], m.log[2:], []byte{0}) }, repl.ErrDiverged, false},
		"half a record":         {func(m *mending) { m.footer.Position.Offset-- }, repl.ErrDiverged, false},
		"a state in the middle": {func(m *mending) { m.blocks[0].Data = m.blocks[0].Data[1:] }, repl.ErrDiverged, false},
		"more state than agreed": {func(m *mending) {
			m.blocks = slices.Repeat([]*rdb.Block{{Count: 1, Data: record("both", string(make([]byte, 1<<20)))}}, 65)
		}, repl.ErrLimit, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			s, before, after, told, ends, r := mend(t, c.lie)
			d, err := s.Digest()
			up := r.Status().Upstream
			if c.want == nil {
				if err != nil || d != after || len(told) != 1 || up.LastPartial.RepairedKeys != 2 {
					t.Errorf("%s: %+v, %v, want %+v; told %v", name, d, err, after, told)
				}
				return
			}
			if len(told) < 2 || up.Attempts < 2 {
				t.Fatalf("%s: %d links; %+v", name, len(told), up)
			}
			if !errors.Is(ends[0], c.want) {
				t.Errorf("%s: %v, want %v", name, ends[0], c.want)
			}
			if c.asked && (d != after || told[1] != nil) || !c.asked && (d != before || told[1] == nil) {
				t.Errorf("%s: then told %v; %+v, before %+v, should be %+v", name, told, d, before, after)
			}
		})
	}
}

// TestFollowersLieInARepair: a master that is asked for nonsense serves others as before.
func TestFollowersLieInARepair(t *testing.T) {
	for name, c := range map[string]struct {
		tails [][]byte
		want  byte // of what comes then
	}{
		"what it should be":  {[][]byte{append(append([]byte{0}, 1, 0, 0, 0), "\x01k"...)}, msgSyncEnd},
		"no keys":            {[][]byte{append([]byte{0}, 0, 0, 0, 0)}, msgSyncEnd},
		"unknown keys":       {[][]byte{append(append([]byte{0}, 1, 0, 0, 0), "\x03xyz"...)}, msgSyncEnd},
		"none, and a reason": {[][]byte{append([]byte{1}, "no"...)}, msgFullSync},
		"none without":       {[][]byte{{1}}, 0},
		"nothing":            {[][]byte{{}}, 0},
		"malformed keys":     {[][]byte{append(append([]byte{0}, 1, 0, 0, 0), "\x09k"...)}, msgFullSync},
		"another form":       {[][]byte{append([]byte{2}, "k"...)}, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			net := repl.NewMemory()
			a := newStand(t, net, "a", "", nil)
			setOn(t, a, "k", "1")
			fork := a.store.Log().End()
			before := a.store.Log().Lineage()
			a.store.Log().Fork(backlog.NewHistory())
			setOn(t, a, "k", "2")
			who := someone(9)
			who.end, who.lineage, who.heard = fork+10, before, before.Epoch
			conn, err := net.Dial(t.Context(), "a")
			if err != nil {
				t.Fatal(err)
			}
			p := &peer{Conn: conn}
			defer p.Close()
			p.Write([]byte(wireMagic))
			p.send(msgHello, who.body())
			if err := p.readMagic(); err != nil {
				t.Fatal(err)
			}
			if _, body, err := p.await(msgParted); err != nil || len(body) != 24 {
				t.Fatalf("%s: %x, %v", name, body, err)
			}
			for _, body := range c.tails {
				p.send(msgTail, body)
			}
			k, _, err := p.await(msgSyncEnd, msgFullSync)
			if k != c.want || (err != nil) != (c.want == 0) {
				t.Errorf("%s: %d, %v; want %d", name, k, err, c.want)
			}
			p.Close()
			b := newStand(t, net, "b", "a", nil)
			equal(t, a, b)
		})
	}
}
