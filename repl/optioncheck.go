package repl

import (
	"fmt"
	"log/slog"
	"slices"
	"unicode/utf8"

	"github.com/emberkv/ember/rdb"
)

// normalize returns a copy of o with the defaults filled in, or the first
// thing that is wrong with it.
func (o *Options) normalize() (*Options, error) {
	var n Options
	if o != nil {
		n = *o
	}
	setEndDefaults(&n.ID, &n.Name, &n.Transport, &n.Logger)
	setDefault(&n.Priority, DefaultPriority)
	setDefault(&n.MaxFollowers, DefaultMaxFollowers)
	setDefault(&n.MaxHandshakes, DefaultMaxHandshakes)
	setDefault(&n.Heartbeat, DefaultHeartbeat)
	setDefault(&n.Timeout, 3*n.Heartbeat)
	setDefault(&n.HandshakeTimeout, DefaultHandshakeTimeout)
	setDefault(&n.MaxSyncs, DefaultMaxSyncs)
	setDefault(&n.SyncTimeout, DefaultSyncTimeout)
	setDefault(&n.MaxRepairKeys, DefaultMaxRepairKeys)
	if n.AckDurable {
		setDefault(&n.AckTimeout, DefaultDurableTimeout)
	}
	setDefault(&n.AckTimeout, DefaultAckTimeout)
	n.Secrets = slices.Clone(n.Secrets)
	setDefault(&n.MaxLag, max(DefaultMaxLag, 2*n.Heartbeat))
	return &n, n.check()
}

// setEndDefaults fills in what every end of a link has, node or not.
func setEndDefaults(id *NodeID, name *string, t *Transport, l **slog.Logger) {
	if *id == (NodeID{}) {
		*id = NewNodeID()
	}
	if *name == "" {
		*name = id.String()[:8]
	}
	if *t == nil {
		*t = &TCP{}
	}
	if *l == nil {
		*l = slog.New(slog.DiscardHandler)
	}
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func (o *Options) check() error {
	return checkOptions(o.Secrets, o.Transport, []optionCheck{
		shortText("Name", o.Name, MaxNameBytes),
		shortText("Group", o.Group, MaxNameBytes),
		shortText("Announce", o.Announce, MaxAnnounceBytes),
		{"Priority", o.Priority, o.Priority <= MaxPriority, "at most 65535"},
		{"MaxFollowers", o.MaxFollowers, o.MaxFollowers > 0, "at least 1"},
		{"Compression", o.Compression, o.Compression >= rdb.Off && o.Compression <= rdb.Zstd, "off, none, s2 or zstd"},
		{"Heartbeat", o.Heartbeat, o.Heartbeat >= minHeartbeat && o.Heartbeat <= maxHeartbeat, "1ms to 1h"},
		{"Timeout", o.Timeout, o.Timeout >= 3*o.Heartbeat, "at least three times Heartbeat"},
		{"HandshakeTimeout", o.HandshakeTimeout, o.HandshakeTimeout > 0, "more than 0"},
		{"MaxHandshakes", o.MaxHandshakes, o.MaxHandshakes > 0, "at least 1"},
		{"MaxSyncs", o.MaxSyncs, o.MaxSyncs > 0, "at least 1"},
		{"SyncRate", o.SyncRate, o.SyncRate == 0 || o.SyncRate >= minSyncRate, "0, or at least 65536"},
		{"MaxRepairKeys", o.MaxRepairKeys, o.MaxRepairKeys <= 64<<10, "at most 65536"},
		{"SyncTimeout", o.SyncTimeout, o.SyncTimeout > 0, "more than 0"},
		{"Ack", o.Ack, o.Ack >= 0 && o.Ack <= o.MaxFollowers, "0 to MaxFollowers"},
		{"MaxUnacked", o.MaxUnacked, o.MaxUnacked >= 0, "at least 0"},
		{"MaxUnacked", o.MaxUnacked, o.MaxUnacked == 0 || o.Ack > 0, "0 without Ack"},
		{"AckDurable", o.AckDurable, !o.AckDurable || o.Ack > 0, "false without Ack"},
		{"AckTimeout", o.AckTimeout, o.AckTimeout > 0, "more than 0"},
		{"WhenDown", o.WhenDown, o.WhenDown <= RefuseStale, "serve or refuse"},
		{"MaxStaleness", o.MaxStaleness, o.MaxStaleness == 0 || o.MaxStaleness >= 2*o.Heartbeat, "at least twice Heartbeat"},
		{"MinReplicas", o.MinReplicas, o.MinReplicas >= 0 && o.MinReplicas <= o.MaxFollowers, "0 to MaxFollowers"},
		{"Fenced", o.Fenced, o.Supervised || !o.Fenced, "false without Supervised"},
		{"MaxLag", o.MaxLag, o.MaxLag >= 2*o.Heartbeat, "at least twice Heartbeat"},
	})
}

// An OptionError names the field of Options, or the argument of a constructor, that is
// invalid, and its value.
type OptionError struct {
	Field string
	Value any
	Want  string
}

func (e *OptionError) Error() string {
	value := e.Value
	if s, ok := value.(string); ok {
		value = fmt.Sprintf("%.100q", s)
	}
	return fmt.Sprintf("%v: %s is %v, want %s", ErrOption, e.Field, value, e.Want)
}

// Unwrap returns ErrOption.
func (e *OptionError) Unwrap() error { return ErrOption }

// An optionCheck says what one option is, and what it has to be.
type optionCheck struct {
	field string
	value any
	ok    bool
	want  string
}

// shortText is the check of a text that peers are shown.
func shortText(field, s string, most int) optionCheck {
	return optionCheck{field, s, len(s) <= most && utf8.ValidString(s), fmt.Sprintf("at most %d bytes of UTF-8", most)}
}

// checkOptions returns an [*OptionError] for the first thing that is wrong with the options
// of an end of a link.
func checkOptions(secrets []Secret, t Transport, checks []optionCheck) error {
	for _, c := range checks {
		if !c.ok {
			return &OptionError{Field: c.field, Value: c.value, Want: c.want}
		}
	}
	if err := checkSecrets(secrets); err != nil {
		return err
	}
	return faultOf(t)
}
