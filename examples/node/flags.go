package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/kv"
	"github.com/emberkv/ember/rdb"
	"github.com/emberkv/ember/repl"
)

// A config is what the flags say.
type config struct {
	httpAddr string
	replAddr string
	follow   string // empty for a master

	name      string
	group     string
	backlog   int64 // bytes
	heartbeat time.Duration
	safety    repl.Safety
	priority  int
	fenced    bool
	drain     time.Duration
	dir       string // where the store is kept; empty for memory only
	fsync     kv.Fsync

	allowEmpty   bool
	allowForeign bool
	serveStale   bool
	maxStaleness time.Duration
	writable     bool
	compress     rdb.Compression
	secrets      fileList

	sentinel sentinelConfig

	typed arguments
}

// parseFlags reads the arguments. It returns flag.ErrHelp when the help was asked for,
// and is written to help then.
func parseFlags(args []string, help io.Writer) (c config, err error) {
	f := c.define()
	f.SetOutput(io.Discard) // of an error one line is enough
	c.typed, err = parse(f, args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(help, "usage: node [flags]")
		f = new(config).define() // what was parsed is no default
		f.SetOutput(help)
		f.PrintDefaults()
	}
	if err == nil {
		err = c.check()
	}
	if err == nil {
		err = c.sentinel.check(c.typed)
	}
	return c, err
}

// define returns the flags, which c is set by.
func (c *config) define() *flag.FlagSet {
	f := flag.NewFlagSet("node", flag.ContinueOnError)
	f.StringVar(&c.httpAddr, "http", "127.0.0.1:8001", "`address` of the HTTP API")
	f.StringVar(&c.replAddr, "repl", "127.0.0.1:7001", "`address` where other nodes follow this one")
	f.StringVar(&c.follow, "follow", "", "`address` of the node to follow (its -repl); without it this one is a master")
	f.StringVar(&c.name, "name", "", "name shown to the other nodes")
	f.StringVar(&c.group, "group", "", "name of the group, the same for all that belong to it; what sentinels call its master in events and to scripts")
	f.Int64Var(&c.backlog, "backlog", backlog.DefaultMaxBytes, "`bytes` of log kept for followers that come back")
	f.StringVar(&c.dir, "dir", "", "`folder` that the store, the node's id (in node) and a sentinel's state (in sentinel) are kept in; without it they are in memory only")
	f.TextVar(&c.fsync, "fsync", kv.FsyncEverySecond, "`when` what is written to -dir is synced: always, everysec or never")
	f.DurationVar(&c.heartbeat, "heartbeat", repl.DefaultHeartbeat, "how often an idle link is proved alive; a third of what makes it dead")
	f.IntVar(&c.safety.Ack, "ack", 0, "`number` of replicas that must have a write before it is answered; 0 for none")
	f.IntVar(&c.safety.MinReplicas, "min-replicas", 0, "`number` of replicas without which a master takes no writes; 0 for none")
	f.DurationVar(&c.safety.MaxLag, "max-lag", 0, "how long ago a replica that counts for -min-replicas may have been level; 0 is 10s, or two heartbeats if those are longer")
	f.IntVar(&c.priority, "priority", repl.DefaultPriority, "which replica the sentinels make a master, the lowest `number` first; 0 is never")
	f.BoolVar(&c.fenced, "fenced", false, "as a master take no writes from the start on, until a majority of the sentinels lets this node")
	f.DurationVar(&c.drain, "drain", 2*time.Second, "how long a master that is told to end waits for its replicas to have everything")
	f.TextVar(&c.compress, "compress", rdb.None, "`algorithm` for links, if the other end agrees: s2, zstd or none; off refuses what others want, too")
	f.BoolVar(&c.allowEmpty, "allow-empty", false, "let an upstream that came back empty wipe this node")
	f.BoolVar(&c.allowForeign, "allow-foreign", false, "let an upstream of another history replace this node's data")
	f.BoolVar(&c.serveStale, "serve-stale", true, "as a replica that is cut off from the master, answer reads from the data there are")
	f.DurationVar(&c.maxStaleness, "max-staleness", 0, "as a replica refuse reads of data that may be older; at least twice -heartbeat; 0 is no bound")
	f.BoolVar(&c.writable, "writable", false, "as a replica take writes, which go nowhere and end with the next full copy")
	f.Var(&c.secrets, "secret", "`file` with secrets of the group, one a line, the newest first; may be repeated; read again at SIGHUP")
	c.sentinel.define(f)
	return f
}

// reading returns what a replica lets be read.
func (c config) reading() repl.Reading {
	r := repl.Reading{MaxStaleness: c.maxStaleness}
	if !c.serveStale {
		r.WhenDown = repl.RefuseStale
	}
	return r
}

// seniority is -priority as Options.Priority has it, where 0 is the default.
func (c config) seniority() int {
	if c.priority == 0 {
		return -1
	}
	return c.priority
}

// check looks at what the library does not, or would take for its default.
func (c *config) check() error {
	_, follows := c.typed["follow"]
	_, keeps := c.typed["dir"]
	for _, flag := range []struct {
		name string
		ok   bool
	}{
		{"http", canListen(c.httpAddr)},
		{"repl", canListen(c.replAddr)},
		{"follow", !follows || canDial(c.follow)}, // "" is a variable of a script that is not set, and no master
		{"dir", !keeps || c.dir != ""},
		{"backlog", c.backlog > 0},
		{"heartbeat", c.heartbeat > 0},
		{"max-staleness", c.maxStaleness == 0 || c.maxStaleness >= 2*c.heartbeat},
		{"priority", c.priority >= 0},
		{"drain", c.drain >= 0},
	} {
		if !flag.ok {
			return wrong(flag.name, c.typed[flag.name])
		}
	}
	if _, syncs := c.typed["fsync"]; syncs && !keeps {
		return fmt.Errorf("-fsync is for a node that keeps its store; give its -dir, too; %w", errUsage)
	}
	return nil
}
