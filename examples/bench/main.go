package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == nodeArgument {
		serveNode()
		return
	}
	b := &bench{}
	only := flag.String("only", "", "run only these lines, `NAME,...`; writes stands for writes/0, writes/1 ...")
	asJSON := flag.Bool("json", false, "print a JSON object for each line instead of a table")
	flag.BoolVar(&b.short, "short", false, "small sizes, one run: see that it works, in half a minute")
	flag.IntVar(&b.keys, "n", 0, "`keys` of a full sync (5000000, or 100000 with -short)")
	flag.IntVar(&b.valueBytes, "value", defaultValueBytes, "`bytes` of a value")
	flag.IntVar(&b.runs, "runs", 0, "`runs` of each line (5, or 1 with -short)")
	peerName := flag.String("peer", "", "measure this `server` in turns with each line: redis-server, or one that speaks as it does")
	flag.StringVar(&b.profiles, "cpuprofile", "", "write a CPU profile of each node's measured part to this `folder`")
	flag.Parse()

	b.table = table{asJSON: *asJSON, out: os.Stdout}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if *peerName != "" {
		var err error
		if b.peer, err = findPeer(*peerName); err != nil {
			fmt.Fprintf(os.Stderr, "bench: measuring without a peer: %v\n", err)
		} else {
			b.table.peer = b.peer.name
		}
	}
	if err := b.run(ctx, *only); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}
