package rdb_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/kv"
	"github.com/emberkv/ember/rdb"
	"github.com/emberkv/ember/repl"
)

// A store takes a state from a file at the very position at which that was taken, and so can
// follow from there. (Restore begins a new history.)
func ExampleLoader() {
	var file bytes.Buffer
	if err := tinySnapshot(&file); err != nil {
		log.Fatal(err)
	}
	r, err := rdb.NewReader(&file)
	if err != nil {
		log.Fatal(err)
	}
	store := kv.New(nil)
	defer store.Close()
	loader, err := store.Load(r.Header())
	if err != nil {
		log.Fatal(err)
	}
	defer loader.Abort() // without effect after Commit
	for block, err := r.Next(); err != io.EOF; block, err = r.Next() {
		if err == nil {
			err = loader.Block(block)
		}
		if err != nil {
			log.Fatal(err)
		}
	}
	fmt.Println(store.Len(), "keys")
	err = loader.Commit(r.Footer())
	fmt.Println(store.Len(), "keys at", store.Position(), err)
	// Output:
	// 0 keys
	// 2 keys at e100000000000000000000000000001e-4096 <nil>
}

// A doubtful store says when nobody knows since when it and the node that it follows have
// held other bytes.
type doubtful struct{ *kv.Store }

func (d doubtful) Load(h rdb.Header) (rdb.Loader, error) {
	l, err := d.Store.Load(h)
	return doubtfulLoader{l}, err
}

// A doubtfulLoader is a Doubter.
type doubtfulLoader struct{ rdb.Loader }

func (l doubtfulLoader) Doubt() {
	fmt.Println("this log has other bytes than the master's: look at the disk")
	if d, ok := l.Loader.(rdb.Doubter); ok {
		d.Doubt() // the store reports all that it has logged as lost
	}
}

// A node comes back with another write than its master's at the same place of the same
// history, as from a disk that has lost one. Package repl finds out, and takes a full copy.
func ExampleDoubter() {
	ours, mine := kv.New(nil), kv.New(nil)
	defer ours.Close()
	defer mine.Close()
	mine.Log().Adopt(backlog.NewLogAt(ours.Log().Lineage(), 0, nil))
	if err := errors.Join(ours.Set("color", []byte("red")), mine.Set("color", []byte("tan"))); err != nil {
		log.Fatal(err)
	}
	opts := &repl.Options{Transport: repl.NewMemory()}
	master, err := repl.NewMaster(ours, opts)
	if err != nil {
		log.Fatal(err)
	}
	defer master.Close()
	listener, err := opts.Transport.Listen("master")
	if err != nil {
		log.Fatal(err)
	}
	go master.Serve(listener)
	replica, err := repl.NewReplica(doubtful{mine}, "master", opts)
	if err != nil {
		log.Fatal(err)
	}
	defer replica.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	go replica.Run(ctx)
	err = replica.WaitSynced(ctx)
	color, _ := mine.Get("color")
	fmt.Println(string(color), err)
	// Output:
	// this log has other bytes than the master's: look at the disk
	// red <nil>
}

// diverge gives both stores the same first write, and then each one that the other does not
// have: old goes on, and now begins a new history, as a promotion does, at the offset that is
// returned.
func diverge(old, now *kv.Store) (fork int64) {
	now.Log().Adopt(backlog.NewLogAt(old.Log().Lineage(), 0, nil))
	err := old.Set("color", []byte("red"))
	err = errors.Join(err, now.Apply(now.Position(), records(old.Log(), 0)))
	fork = now.Log().Fork(backlog.NewHistory()).Offset
	err = errors.Join(err, old.Set("shape", []byte("round")), now.Set("color", []byte("blue")))
	if err != nil {
		log.Fatal(err)
	}
	return fork
}

// records returns what a log holds from an offset on.
func records(l *backlog.Log, from int64) []byte {
	r, err := l.NewReader(from)
	if err != nil {
		log.Fatal(err)
	}
	b, err := r.Next(l.End())
	if err != nil {
		log.Fatal(err)
	}
	return b
}

// An old master goes over to the new one's history by way of the keys that it alone has
// written, in place of a full copy. Package repl does so between two nodes.
func ExampleRepair() {
	old, now := kv.New(nil), kv.New(nil)
	defer old.Close()
	defer now.Close()
	fork := diverge(old, now)

	keys, _, tail, err := old.Tail(fork, 100, 1<<10)
	if err != nil {
		log.Fatal(err)
	}
	r := &rdb.Repair{Tail: tail, Fork: fork, Keys: keys, Lineage: now.Log().Lineage()}
	r.Records = append(r.Records, records(now.Log(), fork))
	r.Footer, err = now.State(keys, 1<<20, func(b *rdb.Block) error {
		r.Blocks = append(r.Blocks, b)
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(old.Repair(r), old.Position() == now.Position())
	for key, value := range old.All() {
		fmt.Printf("%s = %s\n", key, value)
	}
	// Output:
	// <nil> true
	// color = blue
}
