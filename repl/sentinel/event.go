package sentinel

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/repl"
)

// An Event is something that a sentinel has seen or done. Options.OnEvent is called with
// each, one after the other, in the order in which they happened. It marshals to JSON.
type Event struct {
	Kind  EventKind `json:"kind"`
	Time  time.Time `json:"time"`
	Group string    `json:"group"`

	// About is the one concerned: a node, another sentinel, or the group's master.
	About Instance `json:"about"`

	// Master is the master of the group when it happened; in an EventSwitchMaster the new one.
	// It is zero while none has been found.
	Master Instance `json:"master"`

	Epoch uint64 `json:"epoch,omitempty"` // of a vote, an election, a failover or a new master; 0 where there is none
	Text  string `json:"text,omitempty"`  // what Redis says after the names, such as "#quorum 2/2", or a reason
	Err   error  `json:"-"`               // why something failed, where that is known; Text says it too

	// Missed is how many events were left out just before this one, because
	// Options.OnEvent took so long to return that [MaxEvents] others waited.
	Missed int `json:"missed,omitempty"`
}

// An Instance is a node or a sentinel, as an [Event] names it.
type Instance struct {
	Type InstanceType `json:"type"`
	ID   repl.NodeID  `json:"id"`
	Name string       `json:"name"`
	Addr string       `json:"addr"` // empty when it is not known
}

// An InstanceType says what an [Instance] is.
type InstanceType uint8

const (
	// NoInstance is the type of the zero Instance.
	NoInstance InstanceType = iota
	// InstanceMaster is the node that takes the writes.
	InstanceMaster
	// InstanceSlave is any other node; Redis' word, as it is in messages.
	InstanceSlave
	// InstanceSentinel is another sentinel.
	InstanceSentinel
)

var instanceTypes = [...]string{"none", "master", "slave", "sentinel"}

// String returns "master", "slave" or "sentinel"; "none" for NoInstance.
func (t InstanceType) String() string {
	if int(t) < len(instanceTypes) {
		return instanceTypes[t]
	}
	return fmt.Sprintf("InstanceType(%d)", uint8(t))
}

// MarshalText returns what String returns.
func (t InstanceType) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText reads what MarshalText wrote, or returns [backlog.ErrText].
func (t *InstanceType) UnmarshalText(text []byte) error {
	i := slices.Index(instanceTypes[:], string(text))
	if i < 0 {
		return fmt.Errorf("%w: %.20q is no type of instance", backlog.ErrText, text)
	}
	*t = InstanceType(i)
	return nil
}

// Message returns the text that Redis Sentinel publishes with such an event, and gives
// to a notification script: mostly
//
//	<type> <name> <host> <port> @ <group> <master's host> <master's port> <text>
//
// without the part from the @ on when it is about the master, whose name is the group's. For an EventSwitchMaster
// it is "<group> <old host> <old port> <new host> <new port>"; for an event that concerns no instance it is only
// the text. An address that is not a host and a port stands for the host, with port 0. A group without a name is
// "-", and one that has not said its name the first digits of its id, so that a script can count words.
func (e Event) Message() string {
	if e.Kind == EventSwitchMaster {
		return strings.Join([]string{called(e.Group), place(e.About.Addr), place(e.Master.Addr)}, " ")
	}
	var words []string
	switch a := e.About; a.Type {
	case NoInstance:
	case InstanceMaster:
		words = append(words, "master", called(e.Group), place(a.Addr))
	default:
		name := a.Name
		if name == "" { // it has not said yet how it is called; without a name of its own it will be so
			name = a.ID.String()[:8]
		}
		words = append(words, a.Type.String(), name, place(a.Addr), "@", called(e.Group), place(e.Master.Addr))
	}
	if e.Text != "" {
		words = append(words, e.Text)
	}
	return strings.Join(words, " ")
}

// String returns the kind and the message.
func (e Event) String() string { return e.Kind.String() + " " + e.Message() }

// called returns the name of a group in messages.
func called(group string) string {
	if group == "" {
		return "-"
	}
	return group
}

// place returns host and port of an address as two words.
func place(addr string) string {
	host, port := hostPort(addr)
	return host + " " + port
}

// hostPort splits an address as messages and scripts show it: one of another form, or none, is
// all host, and has port 0. Neither part is empty, so that the words of a message can be counted.
func hostPort(addr string) (host, port string) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil || port == "" {
		host, port = addr, "0"
	}
	if host == "" {
		host = "-"
	}
	return host, port
}
