package sentinel

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/emberkv/ember/repl"
)

// Errors of clients. ErrNoMaster is one, too.
var (
	// ErrNoSentinel is returned, as a [*NoSentinelError], when none of the sentinels has
	// answered. Try again; the error says why each failed.
	ErrNoSentinel = errors.New("sentinel: no sentinel answers")

	// ErrNotMaster is returned by [Transport.Dial] when the node that the sentinels name
	// answers and is not the master: it was just replaced, or is about to become it. Try
	// again.
	ErrNotMaster = errors.New("sentinel: the node is not the master")
)

// A NoSentinelError says why no sentinel has answered.
type NoSentinelError struct {
	Errs []error // one for each that has failed, and the context's if it has ended
}

func (e *NoSentinelError) Error() string {
	texts := make([]string, 0, len(e.Errs))
	for _, err := range e.Errs {
		texts = append(texts, strings.TrimPrefix(err.Error(), "repl: "))
	}
	return ErrNoSentinel.Error() + ": " + strings.Join(texts, "; ")
}

// Unwrap returns ErrNoSentinel and Errs.
func (e *NoSentinelError) Unwrap() []error { return append([]error{ErrNoSentinel}, e.Errs...) }

// ClientOptions say how a client speaks to sentinels and nodes. A nil pointer and the zero
// value of each field mean the default.
type ClientOptions struct {
	// Name is shown to sentinels and nodes, at most [repl.MaxNameBytes] of UTF-8. The
	// default is random.
	Name string

	// Transport dials sentinels and nodes. The default is TCP.
	Transport repl.Transport

	// Timeout is how long the handshake with a sentinel or a node may take, and then how
	// long it may be silent. The default is [repl.DefaultControlTimeout].
	Timeout time.Duration

	// Logger receives messages, one line for each link that ends. The default is silence.
	Logger *slog.Logger

	// Security has the group's secrets, if it has any.
	repl.Security
}

// MaxSentinels bounds the addresses that a client is given.
const MaxSentinels = MaxPeers + 1

// An asker asks the sentinels of a group.
type asker struct {
	sentinels []string
	opts      *repl.ControlOptions
}

// newAsker returns an asker, or an [*repl.OptionError] for what is wrong with the arguments.
func newAsker(sentinels []string, group string, o *ClientOptions) (*asker, error) {
	if o == nil {
		o = new(ClientOptions)
	}
	if n := len(sentinels); n == 0 || n > MaxSentinels {
		return nil, &repl.OptionError{Field: "len(sentinels)", Value: n, Want: "1 to 64 addresses"}
	}
	a := &asker{sentinels: slices.Clone(sentinels), opts: &repl.ControlOptions{
		ID: repl.NewNodeID(), Name: o.Name, Group: group, Transport: o.Transport, Security: o.Security,
		HandshakeTimeout: o.Timeout, Timeout: o.Timeout, Logger: o.Logger,
	}}
	a.opts.Secrets = slices.Clone(o.Secrets)
	if a.opts.Transport == nil {
		a.opts.Transport = &repl.TCP{}
	}
	if err := a.opts.Validate(); err != nil {
		return nil, err
	}
	return a, nil
}

// askMaster asks the sentinel at the other end of a link who the master is.
func askMaster(ctx context.Context, c *repl.Control, w who) (Reign, error) {
	body, err := c.Call(ctx, w.append(nil))
	if errors.Is(err, repl.ErrNotAsked) {
		return Reign{}, fmt.Errorf("%s: a node is there, and no sentinel: %w", c.Peer().Addr, err)
	}
	if err != nil {
		return Reign{}, err
	}
	return parseMaster(body)
}
