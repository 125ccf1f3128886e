package repl

import (
	"log/slog"
	"slices"
	"time"
)

// ControlOptions configure an end of control links that is no node: what [DialControl] dials
// with, and a [ControlServer] answers with. A nil pointer and the zero value of each field mean
// the default. They are copied.
type ControlOptions struct {
	// ID names this end to the other one; the default is random. A link between two ends
	// of the same id is refused.
	ID NodeID

	// Name is shown to peers, at most 64 bytes of UTF-8. The default is the first
	// digits of ID.
	Name string

	// Group must be the same at both ends of a link, at most 64 bytes of UTF-8.
	Group string

	// Announce is the address at which peers may reach this end, at most 255 bytes of UTF-8; see
	// [Options]. The default is none.
	Announce string

	// Transport dials. The default is TCP.
	Transport Transport

	Security

	// HandshakeTimeout bounds dialling and the handshake together. The default
	// is 5 s.
	HandshakeTimeout time.Duration

	// Timeout is how long the other end may be silent, or take over one frame. An idle link is
	// proved alive three times in this time. The default is 3 s, the least 3 ms, the most 1 h.
	// It must be longer than a round trip.
	Timeout time.Duration

	// MaxLinks is how many links a ControlServer serves at once. A further one is refused with
	// [ErrBusy]. The default is 1000. A link takes some 10 KiB, and what is under way on it: at
	// most MaxRequests times MaxCallBytes, and as much for the answers.
	MaxLinks int

	// MaxHandshakes is how many connections to a ControlServer may be in their handshake at once;
	// see [Options]. The default is 64.
	MaxHandshakes int

	// Logger receives messages, one line for each change of a link. The default is silence.
	Logger *slog.Logger
}

// Defaults of ControlOptions.
const (
	DefaultControlTimeout = 3 * time.Second
	DefaultMaxLinks       = 1000
)

// MaxRequests is how many requests may be under way on a control link. A further one waits
// its turn.
const MaxRequests = 32

// normalize returns a copy of o with the defaults filled in, or the first
// thing that is wrong with it.
func (o *ControlOptions) normalize() (*ControlOptions, error) {
	var n ControlOptions
	if o != nil {
		n = *o
	}
	setEndDefaults(&n.ID, &n.Name, &n.Transport, &n.Logger)
	setDefault(&n.HandshakeTimeout, DefaultHandshakeTimeout)
	setDefault(&n.Timeout, DefaultControlTimeout)
	setDefault(&n.MaxLinks, DefaultMaxLinks)
	setDefault(&n.MaxHandshakes, DefaultMaxHandshakes)
	n.Secrets = slices.Clone(n.Secrets)
	return &n, n.check()
}

// Validate returns an [*OptionError] for the first thing that is wrong with o, as [DialControl] and
// [NewControlServer] do, for programs that dial later and want to know now. Nil is valid.
func (o *ControlOptions) Validate() error {
	_, err := o.normalize()
	return err
}

func (o *ControlOptions) check() error {
	return checkOptions(o.Secrets, o.Transport, []optionCheck{
		shortText("Name", o.Name, MaxNameBytes),
		shortText("Group", o.Group, MaxNameBytes),
		shortText("Announce", o.Announce, MaxAnnounceBytes),
		{"Timeout", o.Timeout, o.Timeout >= 3*minHeartbeat && o.Timeout <= maxHeartbeat, "3ms to 1h"},
		{"HandshakeTimeout", o.HandshakeTimeout, o.HandshakeTimeout > 0, "more than 0"},
		{"MaxLinks", o.MaxLinks, o.MaxLinks > 0, "at least 1"},
		{"MaxHandshakes", o.MaxHandshakes, o.MaxHandshakes > 0, "at least 1"},
	})
}

// introduction says who this end is.
func (o *ControlOptions) introduction() *introduction {
	return &introduction{
		versionMin: minProtocol, versionMax: maxProtocol, seat: seatOther,
		id: o.ID, patience: o.Timeout, name: o.Name, group: o.Group, announce: o.Announce,
	}
}
