package sentinel

import (
	"fmt"
	"log/slog"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/emberkv/ember/repl"
)

// Defaults of Options.
const (
	DefaultQuorum          = 2
	DefaultDownAfter       = time.Second
	DefaultFailoverTimeout = time.Minute
	DefaultParallelSyncs   = 4
	DefaultForgetAfter     = 24 * time.Hour
)

// Limits of Options.
const (
	MinDownAfter = 20 * time.Millisecond
	MaxDownAfter = time.Hour
	MaxMonitor   = 64 // addresses in Options.Monitor
)

// Options configure a sentinel. The zero value of each field means the default, except
// Monitor, which must name an address. [New] copies and checks them, and returns a
// [*repl.OptionError] or a [*ScriptError] for the first that is invalid.
type Options struct {
	// ID names the sentinel among its peers. The default is the one in Store, or a random
	// one, which is kept there.
	ID repl.NodeID

	// Name is shown to peers and in status, at most [repl.MaxNameBytes] of UTF-8. The
	// default is the first digits of ID.
	Name string

	// Group is the Options.Group of the nodes that are watched.
	Group string

	// Monitor lists addresses of nodes of the group, at least one; one of them has to be
	// reachable at the start. Everybody else is found from there: the master, the replicas,
	// replicas of replicas, and the other sentinels.
	Monitor []string

	// Quorum is how many sentinels must find the master down, this one included, before they look for
	// another. Promoting one takes a majority of all sentinels, too. A master needs the larger of the two
	// for its lease, so with a quorum above a majority it stops when a few sentinels are gone. The default
	// is 2, which is right for three; all should have the same.
	Quorum int

	// DownAfter is how long a node has to be silent until this sentinel takes it for down,
	// and so about how long the group is without a master when one fails. It must be more
	// than the longest round trip and pause. Nodes hold a lease for four fifths of it. The
	// default is 1 s; all sentinels of a group must have the same.
	DownAfter time.Duration

	// FailoverTimeout bounds the waits of a failover: for the promotion, after which another
	// replica is tried, and then for the others to follow the new master. The default is 1
	// min.
	FailoverTimeout time.Duration

	// ParallelSyncs is how many replicas are told at a time to follow a new master. One that
	// needs a full copy serves its old data until that is complete, and those that wait
	// together share one. The default is 4.
	ParallelSyncs int

	// MinHeard is how many replicas must have been heard before one is promoted. If it is at least R-n+1, a write
	// that n of R replicas have, see [repl.Master.Wait], is certain to survive a failover, except one on demand that
	// cannot make the old master step down. The default is 1; with more, a group in which fewer can be heard stays
	// without a master.
	MinHeard int

	// ForgetAfter is when a node that cannot be reached is forgotten, and a sentinel that
	// never could be and that nobody tells of any more. The default is 24 h.
	ForgetAfter time.Duration

	// Announce is the address at which peers and clients may reach the listener of this
	// sentinel. The default is that of the first listener; nodes replace an unspecified
	// host, as in "0.0.0.0:9000", by the one that they see.
	Announce string

	// Transport dials nodes and peers. The default is TCP.
	Transport repl.Transport

	// Store keeps what must outlast the sentinel. The default is a new [MemoryStore], which is
	// for tests; otherwise see [OpenFileStore].
	Store Store

	// OnEvent, if it is not nil, is called with each event, one after the other, on a goroutine of its
	// own, perhaps before New returns. It may block; see [MaxEvents].
	OnEvent func(Event)

	// Logger receives the sentinel's messages, one line an event, and warnings, such as that
	// a node is not Supervised, or that nobody answers at an address of Monitor, and why. The
	// default is silence.
	Logger *slog.Logger

	repl.Security
	Scripts
}

