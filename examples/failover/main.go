// Command failover shows a group that looks after itself: three nodes and three sentinels,
// each a process of its own, and a client that writes all the while, each write to one
// replica at least before it counts. The master is killed, as kill -9 does; the sentinels
// agree on that, have a replica promoted, and the client goes on with that one. The node that
// was killed comes back, empty, and then the new master is killed, too. In the end every
// write that was acknowledged is there.
//
//	go run ./examples/failover [-down-after 1s]
//
// It exits with 1 when a write is missing, or the nodes differ in the end.
//
// # Why nothing is lost
//
// A write is acknowledged when one of the two replicas has it, so one replica may not. The
// sentinels hear both before they promote one (MinHeard), and choose the one that has more.
//
// # Reading order
//
// node.go is a process with a store, sentinel.go one with a sentinel, process.go starts and
// kills them; client.go writes, and is told by the sentinels to whom; story.go is what happens.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"time"
)

// These, as the first argument, make this executable a node or a sentinel. They are no flags:
// nobody should pass them by hand.
const (
	nodeArgument     = "node"
	sentinelArgument = "sentinel"
)

func main() {
	os.Exit(start(os.Args[1:]))
}

// start is whichever of the programs the arguments ask for. It returns the exit status.
func start(args []string) int {
	var err error
	switch {
	case len(args) > 0 && args[0] == nodeArgument:
		err = runNode(args[1:])
	case len(args) > 0 && args[0] == sentinelArgument:
		err = runSentinel(args[1:])
	default:
		downAfter := flag.Duration("down-after", time.Second, "for how long a node must not answer to be down")
		flag.Parse()
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
		defer cancel()
		err = tell(ctx, os.Stdout, *downAfter)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "failover:", err)
		return 1
	}
	return 0
}

// tell tells the story.
func tell(ctx context.Context, out io.Writer, downAfter time.Duration) error {
	s := &story{ctx: ctx, out: out, downAfter: downAfter, nodes: make(map[string]*process)}
	defer s.end()
	for _, step := range []struct {
		title string
		do    func() error
	}{
		{"Three nodes, three sentinels, and a client that writes", s.build},
		{"The master is killed", s.kill},
		{"It comes back, with nothing, and follows", s.restart},
		{"The new master is killed", s.kill},
		{"It comes back, too", s.restart},
		{"The client stops, and all is counted", s.count},
	} {
		fmt.Fprintf(out, "\n%s\n", step.title)
		if err := step.do(); err != nil {
			return fmt.Errorf("%s: %w", step.title, err)
		}
	}
	return nil
}
