package repl_test

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/rdb"
	"github.com/emberkv/ember/repl"
)

// A scoreboard is a machine of one's own: who has how many points. Each record of its log is an
// entry of package rdb, which says how many somebody has from then on. What it has is little, and
// goes from node to node as one shard, in one block.
type scoreboard struct {
	log *backlog.Log

	mu     sync.Mutex
	points map[string]string
}

func newScoreboard() *scoreboard {
	return &scoreboard{log: backlog.NewLog(nil), points: make(map[string]string)}
}

// Set is a write: it is let in by the gate, and settled, both of which are the node's.
func (s *scoreboard) Set(name, points string) error {
	for {
		settle := s.log.Settler() // before the write: another node may be the master afterwards
		end, err := s.append(name, points)
		var paused *backlog.PausedError
		switch {
		case errors.As(err, &paused):
			<-paused.Resume // of a handover; then this node is let in, or told who writes
		case err != nil || settle == nil:
			return err
		default:
			return settle(end) // waits for Options.Ack
		}
	}
}

func (s *scoreboard) append(name, points string) (end int64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	end, err = s.log.Append(entryOf(name, points))
	if err == nil {
		s.points[name] = points
	}
	return end, err
}

func (s *scoreboard) Get(name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.points[name]
}

func entryOf(name, points string) []byte {
	b := make([]byte, rdb.EntrySize(len(name), len(points), 0))
	rdb.PutEntry(b, name, []byte(points), 0)
	return b
}

// Log implements [repl.Machine].
func (s *scoreboard) Log() *backlog.Log { return s.log }

// Apply implements [repl.Machine]: a replica's writes are these.
func (s *scoreboard) Apply(at backlog.Position, records []byte) error {
	changes := make(map[string]string)
	for rest := records; len(rest) > 0; {
		e, size, err := rdb.CutEntry(rest)
		if err != nil {
			return err // and nothing has changed
		}
		changes[string(e.Key)] = string(e.Value)
		rest = rest[size:]
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.log.AppendAt(at, records); err != nil {
		return err
	}
	for name, points := range changes {
		s.points[name] = points
	}
	return nil
}

// Dump implements [repl.Machine].
func (s *scoreboard) Dump(ctx context.Context, w rdb.BlockWriter) error {
	s.mu.Lock()
	h := rdb.Header{Position: s.log.Position(), Lineage: s.log.Lineage(), Shards: 1, RecordVersion: rdb.RecordVersion, Keys: int64(len(s.points))}
	s.mu.Unlock()
	if err := w.Begin(h); err != nil {
		return err
	}
	for _, ok := w.Next(); ok; _, ok = w.Next() { // again, if a replica comes when one is being sent
		b, _ := s.capture()
		if err := w.WriteBlock(b); err != nil {
			return err
		}
	}
	_, f := s.capture()
	return w.End(f)
}

// capture returns all that there is, as a block, and what it has to be.
func (s *scoreboard) capture() (*rdb.Block, rdb.Footer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := &rdb.Block{First: true, Last: true, At: s.log.End(), Keys: len(s.points), Count: len(s.points)}
	for name, points := range s.points {
		b.Data = append(b.Data, entryOf(name, points)...)
	}
	return b, footerOf(s.log.Position(), s.points)
}

func footerOf(pos backlog.Position, points map[string]string) rdb.Footer {
	f := rdb.Footer{Position: pos, Keys: int64(len(points))}
	for name, points := range points {
		f.Sum += rdb.EntrySum(name, []byte(points), 0)
	}
	return f
}

// Load implements [repl.Machine].
func (s *scoreboard) Load(h rdb.Header) (rdb.Loader, error) {
	return &nextScoreboard{of: s, log: backlog.NewLogAt(h.Lineage, h.Position.Offset, nil)}, nil
}

// A nextScoreboard is what a replica is being sent; what it has had so far is shown until all is there.
type nextScoreboard struct {
	of     *scoreboard
	log    *backlog.Log
	points map[string]string // nil before the block
	at     int64             // what the block stands for
}

// Block implements [rdb.Loader].
func (n *nextScoreboard) Block(b *rdb.Block) error {
	n.points, n.at = make(map[string]string), b.At
	for e, err := range b.Entries() {
		if err != nil {
			return err
		}
		n.points[string(e.Key)] = string(e.Value)
	}
	return nil
}

// Records implements [rdb.Loader].
func (n *nextScoreboard) Records(at int64, records []byte) error {
	if err := n.log.AppendAt(backlog.Position{History: n.log.Position().History, Offset: at}, records); err != nil {
		return err
	}
	for len(records) > 0 {
		e, size, err := rdb.CutEntry(records)
		if err != nil {
			return err
		}
		if at += int64(size); n.points != nil && at > n.at { // else the block has its effect, or will
			n.points[string(e.Key)] = string(e.Value)
		}
		records = records[size:]
	}
	return nil
}

// Interrupted implements [rdb.Loader].
func (n *nextScoreboard) Interrupted() (backlog.Position, rdb.ShardSet) {
	var done rdb.ShardSet
	if n.points != nil {
		done.Add(0)
	}
	return n.log.Position(), done
}

// Commit implements [rdb.Loader].
func (n *nextScoreboard) Commit(f rdb.Footer) error {
	if n.points == nil || footerOf(n.log.Position(), n.points) != f {
		return errors.New("scoreboard: the copy is not what was sent")
	}
	n.of.mu.Lock()
	defer n.of.mu.Unlock()
	n.of.points = n.points
	n.of.log.Adopt(n.log)
	return nil
}

// Abort implements [rdb.Loader].
func (n *nextScoreboard) Abort() {}

// What is replicated need not be a *kv.Store: here it is a scoreboard, whose writes wait for a replica.
func ExampleMachine() {
	net, ctx := repl.NewMemory(), context.Background()
	top, below := newScoreboard(), newScoreboard()
	if err := top.Set("ada", "10"); err != nil {
		panic(err)
	}
	master, err := repl.NewMaster(top, &repl.Options{Transport: net, Safety: repl.Safety{Ack: 1}})
	if err != nil {
		panic(err)
	}
	defer master.Close()
	listener, err := net.Listen("top")
	if err != nil {
		panic(err)
	}
	go master.Serve(listener)

	replica, err := repl.NewReplica(below, "top", &repl.Options{Transport: net})
	if err != nil {
		panic(err)
	}
	defer replica.Close()
	go replica.Run(ctx)
	if err := replica.WaitSynced(ctx); err != nil {
		panic(err)
	}
	fmt.Println("copied:", below.Get("ada"))

	err = top.Set("ada", "11")
	fmt.Println("acked:", err, below.Get("ada"))
	fmt.Println("to the replica:", below.Set("ada", "12"))
	// Output:
	// copied: 10
	// acked: <nil> 11
	// to the replica: repl: READONLY: writes go to the master; this node follows top
}
