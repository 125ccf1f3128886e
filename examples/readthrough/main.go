// Command readthrough is an HTTP service with a replicated cache in front of a slow source,
// in two processes: a master and its replica, both of which serve. It starts them, puts
// load on them, and shows the hit ratio and the latencies without the cache and with it;
// then it kills the master, as kill -9 does, and starts it again.
//
//	go run ./examples/readthrough [-phase 3s]
//
// What the replica lacks it has the master's node load, so that both have it afterwards.
// While the master is away the replica goes on with what it has, and loads the rest for
// itself, every time anew. The master that comes back is empty: it first copies what the
// replica has, and the replica goes on following without a copy.
//
// The program exits with 1 when a request fails, when the cache does not do what it should,
// or when the two nodes differ in the end.
//
// # Reading order
//
// product.go is the source, cache.go the cache in front of it, server.go the service;
// node.go is one process with its place in the group. clients.go puts load on the service,
// process.go starts and kills it, show.go is what is shown.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"
)

// nodeArgument, as its first argument, makes this executable a node. It is not a flag:
// nobody should pass it by hand.
const nodeArgument = "node"

func main() {
	if len(os.Args) > 1 && os.Args[1] == nodeArgument {
		os.Exit(runNode(os.Args[2:]))
	}
	phase := flag.Duration("phase", 3*time.Second, "how long each phase takes")
	flag.Parse()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute+10**phase)
	defer cancel()
	if err := run(ctx, os.Stdout, *phase); err != nil {
		fmt.Fprintln(os.Stderr, "readthrough:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer, phase time.Duration) (err error) {
	if phase <= 0 {
		return fmt.Errorf("-phase is %v, want more than 0", phase)
	}
	s := &show{ctx: ctx, out: out, phase: phase}
	defer func() { err = errors.Join(err, s.close()) }()
	for _, part := range []func() error{s.start, s.without, s.cold, s.warm, s.away, s.back, s.compare} {
		if err := part(); err != nil {
			return err
		}
	}
	return nil
}
