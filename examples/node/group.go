package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/repl"
)

// Bounds of POST /wait and POST /handover.
const (
	defaultWait = time.Second
	maxWait     = time.Minute
	maxReplicas = 1 << 16

	defaultHandover = time.Second
	minHandover     = time.Millisecond
)

func (s *server) info(r *http.Request) (answer, error) {
	_, err := parameters(r)
	disk, _ := s.store.Disk() // the zero one is that of a store in memory
	return asText(http.StatusOK, s.node.Status().Info()+"\r\n"+disk.Info()), err
}

func (s *server) status(r *http.Request) (answer, error) {
	if _, err := parameters(r); err != nil {
		return answer{}, err
	}
	return asJSON(s.node.Status())
}

// A digest says what a node holds, in brief. Two nodes at one position have the same.
type digest struct {
	Digest   string           `json:"digest"` // 16 hexadecimal digits
	Keys     int64            `json:"keys"`
	Position backlog.Position `json:"position"`
}

func (s *server) digest(r *http.Request) (answer, error) {
	if _, err := parameters(r); err != nil {
		return answer{}, err
	}
	d, err := s.store.Digest()
	if err != nil {
		return answer{}, err
	}
	return asJSON(digest{fmt.Sprintf("%016x", d.Sum), d.Keys, d.Position})
}

// wait answers how many replicas have applied what the request's position says, or all
// that this node has: in time, as many as were asked for, and otherwise fewer.
func (s *server) wait(r *http.Request) (answer, error) {
	q, err := parameters(r, "replicas", "timeout")
	if err != nil {
		return answer{}, err
	}
	n, err := strconv.Atoi(q.Get("replicas"))
	if err != nil || n < 0 || n > maxReplicas {
		return answer{}, refuse(http.StatusBadRequest, "replicas is %q, want 0 to %d", q.Get("replicas"), maxReplicas)
	}
	timeout := defaultWait
	if q.Has("timeout") {
		if timeout, err = span("timeout", q.Get("timeout"), 0, maxWait); err != nil {
			return answer{}, err
		}
	}
	pos, sent, err := sentPosition(r)
	if err != nil {
		return answer{}, err
	}
	if !sent {
		pos = s.store.Position()
	}
	m, err := s.node.Master()
	if errors.Is(err, repl.ErrRoleChanged) {
		return answer{}, refuse(http.StatusConflict, "this node is a replica; ask the master who has what")
	} else if err != nil {
		return answer{}, err
	}
	leave, err := s.waits.enter()
	if err != nil {
		return answer{}, err
	}
	defer leave()
	ctx, cancel := context.WithTimeout(r.Context(), timeout)
	defer cancel()
	reached, err := m.Wait(ctx, pos, n)
	if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return answer{}, err
	}
	return asJSON(map[string]int{"replicas": reached})
}

// save writes a snapshot of the store to its folder, and answers when it is there.
func (s *server) save(r *http.Request) (answer, error) {
	if _, err := parameters(r); err != nil {
		return answer{}, err
	}
	pos, err := s.store.Save(r.Context())
	if err != nil {
		return answer{}, err
	}
	return asJSON(map[string]backlog.Position{"position": pos})
}

// follow makes this node a replica of the one at addr, whatever it was. The link comes
// up afterwards: GET /status tells.
func (s *server) follow(r *http.Request) (answer, error) {
	q, err := parameters(r, "addr", "allow")
	if err != nil {
		return answer{}, err
	}
	var allow []repl.Allow
	for _, what := range q["allow"] {
		switch what {
		case "empty":
			allow = append(allow, repl.AllowEmpty)
		case "foreign":
			allow = append(allow, repl.AllowForeign)
		default:
			return answer{}, refuse(http.StatusBadRequest, "allow is %q, want empty or foreign", what)
		}
	}
	addr := q.Get("addr")
	// A master that has followed a slip of the pen takes no writes until it is promoted.
	if addr == "" {
		return answer{}, refuse(http.StatusBadRequest, "addr is missing, want host:port, the -repl of a node")
	} else if err := resolve(r.Context(), addr); err != nil {
		return answer{}, refuse(http.StatusBadRequest, "addr: %v", err)
	} else if addr == s.node.Status().Announce {
		return answer{}, refuse(http.StatusBadRequest, "addr is %s, which is this node", addr)
	}
	_, err = s.node.Follow(addr, allow...)
	return done, err
}

// handover makes one of this node's replicas the master, with all that this one has, and
// this node its replica. Writes that come meanwhile wait.
func (s *server) handover(r *http.Request) (answer, error) {
	q, err := parameters(r, "to", "timeout")
	if err != nil {
		return answer{}, err
	}
	timeout := defaultHandover
	if q.Has("timeout") {
		if timeout, err = span("timeout", q.Get("timeout"), minHandover, maxWait); err != nil {
			return answer{}, err
		}
	}
	if q.Get("to") == "" {
		return answer{}, refuse(http.StatusBadRequest, "to is missing, want the name or the id of a replica")
	}
	m, err := s.node.Master()
	if errors.Is(err, repl.ErrRoleChanged) {
		return answer{}, refuse(http.StatusConflict, "this node is a replica; ask the master to hand over")
	} else if err != nil {
		return answer{}, err
	}
	// Whoever has asked may go away: half of a handover is none.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), timeout)
	defer cancel()
	_, err = m.Handover(ctx, q.Get("to"))
	return done, err
}

// promote makes this node a master. One that is a master already stays as it is.
func (s *server) promote(r *http.Request) (answer, error) {
	if _, err := parameters(r); err != nil {
		return answer{}, err
	}
	replica, err := s.node.Replica()
	if errors.Is(err, repl.ErrRoleChanged) {
		return done, nil
	}
	if err == nil {
		_, err = replica.Promote(r.Context())
	}
	return done, err
}

// disarm lets this node take writes without a lease, when its sentinels are gone.
func (s *server) disarm(r *http.Request) (answer, error) {
	if _, err := parameters(r); err != nil {
		return answer{}, err
	}
	s.node.Disarm()
	return done, nil
}
