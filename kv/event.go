package kv

import (
	"fmt"
	"slices"
	"time"

	"github.com/emberkv/ember/backlog"
)

// An EventKind says what an [Event] reports.
type EventKind uint8

const (
	// EventPut: the key has this value, and this deadline or none.
	EventPut EventKind = iota + 1
	// EventDelete: the key was deleted by a write.
	EventDelete
	// EventExpire: the key was deleted because its deadline had passed.
	EventExpire
	// EventEvict: the key was deleted to make room.
	EventEvict
	// EventDeletePrefix: all keys that begin with Key were deleted at once. An empty
	// Key means all keys. Key may be shorter than the prefix that is watched.
	EventDeletePrefix
	// EventDeadline: the key has another deadline, or none any more. The value is
	// unchanged; the log does not repeat it.
	EventDeadline
	// EventReset: what was handed out before is void, for the Reason given. Forget
	// it: the current contents follow, as after a start at the zero Position.
	EventReset
	// EventSynced: everything is handed out up to where the log stood when the watch
	// began, or was reset; or, later on, up to Position, with nothing to report since
	// the last event.
	EventSynced
)

var eventKinds = [...]string{
	EventPut:          "put",
	EventDelete:       "delete",
	EventExpire:       "expire",
	EventEvict:        "evict",
	EventDeletePrefix: "delete prefix",
	EventDeadline:     "deadline",
	EventReset:        "reset",
	EventSynced:       "synced",
}

// String returns the kind in lower-case words.
func (k EventKind) String() string {
	if int(k) < len(eventKinds) && k != 0 {
		return eventKinds[k]
	}
	return fmt.Sprintf("EventKind(%d)", uint8(k))
}

// MarshalText returns what String returns.
func (k EventKind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText reads what MarshalText wrote, or returns an [*InvalidError].
func (k *EventKind) UnmarshalText(text []byte) error {
	i := slices.Index(eventKinds[:], string(text))
	if i <= 0 { // the first has no word
		return &InvalidError{Field: "EventKind", Value: string(text), Want: fmt.Sprintf("one of %q", eventKinds[1:])}
	}
	*k = EventKind(i)
	return nil
}

// An Event is one change of a store's contents, or a word about the stream of them;
// see [Store.Watch]. Key and Value are slices of the store's memory, as [Store.Get]
// returns them: Value must not be modified, and both keep alive the block of the log
// or the slab that they lie in, at most 512 KiB or the record's own size. Clone what
// is kept for long.
type Event struct {
	Kind     EventKind
	Key      string    // empty for EventReset and EventSynced
	Value    []byte    // of EventPut
	Deadline time.Time // of EventPut and EventDeadline, on the clock of the node that writes; zero for none

	// Position is where the event stands in the log: after its record. A record may
	// be several events, such as those of a transaction, all with the same Position.
	// For contents it is the position that they stand for.
	Position backlog.Position

	// Last says that nothing else is handed out for Position: a watch that begins
	// there goes on with what follows. Resume from the Position of a Last event;
	// that of any other would leave out the rest of its record.
	Last bool

	// Reason says why there is an EventReset. For any other event it is the zero Refusal, and means
	// nothing.
	Reason backlog.Refusal

	// Behind is how many bytes of log there are after Position when the event is
	// handed out: how far the watcher is behind.
	Behind int64
}
