package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/emberkv/ember/kv"
	"github.com/emberkv/ember/repl"
)

// Bounds of the HTTP server.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = time.Minute // of a whole request
	writeTimeout      = maxWait + time.Minute
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 256 << 10 // the longest key, escaped, takes 192 KiB of it
	shutdownTimeout   = 5 * time.Second
	resolveTimeout    = 5 * time.Second
)

// A node is a store, its place in the group, and the API to both. With -sentinel it has a
// sentinel, too, and may have nothing else.
type node struct {
	log          *slog.Logger
	store        *kv.Store    // nil for a sentinel alone
	repl         *repl.Node   // nil for a sentinel alone
	replListener net.Listener // nil for a sentinel alone
	guard        *guard       // nil without -sentinel
	httpListener net.Listener // nil for a sentinel alone without -http
	httpServer   *http.Server // with httpListener
	secrets      fileList
	patience     time.Duration      // when it closes, for its replicas
	cancel       context.CancelFunc // ends requests that wait
}

// openNode takes the addresses and makes the store and its place in the group. On an
// error nothing is left open.
func openNode(ctx context.Context, c config, stderr io.Writer) (*node, error) {
	n := &node{log: slog.New(slog.NewTextHandler(stderr, nil))}
	if err := n.open(ctx, c); err != nil {
		n.close()
		return nil, err
	}
	return n, nil
}

func (n *node) open(ctx context.Context, c config) (err error) {
	n.secrets, n.patience = c.secrets, c.drain
	secrets, err := n.secrets.read()
	if err != nil {
		return fmt.Errorf("-secret: %w", err)
	}
	if !c.sentinel.alone || c.sentinel.serves {
		if n.httpListener, err = net.Listen("tcp", c.httpAddr); err != nil {
			return fmt.Errorf("-http: %w", err)
		}
	}
	monitor := c.sentinel.monitor
	if !c.sentinel.alone {
		if err := n.openMember(ctx, c, secrets); err != nil {
			return err
		}
		if len(monitor) == 0 {
			monitor = []string{n.replListener.Addr().String()}
		}
	}
	if c.sentinel.addr != "" {
		if n.guard, err = openGuard(c, monitor, secrets, n.log); err != nil {
			return err
		}
	}
	if n.httpListener != nil {
		n.newHTTPServer(ctx)
	}
	return nil
}

// openMember takes the address for other nodes, and makes the store and its place in the
// group.
func (n *node) openMember(ctx context.Context, c config, secrets []repl.Secret) (err error) {
	if c.follow != "" {
		if err := resolve(ctx, c.follow); err != nil {
			return fmt.Errorf("-follow: %w", err)
		}
	}
	if n.replListener, err = net.Listen("tcp", c.replAddr); err != nil {
		return fmt.Errorf("-repl: %w", err)
	}
	if c.follow == n.replListener.Addr().String() {
		return fmt.Errorf("-follow: %s is this node's own -repl", c.follow)
	}
	if n.store, err = n.openStore(c); err != nil {
		return err
	}
	var id repl.NodeID // which is random in the end, for a store that is as well
	if c.dir != "" {
		if id, err = keptID(c.dir); err != nil { // the store has locked the folder
			return unusable(err)
		}
	}
	n.repl, err = join(n.store, c.follow, &repl.Options{
		ID:          id,
		Name:        c.name,
		Group:       c.group,
		Announce:    n.replListener.Addr().String(), // known before Serve is called
		Events:      events(n.log),
		Liveness:    repl.Liveness{Heartbeat: c.heartbeat},
		Safety:      c.safety,
		Compression: c.compress,
		Security:    repl.Security{Secrets: secrets},
		Copying:     repl.Copying{AllowEmpty: c.allowEmpty, AllowForeign: c.allowForeign},
		Reading:     c.reading(),
		Priority:    c.seniority(),
		Supervision: repl.Supervision{Supervised: true, Fenced: c.fenced},
	})
	if err != nil {
		return c.typed.explain(err)
	}
	return nil
}

