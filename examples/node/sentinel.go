package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/repl"
	"github.com/emberkv/ember/repl/sentinel"
)

// A guard is a sentinel with its address and what it keeps on disk.
type guard struct {
	sentinel *sentinel.Sentinel
	listener net.Listener
	store    *sentinel.FileStore // nil without -dir
}

// openGuard takes the address and starts the sentinel, which finds the group by the nodes at
// monitor. On an error nothing is left open.
func openGuard(c config, monitor []string, secrets []repl.Secret, log *slog.Logger) (*guard, error) {
	g := &guard{}
	if err := g.open(c, monitor, secrets, log); err != nil {
		g.close()
		return nil, err
	}
	return g, nil
}

func (g *guard) open(c config, monitor []string, secrets []repl.Secret, log *slog.Logger) (err error) {
	if g.listener, err = net.Listen("tcp", c.sentinel.addr); err != nil {
		return fmt.Errorf("-sentinel: %w", err)
	}
	opts := &sentinel.Options{
		Name:            c.name,
		Group:           c.group,
		Monitor:         monitor,
		Quorum:          c.sentinel.quorum,
		DownAfter:       c.sentinel.downAfter,
		FailoverTimeout: c.sentinel.failoverTimeout,
		ParallelSyncs:   c.sentinel.parallelSyncs,
		MinHeard:        c.sentinel.minHeard,
		Announce:        g.listener.Addr().String(),
		OnEvent:         func(e sentinel.Event) { tellEvent(log, e) },
		Logger:          slog.New(warnings{log.Handler()}),
		Security:        repl.Security{Secrets: secrets},
		Scripts: sentinel.Scripts{
			NotificationScript: c.sentinel.notificationScript,
			ReconfigScript:     c.sentinel.reconfigScript,
		},
	}
	if c.dir != "" {
		// A folder of its own: that of the store belongs to package kv.
		if g.store, err = sentinel.OpenFileStore(filepath.Join(c.dir, "sentinel", "state")); err != nil {
			return unusable(err)
		}
		opts.Store = g.store
	}
	if g.sentinel, err = sentinel.New(opts); err != nil {
		return c.typed.explain(err)
	}
	return nil
}

// warnings is a handler for what a sentinel says beside its events, which OnEvent is told.
type warnings struct{ slog.Handler }

func (w warnings) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn && w.Handler.Enabled(ctx, level)
}

// tellEvent writes an event into the log, under Redis' name.
func tellEvent(log *slog.Logger, e sentinel.Event) {
	level := slog.LevelInfo
	if e.Kind.Warning() {
		level = slog.LevelWarn
	}
	log.Log(context.Background(), level, e.Kind.String(), "about", e.Message())
}

// serve answers other sentinels and clients until the guard is closed.
func (g *guard) serve() error { return g.sentinel.Serve(g.listener) }

// close ends what there is. It may be called twice.
func (g *guard) close() {
	if g.listener != nil {
		g.listener.Close()
	}
	if g.sentinel != nil {
		g.sentinel.Close()
	}
	if g.store != nil {
		g.store.Close()
	}
}

// routes are the sentinel's part of the API.
func (g *guard) routes(w *waits) map[string]methods {
	return map[string]methods{
		"/master":   {"GET": g.master},
		"/sentinel": {"GET": g.status},
		"/failover": {"POST": func(r *http.Request) (answer, error) { return g.failover(r, w) }},
		"/reset":    {"POST": g.reset},
	}
}

// A master says who takes the writes.
type master struct {
	Addr    string        `json:"addr"` // its -repl
	Name    string        `json:"name"`
	Epoch   backlog.Epoch `json:"epoch"`             // which grows with each change of the master
	Warning string        `json:"warning,omitempty"` // why it may take none, or have no successor, as far as this sentinel can tell
}

func (g *guard) master(r *http.Request) (answer, error) {
	if _, err := parameters(r); err != nil {
		return answer{}, err
	}
	st := g.sentinel.Status()
	if st.Master.IsZero() {
		return answer{}, refuse(http.StatusServiceUnavailable, "no master is known: %s", st.Missing)
	}
	_, quorum := g.sentinel.CheckQuorum()
	return asJSON(master{st.Master.Addr, st.Master.Name, st.Master.Epoch, doubts(&st, quorum)})
}

// doubts returns what speaks against writing to the master that a sentinel knows, and against its being
// replaced if it falls; quorum is what CheckQuorum has returned.
func doubts(st *sentinel.Status, quorum error) string {
	var all []string
	for _, n := range st.Nodes {
		if n.ID == st.Master.ID && n.SDown {
			all = append(all, fmt.Sprintf("this sentinel has not heard it for %v", n.Silent.Round(time.Millisecond)))
		}
	}
	if st.ODown {
		all = append(all, fmt.Sprintf("as many sentinels as the quorum, %d, find it down", st.Quorum))
	}
	if quorum != nil {
		all = append(all, bare(quorum))
	}
	return strings.Join(all, "; ")
}

func (g *guard) status(r *http.Request) (answer, error) {
	if _, err := parameters(r); err != nil {
		return answer{}, err
	}
	return asJSON(g.sentinel.Status())
}

// failover has another node made the master, although the present one may be well.
func (g *guard) failover(r *http.Request, w *waits) (answer, error) {
	q, err := parameters(r, "timeout")
	if err != nil {
		return answer{}, err
	}
	timeout := maxWait
	if q.Has("timeout") {
		if timeout, err = span("timeout", q.Get("timeout"), minHandover, maxWait); err != nil {
			return answer{}, err
		}
	}
	leave, err := w.enter()
	if err != nil {
		return answer{}, err
	}
	defer leave()
	ctx, cancel := context.WithTimeout(r.Context(), timeout)
	defer cancel()
	err = g.sentinel.Failover(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		return answer{}, refuse(http.StatusGatewayTimeout, "no other node has become the master within %v; the failover goes on, see GET /sentinel", timeout)
	}
	if _, quorum := g.sentinel.CheckQuorum(); err != nil && quorum != nil {
		err = fmt.Errorf("%w; %s", err, bare(quorum))
	}
	return done, unavailable(err)
}

// reset lets the sentinel forget who is there and find out anew.
func (g *guard) reset(r *http.Request) (answer, error) {
	if _, err := parameters(r); err != nil {
		return answer{}, err
	}
	return done, unavailable(g.sentinel.Reset())
}

// unavailable makes what a sentinel cannot do now a 503.
func unavailable(err error) error {
	if err == nil {
		return nil
	}
	return refuse(http.StatusServiceUnavailable, "%s", bare(err))
}

// bare returns the text of an error without the name of the package.
func bare(err error) string { return strings.TrimPrefix(err.Error(), "sentinel: ") }
