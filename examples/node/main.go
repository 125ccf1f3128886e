// Command node is one process of a group: a store with its place in the group,
// and a small HTTP API in front of both. Three of them in three terminals are a
// master and its two replicas:
//
//	go run ./examples/node -http 127.0.0.1:8001 -repl 127.0.0.1:7001 -name a
//	go run ./examples/node -http 127.0.0.1:8002 -repl 127.0.0.1:7002 -name b -follow 127.0.0.1:7001
//	go run ./examples/node -http 127.0.0.1:8003 -repl 127.0.0.1:7003 -name c -follow 127.0.0.1:7001
//
//	curl -i -X PUT --data-binary hello http://127.0.0.1:8001/keys/greeting
//	curl http://127.0.0.1:8003/keys/greeting
//
// Without -follow a node begins as a master. Roles change while it runs: POST
// /promote is "slaveof no one", POST /follow?addr= is "slaveof", and POST /handover?to= changes
// places with a replica, while writers wait and nothing is lost. A node that holds data
// does not give them up for a master that came back empty, or is another group's, unless
// it is told to, once by allow= or for ever by -allow-empty and -allow-foreign.
//
// With -min-replicas a master that is cut off from its replicas stops taking writes: within
// -max-lag, so that what is lost when one of those is promoted is no more than was written in
// that time. With -ack each write waits for so many replicas to have it, a second at most.
//
// Sentinels that are pointed at a node may watch it and tell it what to be: package
// repl/sentinel. Once a majority of them has leased it the right to write, it
// takes writes only while it holds that; with -fenced from its start. POST /disarm is the
// way back when the sentinels are gone for good.
//
// With -sentinel a process runs a sentinel: alone, or beside a node if there is a -repl,
// too. It needs the address of one node, finds the others and the other sentinels, and when as
// many as -quorum find the master down, and a majority agrees, it has a replica promoted.
//
//	go run ./examples/node -sentinel 127.0.0.1:9001 -monitor 127.0.0.1:7001 -quorum 2 -down-after 1s -http 127.0.0.1:8101
//
// With -dir it keeps what it has promised. Three should run, on machines that fail apart;
// -down-after and -quorum must be the same at all. What a notification or a reconfiguration
// script is given, and what its exit status means, is as in Redis Sentinel.
//
// A replica answers reads from the data that it has, however old, unless -serve-stale=false
// or -max-staleness says otherwise; then they get 503 while it is cut off from its master,
// or its data are older. With -writable it takes writes of its own: only it shows them, and
// they end with the next full copy, or become everybody's when it is promoted.
//
// With -dir a node keeps its store in a folder, and its id: started again it is who it was,
// goes on where it was, and a replica takes what it has missed, even after kill -9. A copy
// of the folder makes another node only without its folder "node", which has the id, and
// another sentinel without "sentinel". -fsync is what appendfsync is, POST /save what SAVE is.
// Without -dir it keeps nothing: started again it is empty, and takes a full copy if it
// follows. One that was the master is started with -follow, once another is promoted; where
// there are sentinels they see to that.
//
// -help lists all flags. Port 0 is one that the system chooses. When all listeners
// stand, their addresses are on standard output, one a line, for scripts; what happens to
// links, and what a sentinel does, goes to standard error.
//
//	http 127.0.0.1:8001
//	repl 127.0.0.1:7001
//	sentinel 127.0.0.1:9001
//
// # The API
//
// Keys are arbitrary bytes, escaped as a path is; a slash may stand as it is, or as %2F,
// as which it is listed. Values are arbitrary bytes, too, and are bodies as they are.
//
//	PUT    /keys/KEY[?ttl=10s]            204
//	GET    /keys/KEY                      200 and the value, or 404
//	DELETE /keys/KEY                      204, or 404
//	GET    /keys[?prefix=P][&limit=N]     JSON: the first N keys (1000), escaped, in the keys' order
//	GET    /digest                        JSON: digest, keys, position
//	GET    /info                          text, in the names of Redis' INFO replication
//	GET    /status                        JSON: repl.Status
//	POST   /wait?replicas=N&timeout=1s    JSON: replicas, as many as have applied it in time
//	POST   /save                          JSON: position, when a snapshot of it is on disk
//	POST   /follow?addr=A[&allow=empty|foreign]   204
//	POST   /promote                       204
//	POST   /disarm                        204: writes need no lease any more
//	POST   /handover?to=NAME[&timeout=1s] 204, when that replica, by name or id, is the master, and this its replica
//
// A process with a sentinel has, beside that or alone:
//
//	GET    /master                        JSON: addr (its -repl), name and epoch of the master, and a warning if it may be down,
//	                                      or could not be replaced; 503 while none is known, and why
//	GET    /sentinel                      JSON: sentinel.Status
//	POST   /failover[?timeout=1m]         204, when another node is the master, though the present one may be well; it takes a
//	                                      majority of the sentinels, and as many as -quorum, as without being asked for
//	POST   /reset                         204: it forgets who is there, and finds out anew
//
// Every answer of a node has the header Ember-Position: all that it shows or has done is at or
// before that place in the group's log. A GET that sends one waits until this node
// has it, too: read your writes, on any node, with one header. POST /wait waits for the
// one that is sent, and otherwise for all that this node has. HEAD is GET without a body.
//
// An error is a status and a line of text: 400 for what makes no sense, or asks for a list
// of more than 16 MiB, 403 for a write on a replica, and for one that a page of another
// site has made a browser send, 409 for a position or a call that does not fit what this
// node is now, 413 and 414 for what is too large to take, 404 for a replica that is not
// there, 503 when the node is closing, lacks replicas or a lease, cannot hand over, refuses
// reads, cannot write to its disk, or all requests together hold 128 MiB of bodies, or 1024
// of them wait already, and 504 for a position that does not come within 5 seconds, or a
// write that stands and that too few replicas have, or the disk has not. A path that is not
// well escaped never gets here:
// package net/http answers it with a 400 of its own.
//
// # Who may connect
//
// With -secret FILE a node has links only to nodes that know one of the secrets in the
// file, one a line, and the links are encrypted; without, to whoever can connect. They are
// in a file and not among the flags because everybody on a machine can read those. SIGHUP
// reads it again, and no link ends: a group changes its secret by a file with the new one
// and the old one on every node, a SIGHUP to each, and then the same with the new one
// alone. Sentinels need it as nodes do.
//
//	openssl rand -hex 32 >secret
//	go run ./examples/node -name a -secret secret
//
// The HTTP API has no authentication and no encryption. Keep it on loopback, or in a network
// of friends.
//
// SIGTERM and SIGINT let a master's replicas have what they lack, close everything and
// exit with 0. Wrong flags exit with 2, an address or a file that cannot be had with 1, both with
// one line that says which flag it is about.
//
// # Reading order
//
// flags.go, sentinelflags.go, arguments.go, secrets.go; node.go is how a service embeds
// Ember, nodeid.go who it is, dir.go why it cannot be kept, drain.go how it ends, events.go what it says of its links;
// server.go, keys.go, bodies.go, waits.go and group.go are the API, answer.go is what an
// error becomes; sentinel.go is a sentinel and its part of the API.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/emberkv/ember/repl"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	// The second signal kills: nobody should need it.
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is the program: it returns its exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	c, err := parseFlags(args, stdout)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err == nil {
		err = serve(ctx, c, stdout, stderr)
	}
	if err == nil {
		return 0
	}
	fmt.Fprintln(stderr, "node:", err)
	if errors.Is(err, errUsage) || errors.Is(err, repl.ErrOption) {
		return 2
	}
	return 1
}

// serve runs a node until ctx ends.
func serve(ctx context.Context, c config, stdout, stderr io.Writer) error {
	n, err := openNode(ctx, c, stderr)
	if err != nil {
		return err
	}
	for _, l := range n.listeners() {
		fmt.Fprintln(stdout, l.what, l.Addr())
	}
	return n.serve(ctx)
}