// openStore opens the store that -dir keeps, or makes one in memory.
func (n *node) openStore(c config) (*kv.Store, error) {
	opts := &kv.Options{LogBytes: c.backlog, Ordered: true, WritableReplica: c.writable, OnLostTail: n.lostTail}
	if c.dir == "" {
		return kv.New(opts), nil
	}
	opts.Fsync = c.fsync
	opts.OnSave = func(p kv.SaveProgress) {
		switch {
		case p.Err != nil:
			n.log.Warn("save failed", "position", p.Position, "err", p.Err)
		case p.Done:
			n.log.Info("saved", "position", p.Position, "bytes", p.Bytes)
		}
	}
	s, err := kv.Open(c.dir, opts)
	if err != nil {
		return nil, unusable(err)
	}
	r := s.Recovered()
	n.log.Info("loaded", "dir", c.dir, "keys", s.Len(), "position", r.Position, "clean", r.Clean, "forked", r.Forked, "torn", r.Torn, "took", r.Took)
	return s, nil
}

// lostTail tells of writes that only this node had: acknowledged, perhaps, and now to go.
func (n *node) lostTail(t kv.LostTail) {
	changes := 0
	for range t.Events {
		changes++
	}
	n.log.Warn("this node drops what only it had", "from", t.From, "to", t.To, "changes", changes, "complete", t.Complete)
}

func (n *node) newHTTPServer(ctx context.Context) {
	// Requests do not end with ctx, but after it: what has begun is answered.
	base, cancel := context.WithCancel(context.WithoutCancel(ctx))
	n.cancel = cancel
	n.httpServer = &http.Server{
		Handler:           newServer(n.store, n.repl, n.guard),
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		BaseContext:       func(net.Listener) context.Context { return base },
		ErrorLog:          slog.NewLogLogger(n.log.Handler(), slog.LevelWarn),

		DisableGeneralOptionsHandler: true, // every answer is the handler's
	}
}

// join gives the store its place in a group: that of a master, or of a replica of the
// node at address upstream.
func join(store *kv.Store, upstream string, opts *repl.Options) (*repl.Node, error) {
	if upstream == "" {
		m, err := repl.NewMaster(store, opts)
		if err != nil {
			return nil, err
		}
		return m.Node(), nil
	}
	r, err := repl.NewReplica(store, upstream, opts)
	if err != nil {
		return nil, err
	}
	return r.Node(), nil
}

// resolve returns an error unless addr is a host and port that a connection can be
// tried to.
func resolve(ctx context.Context, addr string) error {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	if n, err := net.DefaultResolver.LookupPort(ctx, "tcp", port); err != nil {
		return err
	} else if n == 0 {
		return fmt.Errorf("address %s: nobody listens at port 0", addr)
	}
	_, err = net.DefaultResolver.LookupHost(ctx, host)
	return err
}

// A listening is a listener with its name.
type listening struct {
	what string
	net.Listener
}

// listeners returns those that there are.
func (n *node) listeners() []listening {
	var all []listening
	if n.httpListener != nil {
		all = append(all, listening{"http", n.httpListener})
	}
	if n.replListener != nil {
		all = append(all, listening{"repl", n.replListener})
	}
	if n.guard != nil {
		all = append(all, listening{"sentinel", n.guard.listener})
	}
	return all
}

// serve works until ctx ends, or something fails that should not, and then closes the
// node.
func (n *node) serve(ctx context.Context) error {
	failed := make(chan error, 4)
	var wg sync.WaitGroup
	if n.httpServer != nil {
		wg.Go(func() { failed <- n.httpServer.Serve(n.httpListener) })
	}
	if n.repl != nil {
		wg.Go(func() { failed <- n.repl.Serve(n.replListener) })
		wg.Go(func() { failed <- n.repl.Run(ctx) }) // follows as long as this node is a replica
	}
	if n.guard != nil {
		wg.Go(func() { failed <- n.guard.serve() })
	}
	rereading, stop := context.WithCancel(ctx)
	defer stop()
	if len(n.secrets) > 0 { // else a SIGHUP ends the process, as it ends others
		wg.Go(func() { n.rereadSecrets(rereading, n.secrets) })
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
		if ctx.Err() != nil {
			err = nil // that was Run
		}
	}
	stop()
	n.close()
	wg.Wait()
	return err
}

// close ends what there is: those who wait, requests, links, and the store.
func (n *node) close() {
	if n.httpServer != nil {
		n.cancel()
		ctx, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
		defer cancel()
		if n.httpServer.Shutdown(ctx) != nil {
			n.httpServer.Close()
		}
	}
	if n.guard != nil {
		n.guard.close()
	}
	if n.repl != nil {
		n.drain()
	}
	for _, l := range n.listeners() {
		l.Close() // a second time where it was served
	}
	if n.repl != nil {
		n.repl.Close()
	}
	if n.store != nil {
		if err := n.store.Close(); err != nil {
			n.log.Error("not everything is on disk", "err", err)
		}
	}
}
