package repl_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/kv"
	"github.com/emberkv/ember/rdb"
	"github.com/emberkv/ember/repl"
)

// These machines are ledgers, or stores, that implement one thing more.

// A shelf has no room for a copy beside what stands on it.
type shelf struct{ *ledger }

func (s shelf) Drop(next rdb.Header) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Println("makes room for", next.Keys, "entries:", len(s.entries), "less")
	clear(s.entries)
	s.log.Adopt(backlog.NewLog(nil))
	return nil
}

// With DropFirst a machine is emptied before the copy comes.
func ExampleDropped() {
	net, top, below := repl.NewMemory(), newLedger(nil), shelf{newLedger(nil)}
	top.put("one", "1")
	top.put("two", "2")
	below.put("old", "0")
	master := masterAt(net, "paris", top, nil)
	defer master.Close()
	replica := replicaAt(net, "", "paris", below, &repl.Options{
		Copying: repl.Copying{DropFirst: true, AllowForeign: true},
	})
	defer replica.Close()
	fmt.Println(below.state())
	// Output:
	// makes room for 2 entries: 1 less
	// map[one:1 two:2]
}

// An indexed store has an index beside it, which is made from full copies alone.
type indexed struct{ *kv.Store }

func (indexed) Tail(int64, int, int) ([]byte, int, backlog.Position, error) {
	return nil, 0, backlog.Position{}, errors.New("the index cannot be mended")
}

// A machine says why it cannot leave the end of its log by way of a few keys. It is given a full
// copy then, whose status has that reason.
func ExampleRepairer() {
	net, ctx, a, b := repl.NewMemory(), context.Background(), kv.New(nil), kv.New(nil)
	defer a.Close()
	defer b.Close()
	old := masterAt(net, "a", indexed{a}, nil)
	defer old.Close()
	if err := a.Set("stock", []byte("7")); err != nil {
		panic(err)
	}
	replica := replicaAt(net, "b", "a", b, nil)
	defer replica.Close()
	if _, err := replica.Promote(ctx); err != nil {
		panic(err)
	}
	if err := a.Set("stock", []byte("6")); err != nil { // it does not know yet
		panic(err)
	}
	again, err := old.Demote("b")
	if err != nil {
		panic(err)
	}
	if err := again.WaitSynced(ctx); err != nil {
		panic(err)
	}
	s := again.Status().Upstream.LastFull
	fmt.Printf("%s; %s\n", s.Reason, s.NotRepaired)
	// Output: ahead of the fork; the index cannot be mended
}

// A gauge shows nothing rather than what was true some time ago.
type gauge struct {
	*ledger
	until atomic.Pointer[time.Time]
}

func (g *gauge) SetStaleAfter(t time.Time) { g.until.Store(&t) }

func (g *gauge) read(key string) string {
	if until := *g.until.Load(); !until.IsZero() && time.Now().After(until) {
		return "out of date"
	}
	return g.state()[key]
}

// A machine that is told when it must not be read.
func ExampleDated() {
	net, top, below := repl.NewMemory(), newLedger(nil), &gauge{ledger: newLedger(nil)}
	top.put("pressure", "3 bar")
	master := masterAt(net, "paris", top, nil)
	defer master.Close()
	replica := replicaAt(net, "", "paris", below, &repl.Options{Reading: repl.Reading{WhenDown: repl.RefuseStale}})
	fmt.Println(below.read("pressure"))
	replica.Close() // nobody says any more how old the data are
	fmt.Println(below.read("pressure"))
	// Output:
	// 3 bar
	// out of date
}

// A desk has notes beside what is replicated.
type desk struct {
	*ledger
	notes map[string]string
}

func (d desk) Len() int           { return d.ledger.Len() + len(d.notes) }
func (d desk) ReplicatedLen() int { return d.ledger.Len() }

// A machine with nothing but notes of its own takes a first copy without AllowForeign.
func ExampleLayered() {
	net, top := repl.NewMemory(), newLedger(nil)
	below := desk{newLedger(nil), map[string]string{"todo": "call back"}}
	top.put("key", "value")
	master := masterAt(net, "paris", top, nil)
	defer master.Close()
	replica := replicaAt(net, "", "paris", below, nil)
	defer replica.Close()
	fmt.Println(below.state(), below.notes, below.Len())
	// Output: map[key:value] map[todo:call back] 2
}

// A binder has on disk what was there when file was called.
type binder struct {
	*ledger
	filed   backlog.Position
	changed chan struct{}
}

func (b *binder) file() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.filed = b.log.Position()
	close(b.changed)
	b.changed = make(chan struct{})
}

func (b *binder) Synced() backlog.Position {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.filed
}

func (b *binder) SyncedChanged() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.changed
}

// What a replica has applied, and what of that it would not lose with its power.
func ExampleKept() {
	net, ctx, top := repl.NewMemory(), context.Background(), newLedger(nil)
	below := &binder{ledger: newLedger(nil), changed: make(chan struct{})}
	top.put("key", "value")
	master := masterAt(net, "paris", top, nil)
	defer master.Close()
	replica := replicaAt(net, "", "paris", below, nil)
	defer replica.Close()

	n, err := master.Wait(ctx, top.Log().Position(), 1)
	fmt.Println("applied by", n, err)
	fmt.Println("of which on disk:", master.Status().Followers[0].Durable)
	below.file()
	n, err = master.WaitDurable(ctx, top.Log().Position(), 1)
	fmt.Println("on disk of", n, err)
	// Output:
	// applied by 1 <nil>
	// of which on disk: 0
	// on disk of 1 <nil>
}
