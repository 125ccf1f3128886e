package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/emberkv/ember/kv"
	"github.com/emberkv/ember/repl"
)

// copyTimeout is how long a master that comes back tries to get what the replica has.
const copyTimeout = 10 * time.Second

// A config is what a node's process is told.
type config struct {
	http, repl string // addresses to listen at
	follow     string // where the master listens for replicas; empty for a master
	ask        string // the URL of the master's service; empty for a master
	from       string // a replica whose contents a master begins with; empty for none
}

// runNode is the main function of a node's process, which ends when its standard input
// does: whoever had started it is gone, and a node must not be left behind.
func runNode(args []string) int {
	var c config
	f := flag.NewFlagSet(nodeArgument, flag.ContinueOnError)
	f.StringVar(&c.http, "http", "127.0.0.1:0", "")
	f.StringVar(&c.repl, "repl", "127.0.0.1:0", "")
	f.StringVar(&c.follow, "follow", "", "")
	f.StringVar(&c.ask, "ask", "", "")
	f.StringVar(&c.from, "from", "", "")
	if err := f.Parse(args); err != nil {
		return 2
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	if err := serveNode(ctx, c, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "readthrough: node:", err)
		return 1
	}
	return 0
}

// serveNode runs a node until ctx ends. When it is ready it writes its two addresses to
// out, a line each.
func serveNode(ctx context.Context, c config, out io.Writer) error {
	store := kv.New(nil)
	defer store.Close()
	node, err := join(ctx, store, c)
	if err != nil {
		return err
	}
	defer node.Close()
	replListener, err := net.Listen("tcp", c.repl)
	if err != nil {
		return err
	}
	go node.Serve(replListener)
	httpListener, err := net.Listen("tcp", c.http)
	if err != nil {
		return err
	}
	cache, err := newCache(store, c.ask)
	if err != nil {
		return err
	}
	defer cache.Close()
	service := &http.Server{
		Handler:           (&server{store: store, cache: cache, node: node}).handler(),
		ReadHeaderTimeout: time.Second,
		ErrorLog:          log.New(io.Discard, "", 0),
	}
	context.AfterFunc(ctx, func() { service.Close() })
	fmt.Fprintf(out, "%s\n%s\n", httpListener.Addr(), replListener.Addr())
	if err := service.Serve(httpListener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// join gives a store its place in the group: that of the replica, or of the master. A master
// that has lost all, since it keeps nothing on disk, takes what the replica has before it
// takes its place: a replica that holds data would not follow one that came back empty.
func join(ctx context.Context, store *kv.Store, c config) (*repl.Node, error) {
	upstream := c.follow
	if upstream == "" {
		upstream = c.from
	}
	if upstream == "" {
		m, err := repl.NewMaster(store, &repl.Options{Name: "master"})
		if err != nil {
			return nil, err
		}
		return m.Node(), nil
	}
	r, err := repl.NewReplica(store, upstream, nil)
	if err != nil {
		return nil, err
	}
	go r.Run(ctx)
	ctx, cancel := context.WithTimeout(ctx, copyTimeout)
	defer cancel()
	err = r.WaitSynced(ctx)
	if err == nil && c.from != "" {
		_, err = r.Promote(ctx)
	}
	if err != nil {
		r.Close()
		return nil, err
	}
	return r.Node(), nil
}
