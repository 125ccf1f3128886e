package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/kv"
	"github.com/emberkv/ember/repl"
)

// positionHeader carries a place in the group's log, in both directions.
const positionHeader = "Ember-Position"

// positionTimeout is how long a GET waits for the position that it was sent.
const positionTimeout = 5 * time.Second

// A server is the HTTP API. It keeps nothing of its own but the counts of what requests hold, and of
// those that wait.
type server struct {
	store  *kv.Store  // nil for a sentinel alone
	node   *repl.Node // nil for a sentinel alone
	routes map[string]methods
	sites  http.CrossOriginProtection
	bodies bodies
	waits  waits
}

// methods are what can be done with a path.
type methods map[string]handler

// A handler does what a request asks for. It may be called concurrently.
type handler func(*http.Request) (answer, error)

// newServer returns the API to a store and its node, if there are such, and to a sentinel, if
// there is one.
func newServer(store *kv.Store, n *repl.Node, g *guard) *server {
	s := &server{store: store, node: n, routes: make(map[string]methods)}
	if store != nil {
		s.routes = map[string]methods{
			keysPath:    {"GET": s.get, "PUT": s.put, "DELETE": s.delete},
			"/keys":     {"GET": s.list},
			"/digest":   {"GET": s.digest},
			"/info":     {"GET": s.info},
			"/status":   {"GET": s.status},
			"/wait":     {"POST": s.wait},
			"/save":     {"POST": s.save},
			"/follow":   {"POST": s.follow},
			"/handover": {"POST": s.handover},
			"/promote":  {"POST": s.promote},
			"/disarm":   {"POST": s.disarm},
		}
	}
	if g != nil {
		maps.Copy(s.routes, g.routes(&s.waits))
	}
	return s
}

// ServeHTTP answers a request. It does not use an http.ServeMux, which cleans paths:
// "a//b" and ".." are keys like any other.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a, err := s.serve(r)
	if errors.Is(err, repl.ErrNotEnoughReplicas) {
		err = fmt.Errorf("%w, have %d", err, s.node.Status().NearReplicas)
	}
	if err != nil {
		a = failure(err)
	}
	h := w.Header()
	if s.store != nil {
		// Asked for at last, it is at or behind all that the answer shows.
		h.Set(positionHeader, s.store.Position().String())
	}
	if a.allow != "" {
		h.Set("Allow", a.allow)
	}
	if a.contentType != "" {
		h.Set("Content-Type", a.contentType)
		h.Set("X-Content-Type-Options", "nosniff")
	}
	w.WriteHeader(a.status)
	w.Write(a.body)
}

func (s *server) serve(r *http.Request) (answer, error) {
	path := r.URL.EscapedPath()
	if strings.HasPrefix(path, keysPath) {
		path = keysPath
	}
	can, ok := s.routes[path]
	if !ok {
		return answer{}, refuse(http.StatusNotFound, "nothing is at %s", path)
	}
	method := r.Method
	if method == http.MethodHead { // net/http leaves the body out
		method = http.MethodGet
	}
	do, ok := can[method]
	if !ok {
		return answer{}, &methodError{method: r.Method, allowed: can}
	}
	// Loopback is no wall against a browser on the same machine: any page can have it
	// POST here.
	if err := s.sites.Check(r); err != nil {
		return answer{}, refuse(http.StatusForbidden, "a page of another site wants this: %v", err)
	}
	if method == http.MethodGet && s.store != nil {
		if err := s.await(r); err != nil {
			return answer{}, err
		}
	}
	return do(r)
}

// await waits until this node has the position that r carries, if it does.
func (s *server) await(r *http.Request) error {
	pos, ok, err := sentPosition(r)
	if !ok || err != nil {
		return err
	}
	// A replica may hear of a history that it does not know from its upstream at any
	// moment. A master will not: it makes its own.
	if s.node.Role() == repl.RoleMaster && !s.store.Log().Lineage().Knows(pos.History) {
		return refuse(http.StatusConflict, "position %s is in no history of this node, and it is the master", pos)
	}
	over, cancel := context.WithCancel(r.Context())
	cancel()
	if err := s.store.Wait(over, pos); !errors.Is(err, context.Canceled) {
		return err // it is here, or lost: nothing to wait for
	}
	leave, err := s.waits.enter()
	if err != nil {
		return err
	}
	defer leave()
	ctx, cancel := context.WithTimeout(r.Context(), positionTimeout)
	defer cancel()
	err = s.store.Wait(ctx, pos)
	if errors.Is(err, context.DeadlineExceeded) {
		return refuse(http.StatusGatewayTimeout, "position %s has not come within %v; this node is at %s",
			pos, positionTimeout, s.store.Position())
	}
	return err
}

// sentPosition returns the position that a request carries, and whether it does.
func sentPosition(r *http.Request) (backlog.Position, bool, error) {
	text := r.Header.Get(positionHeader)
	if text == "" {
		return backlog.Position{}, false, nil
	}
	pos, err := backlog.ParsePosition(text)
	if err != nil {
		return pos, false, refuse(http.StatusBadRequest, "%s: %v", positionHeader, err)
	}
	return pos, true, nil
}

// parameters returns a request's query, in which no other names than those may be: one
// that is misspelt must not be taken for one that is not there.
func parameters(r *http.Request, names ...string) (url.Values, error) {
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "query: %v", err)
	}
	for name := range q {
		if !slices.Contains(names, name) {
			return nil, refuse(http.StatusBadRequest, "unknown parameter %q", name)
		}
	}
	return q, nil
}

// span reads a parameter that is a length of time, from least to most.
func span(name, text string, least, most time.Duration) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil || d < least || d > most {
		return 0, refuse(http.StatusBadRequest, "%s is %q, want %v to %v", name, text, least, most)
	}
	return d, nil
}
