// Command durable keeps a store on disk, on a master and on its replica, each in a process
// of its own, and kills them, as kill -9 does, again and again, at random moments. It counts
// what is there when they are back: nothing that was said to be on disk is missing, and
// neither the master nor the replica that comes back needs a full copy, or causes one.
//
//	go run ./examples/durable [-fsync always|everysec|never] [-kills 6] [-dir folder]
//
// The program exits with 1 when something is missing, or a full copy was made except for the
// replica's first, or when the two differ in the end.
//
// # Reading order
//
// node.go is one process with its store, process.go starts and kills it, show.go is what is
// shown.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/emberkv/ember/kv"
)

// nodeArgument, as its first argument, makes this executable a node. It is not a flag:
// nobody should pass it by hand.
const nodeArgument = "node"

func main() {
	if len(os.Args) > 1 && os.Args[1] == nodeArgument {
		os.Exit(runNode(os.Args[2:]))
	}
	var c config
	flag.TextVar(&c.fsync, "fsync", kv.FsyncEverySecond, "`when` the journal is synced: always, everysec or never")
	flag.IntVar(&c.kills, "kills", 6, "how often to kill one of the two")
	flag.DurationVar(&c.life, "life", 500*time.Millisecond, "how long a process lives at most")
	flag.StringVar(&c.dir, "dir", "", "`folder` for the stores; a temporary one if empty")
	flag.Parse()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute+time.Duration(c.kills)*(c.life+5*time.Second))
	defer cancel()
	if err := run(ctx, os.Stdout, c); err != nil {
		fmt.Fprintln(os.Stderr, "durable:", err)
		os.Exit(1)
	}
}

// A config is what the flags say.
type config struct {
	fsync kv.Fsync
	kills int
	life  time.Duration
	dir   string
}

func run(ctx context.Context, out io.Writer, c config) (err error) {
	if c.dir == "" {
		if c.dir, err = os.MkdirTemp("", "durable"); err != nil {
			return err
		}
		defer os.RemoveAll(c.dir)
	}
	s := &show{ctx: ctx, out: out, config: c}
	defer func() { err = errors.Join(err, s.close()) }()
	for _, part := range []func() error{s.start, s.kill, s.compare} {
		if err := part(); err != nil {
			return err
		}
	}
	return nil
}
