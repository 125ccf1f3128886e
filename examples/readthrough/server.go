package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"sync/atomic"

	"github.com/emberkv/ember/kv"
	"github.com/emberkv/ember/repl"
)

// A server is the service on one node:
//
//	GET  /products/ID   the product, as JSON, from the cache if it has it
//	GET  /uncached/ID   the same, always from the source
//	POST /load/ID       204, and the position at which the cache has it; on the master only
//	GET  /stats         what became of the requests so far
//
// An error is a status and a line of text: 404 for a product that there is not, 409 for a
// load on a replica, 502 when the source fails, 503 when the node closes.
type server struct {
	store *kv.Store
	cache *kv.Map[int, product]
	node  *repl.Node

	// Of products, by way of the cache.
	requests, hits atomic.Int64
}

// A report is what /stats answers.
type report struct {
	Requests int64 // of products, by way of the cache
	Hits     int64 // those of them that it had
	Cache    kv.MapStats
	Digest   kv.Digest
	Linked   bool  // a replica with its master
	Copies   int64 // full ones that a replica has taken
}

// answered returns how often the master's node has answered a replica.
func (r *report) answered() int64 { return r.Cache.Forwards - r.Cache.ForwardFailures }

func (s *server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /products/{id}", s.withID(s.get))
	mux.HandleFunc("GET /uncached/{id}", s.withID(s.uncached))
	mux.HandleFunc("POST /load/{id}", s.withID(s.load))
	mux.HandleFunc("GET /stats", s.stats)
	return mux
}

func (s *server) get(ctx context.Context, w http.ResponseWriter, id int) error {
	s.requests.Add(1)
	if has, err := s.cache.Has(id); err == nil && has {
		s.hits.Add(1)
	}
	p, err := s.cache.Load(ctx, id)
	if err != nil {
		return err
	}
	return writeJSON(w, p)
}

func (s *server) uncached(ctx context.Context, w http.ResponseWriter, id int) error {
	p, err := fetch(ctx, id)
	if err != nil {
		return err
	}
	return writeJSON(w, p)
}

// errReplica is returned for a load that was asked of the wrong node. It must not ask
// another one: two that take each other for the master would do so for ever.
var errReplica = errors.New("this node is a replica")

func (s *server) load(ctx context.Context, w http.ResponseWriter, id int) error {
	if s.node.Role() != repl.RoleMaster {
		return errReplica
	}
	if _, err := s.cache.Load(ctx, id); err != nil {
		return err
	}
	w.Header().Set(positionHeader, s.store.Position().String())
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *server) stats(w http.ResponseWriter, r *http.Request) {
	digest, err := s.store.Digest()
	if err == nil {
		n := report{Requests: s.requests.Load(), Hits: s.hits.Load(), Cache: s.cache.Stats(), Digest: digest}
		if up := s.node.Status().Upstream; up != nil {
			n.Linked, n.Copies = up.State == repl.LinkStreaming, up.Fulls
		}
		err = writeJSON(w, n)
	}
	if err != nil {
		fail(w, err)
	}
}

// withID makes a handler of a function that takes the product's number.
func (s *server) withID(do func(context.Context, http.ResponseWriter, int) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		id, err := strconv.Atoi(r.PathValue("id"))
		if err != nil {
			http.Error(w, "want a number: "+r.PathValue("id"), http.StatusBadRequest)
			return
		}
		if err := do(r.Context(), w, id); err != nil {
			fail(w, err)
		}
	}
}

func writeJSON(w http.ResponseWriter, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Write(append(body, '\n'))
	return nil
}

// fail answers with an error.
func fail(w http.ResponseWriter, err error) {
	status := http.StatusBadGateway
	switch {
	case errors.Is(err, kv.ErrNotFound):
		status = http.StatusNotFound
	case errors.Is(err, errReplica):
		status = http.StatusConflict
	case errors.Is(err, kv.ErrClosed):
		status = http.StatusServiceUnavailable
	}
	http.Error(w, err.Error(), status)
}
