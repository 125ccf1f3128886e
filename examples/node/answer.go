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
	var (
		request  *requestError
		method   *methodError
		tooLarge *http.MaxBytesError
		readOnly *repl.ReadOnlyError
		fenced   *repl.FencedError
		invalid  *kv.InvalidError
		late     *kv.NotDurableError
	)
	text := err.Error()
	status := http.StatusInternalServerError
	switch {
	case errors.As(err, &request):
		status = request.status
	case errors.As(err, &method):
		status = http.StatusMethodNotAllowed
	case errors.As(err, &readOnly):
		status = http.StatusForbidden
		text = fmt.Sprintf("READONLY this node is a replica and follows %s; write to the master", readOnly.Master)
	case errors.As(err, &fenced):
		status = http.StatusForbidden
		text = fmt.Sprintf("READONLY this node has heard of another master, from %s, and follows nobody yet; write to that", fenced.By)
	case errors.As(err, &tooLarge):
		status = http.StatusRequestEntityTooLarge
		text = fmt.Sprintf("value is larger than %d bytes", tooLarge.Limit)
	case errors.Is(err, kv.ErrNotFound):
		status = http.StatusNotFound
	case errors.Is(err, kv.ErrEmptyKey), errors.As(err, &invalid):
		status = http.StatusBadRequest
	case errors.Is(err, kv.ErrTooLarge): // the value was looked at
		status = http.StatusRequestURITooLong
	case errors.Is(err, kv.ErrLost), errors.Is(err, repl.ErrLost), errors.Is(err, repl.ErrRoleChanged):
		status = http.StatusConflict
	case errors.Is(err, repl.ErrNoFollower):
		status, text = http.StatusNotFound, strings.TrimPrefix(text, "repl: ")
	case errors.As(err, new(*repl.HandoverError)):
		status, text = http.StatusServiceUnavailable, strings.TrimPrefix(text, "repl: ")
		if errors.Is(err, repl.ErrInDoubt) {
			text += "; this node follows it now: promote this one if that is not a master"
		} else {
			text += "; this node goes on as the master"
		}
	case errors.Is(err, kv.ErrClosed), errors.Is(err, repl.ErrClosed), errors.Is(err, context.Canceled):
		status, text = http.StatusServiceUnavailable, "this node is closing"
	case errors.Is(err, repl.ErrNotEnoughReplicas), errors.Is(err, repl.ErrNoLease): // nothing was written
		status, text = http.StatusServiceUnavailable, strings.TrimPrefix(text, "repl: ")
	case errors.Is(err, repl.ErrNotAcked): // it was
		status, text = http.StatusGatewayTimeout, "NOTACKED the write stands, but too few replicas have said in time that they have it"
	case errors.As(err, &late): // it was written, too
		status, text = http.StatusGatewayTimeout, "NOTDURABLE the write stands, but is not on disk yet: "+text
	case errors.Is(err, kv.ErrDisk):
		status, text = http.StatusServiceUnavailable, "MISCONF "+text
	case errors.Is(err, kv.ErrInMemory):
		status, text = http.StatusConflict, "this node keeps nothing on disk; see -dir"
	case errors.Is(err, kv.ErrStale):
		status, text = http.StatusServiceUnavailable, "STALE this node is cut off from its master, or too far behind; ask another"
	case errors.Is(err, kv.ErrFull):
		status = http.StatusInsufficientStorage
	}
	a := asText(status, text+"\n")
	if method != nil {
		a.allow = method.allow()
	}
	return a
}
