package sentinel

import (
	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/repl"
)

// A Reign is a master's time: who it is, since which epoch, and where it can be reached.
// The zero Reign is none.
type Reign struct {
	Epoch   backlog.Epoch   `json:"epoch"`   // in which it began to write
	History backlog.History `json:"history"` // of its log, when it was last heard
	ID      repl.NodeID     `json:"id"`      // of the node
	Name    string          `json:"name"`    // at most [repl.MaxNameBytes]
	Addr    string          `json:"addr"`    // at most MaxAddrBytes; an attribute, not an identity
}

// MaxAddrBytes bounds every address that a sentinel is told.
const MaxAddrBytes = 255

// IsZero reports whether there is no master yet.
func (r Reign) IsZero() bool { return r.Epoch.IsZero() }

// Above reports whether r came after s.
func (r Reign) Above(s Reign) bool { return r.Epoch.Compare(s.Epoch) > 0 }
