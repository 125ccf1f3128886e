package kv

import (
	"encoding/json"
	"time"

	"github.com/emberkv/ember/backlog"
)

// Recovered says what [Open] has found. It marshals to JSON: Took is nanoseconds, Repaired its
// text, empty for nil.
type Recovered struct {
	Position backlog.Position `json:"position"` // at which the store goes on
	Snapshot backlog.Position `json:"snapshot"` // that it was loaded from
	Journal  int64            `json:"journal"`  // bytes of log after it
	Records  int64            `json:"records"`  // how many there are in those

	// Clean says that the store was closed; Forked, that it was not, and has begun a new
	// history.
	Clean  bool `json:"clean"`
	Forked bool `json:"forked"`

	// Torn is how many bytes of files after the position were not taken, because a crash had
	// left them unfinished.
	Torn int64 `json:"torn"`

	// Damaged are the files that were skipped: snapshots, in place of which an older one
	// was loaded with more of the journal. Repaired says why the journal was damaged, if
	// what came after the damage was given up because Durability.Repair was set.
	Damaged  []string `json:"damaged"`
	Repaired error    `json:"-"` // MarshalJSON adds its text

	Took time.Duration `json:"took_ns"`
}

// MarshalJSON implements [json.Marshaler]: an error has no JSON of its own.
func (r Recovered) MarshalJSON() ([]byte, error) {
	type fields Recovered
	shown := struct {
		fields
		Repaired string `json:"repaired"`
	}{fields: fields(r)}
	if r.Repaired != nil {
		shown.Repaired = r.Repaired.Error()
	}
	return json.Marshal(shown)
}

// Recovered returns what Open has found; the zero value for a store of [New].
func (s *Store) Recovered() Recovered { return s.recovered }
