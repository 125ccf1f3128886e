package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/emberkv/ember/kv"
	"github.com/emberkv/ember/repl"
)

// An answer is what a request gets.
type answer struct {
	status      int
	contentType string // empty for an empty body
	body        []byte
	allow       string // methods, with a 405
}

var done = answer{status: http.StatusNoContent}

func asText(status int, text string) answer {
	return answer{status: status, contentType: "text/plain; charset=utf-8", body: []byte(text)}
}

func asJSON(v any) (answer, error) {
	body, err := json.Marshal(v)
	return answer{status: http.StatusOK, contentType: "application/json", body: append(body, '\n')}, err
}

// A requestError is what is wrong with a request, or why it cannot be done here and
// now.
type requestError struct {
	status int
	text   string
}

func (e *requestError) Error() string { return e.text }

func refuse(status int, format string, args ...any) error {
	return &requestError{status, fmt.Sprintf(format, args...)}
}

// A methodError says that a path has no such method.
type methodError struct {
	method  string
	allowed methods
}

func (e *methodError) Error() string {
	return fmt.Sprintf("method is %s, want %s", e.method, e.allow())
}

func (e *methodError) allow() string {
	return strings.Join(slices.Sorted(maps.Keys(e.allowed)), ", ")
}

// failure turns an error into an answer. It knows those of the packages that the API is
// made of; any other is this program's mistake.
func failure(err error) answer {
	status, text := http.StatusInternalServerError, ""
	for _, verdict := range []func(error) (int, string){ofRequest, ofGroup, ofStore} {
		if s, t := verdict(err); s != 0 {
			status, text = s, t
			break
		}
	}
	if text == "" {
		text = err.Error()
	}
	a := asText(status, text+"\n")
	if method := (*methodError)(nil); errors.As(err, &method) {
		a.allow = method.allow()
	}
	return a
}

// ofRequest, ofGroup and ofStore return the status for an error, 0 if it is not of their kind, and a text,
// which is empty if the error's own will do. This one is of errors that the request has made.
func ofRequest(err error) (status int, text string) {
	var (
		request  *requestError
		tooLarge *http.MaxBytesError
	)
	switch {
	case errors.As(err, &request):
		return request.status, ""
	case errors.As(err, new(*methodError)):
		return http.StatusMethodNotAllowed, ""
	case errors.As(err, &tooLarge):
		return http.StatusRequestEntityTooLarge, fmt.Sprintf("value is larger than %d bytes", tooLarge.Limit)
	case errors.Is(err, kv.ErrNotFound):
		return http.StatusNotFound, ""
	case errors.Is(err, kv.ErrEmptyKey), errors.Is(err, kv.ErrInvalid):
		return http.StatusBadRequest, ""
	case errors.Is(err, kv.ErrTooLarge): // the value was looked at
		return http.StatusRequestURITooLong, ""
	}
	return 0, ""
}

// ofGroup is of what this node is in its group, and of how the others are.
func ofGroup(err error) (status int, text string) {
	var (
		readOnly *repl.ReadOnlyError
		fenced   *repl.FencedError
	)
	bare := strings.TrimPrefix(err.Error(), "repl: ")
	switch {
	case errors.As(err, &readOnly):
		return http.StatusForbidden, fmt.Sprintf("READONLY this node is a replica and follows %s; write to the master", readOnly.Master)
	case errors.As(err, &fenced):
		return http.StatusForbidden, fmt.Sprintf("READONLY this node has heard of another master, from %s, and follows nobody yet; write to that", fenced.By)
	case errors.Is(err, kv.ErrLost), errors.Is(err, repl.ErrLost), errors.Is(err, repl.ErrRoleChanged):
		return http.StatusConflict, ""
	case errors.Is(err, repl.ErrNoFollower):
		return http.StatusNotFound, bare
	case errors.As(err, new(*repl.HandoverError)) && errors.Is(err, repl.ErrInDoubt):
		return http.StatusServiceUnavailable, bare + "; this node follows it now: promote this one if that is not a master"
	case errors.As(err, new(*repl.HandoverError)):
		return http.StatusServiceUnavailable, bare + "; this node goes on as the master"
	case errors.Is(err, kv.ErrClosed), errors.Is(err, repl.ErrClosed), errors.Is(err, context.Canceled):
		return http.StatusServiceUnavailable, "this node is closing"
	case errors.Is(err, repl.ErrNotEnoughReplicas), errors.Is(err, repl.ErrNoLease): // nothing was written
		return http.StatusServiceUnavailable, bare
	case errors.Is(err, repl.ErrNotAcked): // it was
		return http.StatusGatewayTimeout, "NOTACKED the write stands, but too few replicas have said in time that they have it"
	}
	return 0, ""
}

// ofStore is of the store and its disk.
func ofStore(err error) (status int, text string) {
	switch {
	case errors.As(err, new(*kv.NotDurableError)): // it was written, too
		return http.StatusGatewayTimeout, "NOTDURABLE the write stands, but is not on disk yet: " + err.Error()
	case errors.Is(err, kv.ErrDisk):
		return http.StatusServiceUnavailable, "MISCONF " + err.Error()
	case errors.Is(err, kv.ErrInMemory):
		return http.StatusConflict, "this node keeps nothing on disk; see -dir"
	case errors.Is(err, kv.ErrStale):
		return http.StatusServiceUnavailable, "STALE this node is cut off from its master, or too far behind; ask another"
	case errors.Is(err, kv.ErrFull):
		return http.StatusInsufficientStorage, ""
	}
	return 0, ""
}
