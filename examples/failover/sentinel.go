package main

import (
	"flag"
	"fmt"
	"net"

	"github.com/emberkv/ember/repl/sentinel"
)

// runSentinel is the process of a sentinel. It is told of one node, and finds the others and
// its peers by itself.
func runSentinel(args []string) error {
	f := flag.NewFlagSet(sentinelArgument, flag.ExitOnError)
	name := f.String("name", "", "the sentinel's name")
	monitor := f.String("monitor", "", "`address` of a node")
	downAfter := f.Duration("down-after", 0, "for how long a node must not answer to be down")
	f.Parse(args)

	s, err := sentinel.New(&sentinel.Options{
		Name:      *name,
		Monitor:   []string{*monitor},
		Quorum:    2,
		DownAfter: *downAfter,
		MinHeard:  2, // of the two replicas each: a write that one of them has is not lost
	})
	if err != nil {
		return err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(ln.Addr())
	go s.Serve(ln)
	lastAsLongAsParent()
	return s.Close()
}