func (o *Options) normalize() (*Options, error) {
	var n Options
	if o != nil {
		n = *o
	}
	if n.Transport == nil {
		n.Transport = &repl.TCP{}
	}
	if n.Logger == nil {
		n.Logger = slog.New(slog.DiscardHandler)
	}
	if n.Store == nil {
		n.Store = new(MemoryStore)
	}
	setDefault(&n.Quorum, DefaultQuorum)
	setDefault(&n.DownAfter, DefaultDownAfter)
	setDefault(&n.FailoverTimeout, max(DefaultFailoverTimeout, 2*n.DownAfter))
	setDefault(&n.ParallelSyncs, DefaultParallelSyncs)
	setDefault(&n.MinHeard, 1)
	setDefault(&n.ForgetAfter, max(DefaultForgetAfter, 2*n.DownAfter))
	n.Monitor, n.Secrets = slices.Clone(n.Monitor), slices.Clone(n.Secrets)
	if err := n.Scripts.normalize(); err != nil {
		return nil, err
	}
	return &n, n.check()
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func (o *Options) check() error {
	for _, c := range []struct {
		field string
		value any
		ok    bool
		want  string
	}{
		{"Name", o.Name, len(o.Name) <= repl.MaxNameBytes && utf8.ValidString(o.Name), "at most 64 bytes of UTF-8"},
		{"Group", o.Group, len(o.Group) <= repl.MaxNameBytes && utf8.ValidString(o.Group), "at most 64 bytes of UTF-8"},
		{"len(Monitor)", len(o.Monitor), len(o.Monitor) > 0 && len(o.Monitor) <= MaxMonitor, "1 to 64 addresses"},
		{"Quorum", o.Quorum, o.Quorum > 0 && o.Quorum <= MaxPeers+1, "1 to 64"},
		{"DownAfter", o.DownAfter, o.DownAfter >= MinDownAfter && o.DownAfter <= MaxDownAfter, "20ms to 1h"},
		{"FailoverTimeout", o.FailoverTimeout, o.FailoverTimeout >= o.DownAfter, "at least DownAfter"},
		{"ParallelSyncs", o.ParallelSyncs, o.ParallelSyncs > 0, "at least 1"},
		{"MinHeard", o.MinHeard, o.MinHeard > 0, "at least 1"},
		{"ForgetAfter", o.ForgetAfter, o.ForgetAfter >= 2*o.DownAfter, "at least twice DownAfter"},
		{"Announce", o.Announce, len(o.Announce) <= repl.MaxAnnounceBytes && utf8.ValidString(o.Announce), "at most 255 bytes of UTF-8"},
	} {
		if !c.ok {
			return &repl.OptionError{Field: c.field, Value: c.value, Want: c.want}
		}
	}
	for i, addr := range o.Monitor {
		if addr == "" || len(addr) > MaxAddrBytes {
			return &repl.OptionError{Field: fmt.Sprintf("Monitor[%d]", i), Value: addr, Want: "an address of at most 255 bytes"}
		}
	}
	return nil
}

// pollEvery returns how often a node is asked how it is.
func (o *Options) pollEvery() time.Duration { return min(o.DownAfter/8, time.Second) }

// tellEvery returns how often a peer is told this sentinel's state, and asked for its own.
func (o *Options) tellEvery() time.Duration { return min(o.DownAfter/2, time.Second) }

// Bounds of a line. One on which nothing has come for longer than two DownAfter is dialled
// anew; a handshake takes some round trips.
const (
	minLineTimeout = 100 * time.Millisecond
	minHandshake   = time.Second
	maxHandshake   = 10 * time.Second
)

// control returns what control links are dialled and served with.
func (o *Options) control() *repl.ControlOptions {
	return &repl.ControlOptions{
		ID: o.ID, Name: o.Name, Group: o.Group, Announce: o.Announce, Transport: o.Transport, Security: o.Security,
		HandshakeTimeout: min(max(5*o.DownAfter, minHandshake), max(maxHandshake, 2*o.DownAfter)),
		Timeout:          min(max(2*o.DownAfter, minLineTimeout), time.Hour),
		Logger:           o.Logger,
	}
}
