package repl

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/rdb"
)

// refusals are the codes of Refuse. A code that is not known here is read as
// a protocol error with the peer's text.
var refusals = [...]error{
	1:  ErrVersion,
	2:  ErrGroup,
	3:  ErrCycle,
	4:  ErrNotReady,
	5:  ErrBusy,
	6:  ErrProtocol,
	7:  ErrForeign,
	8:  ErrPeerClosed,
	9:  ErrReplaced,
	10: ErrLimit,
	11: backlog.ErrTrimmed,
	12: backlog.ErrReset,
	13: ErrForked,
	14: ErrBehind,
	15: ErrEmptyMaster, // behind ErrForeign, which it is, too
	16: ErrLowerEpoch,
	17: ErrPeerLeft,
}

// appendRefuse encodes the reason for which a link is closed. An error that has
// no code is the protocol's.
func appendRefuse(b []byte, err error) []byte {
	code := 6
	for i, reason := range refusals {
		if reason != nil && errors.Is(err, reason) {
			code = i
		}
	}
	closing := errors.Is(err, ErrClosed)
	switch { // which are other errors where they arrive
	case closing:
		code = 8
	case anyOf(err, ErrRepointed, ErrRoleChanged):
		code = 17
	}
	b = append(b, byte(code))
	if code == refuseVersion {
		v := new(VersionError)
		errors.As(err, &v)
		b = append(b, flag(v.What == whatRecord))
		b = binary.LittleEndian.AppendUint16(b, uint16(v.Ours))
		b = binary.LittleEndian.AppendUint16(b, uint16(v.OursMax))
	}
	// The code says the reason; the text, what there is to say beside it.
	text := err.Error()
	if reason := refusals[code].Error(); text == reason || closing {
		text = ""
	} else {
		text = strings.TrimPrefix(text, reason+": ")
	}
	return append(b, text[:min(len(text), 512)]...)
}

// refuseVersion is the code whose text is preceded by what the refusing side
// speaks, so that both ends know both ranges.
const refuseVersion = 1

func parseVersionRefusal(b []byte) (*VersionError, error) {
	if len(b) < 5 || b[0] > 1 {
		return nil, fmt.Errorf("%w: refusal without versions", ErrProtocol)
	}
	v := &VersionError{What: whatProtocol, Ours: minProtocol, OursMax: maxProtocol}
	if b[0] == 1 {
		v = &VersionError{What: whatRecord, Ours: 1, OursMax: rdb.RecordVersion}
	}
	v.Theirs, v.TheirsMax = int(binary.LittleEndian.Uint16(b[1:])), int(binary.LittleEndian.Uint16(b[3:]))
	return v, nil
}

func parseRefuse(b []byte) error {
	if len(b) == 0 {
		return fmt.Errorf("%w: empty refusal", ErrProtocol)
	}
	if b[0] == refuseVersion {
		v, err := parseVersionRefusal(b[1:])
		if err != nil {
			return err
		}
		return &RefusedError{Err: v, Text: printable(string(b[6:]), "")}
	}
	reason := error(ErrProtocol)
	if int(b[0]) < len(refusals) && refusals[b[0]] != nil {
		reason = refusals[b[0]]
	}
	if reason == ErrEmptyMaster {
		reason = wipeError{}
	}
	return &RefusedError{Err: reason, Text: printable(string(b[1:]), "")}
}
