package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/kv"
	"github.com/emberkv/ember/repl"
)

// What a node says of itself on its standard output, a line each.
const (
	sayOpened = "opened %d keys, clean %t, in %s" // first
	sayKept   = "kept %d keys"                    // so many are on disk
	sayFull   = "full copy because of: %s"        // one was begun
	sayDone   = "done at %s"                      // a master writes no more
)

// saveAfter is after how many records a node saves a snapshot, after a tenth of a second: so
// often that processes die of kills while they do.
const saveAfter = 2000

// runNode is the main function of a node's process: it writes until its standard input has a
// line, and ends with it.
func runNode(args []string) int {
	var dir, addr, follow string
	var fsync kv.Fsync
	f := flag.NewFlagSet(nodeArgument, flag.ContinueOnError)
	f.StringVar(&dir, "dir", "", "")
	f.StringVar(&addr, "repl", "", "")
	f.StringVar(&follow, "follow", "", "")
	f.TextVar(&fsync, "fsync", kv.FsyncEverySecond, "")
	if err := f.Parse(args); err != nil {
		return 2
	}
	n := &node{in: bufio.NewScanner(os.Stdin), out: os.Stdout, fsync: fsync}
	err := n.open(dir)
	if err == nil {
		if follow != "" {
			err = n.follow(follow)
		} else {
			err = n.lead(addr)
		}
		if cerr := n.store.Close(); err == nil {
			err = cerr
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "durable: node:", err)
		return 1
	}
	return 0
}

// A node is one process with its store.
type node struct {
	in    *bufio.Scanner
	fsync kv.Fsync
	store *kv.Store

	mu  sync.Mutex // held while a line is written
	out io.Writer
}

func (n *node) say(format string, args ...any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	fmt.Fprintf(n.out, format+"\n", args...)
}

func (n *node) open(dir string) (err error) {
	n.store, err = kv.Open(dir, &kv.Options{Durability: kv.Durability{
		Fsync:        n.fsync,
		SegmentBytes: 256 << 10,
		SavePoints:   []kv.SavePoint{{After: 100 * time.Millisecond, Records: saveAfter}},
	}})
	if err != nil {
		return err
	}
	r := n.store.Recovered()
	n.say(sayOpened, n.store.Len(), r.Clean, r.Took.Round(time.Millisecond))
	return nil
}

// lead writes, one key after the other, and lets replicas follow, until there is a line of
// input, and then waits for the end of the input.
func (n *node) lead(addr string) error {
	m, err := repl.NewMaster(n.store, nil)
	if err != nil {
		return err
	}
	defer m.Close()
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	go m.Serve(ln)
	enough, stop := context.WithCancel(context.Background())
	defer stop()
	go func() {
		n.in.Scan()
		stop()
	}()
	for i := n.store.Len(); enough.Err() == nil; i++ {
		if err := n.store.Set(itemKey(i), itemValue(i)); err != nil {
			return err
		}
		// Under FsyncAlways a write that has returned is on disk.
		if n.fsync != kv.FsyncAlways {
			if i%500 != 0 {
				continue
			}
			if err := n.store.Durable(context.Background(), n.store.Position()); err != nil {
				return err
			}
		}
		n.say(sayKept, i+1)
	}
	n.say(sayDone, n.store.Position())
	n.in.Scan()
	return nil
}

// follow follows the master until the input has a line, with a position, which it waits for.
func (n *node) follow(upstream string) error {
	r, err := repl.NewReplica(n.store, upstream, &repl.Options{Events: repl.Events{
		FullSync: func(c repl.FullSync) { n.say(sayFull, strings.ReplaceAll(c.Reason.String(), " ", "-")) },
	}})
	if err != nil {
		return err
	}
	defer r.Close()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go r.Run(ctx)
	go func() {
		if r.WaitSynced(ctx) != nil {
			return
		}
		for { // until there is something
			keys := n.store.Len()
			if n.store.Durable(ctx, n.store.Position()) != nil {
				return
			}
			if n.say(sayKept, keys); keys > 0 {
				return
			}
			time.Sleep(time.Millisecond)
		}
	}()
	if !n.in.Scan() {
		return nil
	}
	pos, err := backlog.ParsePosition(n.in.Text())
	if err != nil {
		return err
	}
	if err := n.store.Wait(ctx, pos); err != nil {
		return err
	}
	n.say(sayKept, n.store.Len())
	n.in.Scan()
	return nil
}
