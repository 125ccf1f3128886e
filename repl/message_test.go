package repl

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/rdb"
)

func TestMessagesRoundTrip(t *testing.T) {
	h := sampleHello()
	if got, err := parseHello(h.append(nil)); err != nil || !reflect.DeepEqual(got, h) {
		t.Errorf("hello: %+v, %v; want %+v", got, err, h)
	}
	for _, b := range []heartbeat{{}, {heard: standing{sampleEpoch, true}, seq: 1 << 60, end: math.MaxInt64, clock: 5, age: unknownAge, linked: true, few: true, path: []NodeID{{1}, {2}}}} {
		if got, err := parseHeartbeat(b.append(nil)); err != nil || !reflect.DeepEqual(got, b) {
			t.Errorf("heartbeat: %+v, %v; want %+v", got, err, b)
		}
	}
	for _, a := range []ack{{}, {3, 4, 2, 1, false, standing{sampleEpoch, false}}, {math.MaxUint64, math.MaxInt64, math.MaxInt64, math.MaxInt64, true, standing{sampleEpoch, true}}} {
		if got, err := parseAck(a.append(nil)); err != nil || got != a {
			t.Errorf("ack: %+v, %v; want %+v", got, err, a)
		}
	}
	for _, shards := range []int{1, 8, 64, 128, rdb.MaxShards} {
		s := &syncStart{resume: shards > 8, from: sampleAt, shards: shards}
		s.done.Add(shards / 2)
		if got, err := parseSyncStart(s.append(nil)); err != nil || !reflect.DeepEqual(got, s) {
			t.Errorf("sync start of %d shards: %+v, %v", shards, got, err)
		}
	}
	at, clock, records, err := parseLog(append(appendLogHead(nil, 7, 8), "records"...))
	if at != 7 || clock != 8 || string(records) != "records" || err != nil {
		t.Errorf("log: %d, %d, %q, %v", at, clock, records, err)
	}
}

// TestLargestHelloFits: of 32 earlier histories 21, and the longest names.
func TestLargestHelloFits(t *testing.T) {
	h := sampleHello()
	h.name, h.group = strings.Repeat("n", MaxNameBytes), strings.Repeat("g", MaxNameBytes)
	h.announce, h.priority = strings.Repeat("a", MaxAnnounceBytes), MaxPriority
	h.lineage.Earlier = nil
	for i := range backlog.MaxForks {
		h.lineage.Earlier = append(h.lineage.Earlier, backlog.Fork{History: backlog.History{9, byte(i)}, End: int64(900 - i)})
	}
	body := h.append(nil)
	h.lineage.Earlier = h.lineage.Earlier[:maxHelloForks]
	if len(body) > maxHandshakeBody {
		t.Errorf("the largest hello has %d bytes", len(body))
	}
	if got, err := parseHello(body); err != nil || !reflect.DeepEqual(got, h) {
		t.Errorf("the largest hello: %v", err)
	}
}

// TestTruncatedMessages cuts each message at each byte and puts a byte behind
// it: only the text of a refusal, records and blocks may have any length.
func TestTruncatedMessages(t *testing.T) {
	for _, s := range samples() {
		open := s.kind == kindRefuse || s.kind == kindLog || s.kind == kindBlock || s.kind == kindSyncBegin || s.kind == kindContinue || s.kind == kindProof || s.kind == kindTail || s.kind == kindReply
		for n := range s.body {
			if open || s.kind == kindFullSync && n == 0 {
				continue
			}
			if v, err := parse(s.kind, s.body[:n]); err == nil {
				t.Errorf("%v of %d of %d bytes was read as %v", s.kind, n, len(s.body), v)
			}
		}
		if v, err := parse(s.kind, append(bytes.Clone(s.body), 0)); err == nil && !open {
			t.Errorf("%v with a byte behind it was read as %v", s.kind, v)
		}
	}
}

func TestHelloIsChecked(t *testing.T) {
	for name, change := range map[string]func(h *hello){
		"versions the wrong way round": func(h *hello) { h.versionMin, h.versionMax = 2, 1 },
		"heartbeat of 0":               func(h *hello) { h.heartbeat = 0 },
		"heartbeat of a day":           func(h *hello) { h.heartbeat = 24 * time.Hour },
		"no node id":                   func(h *hello) { h.id = NodeID{} },
		"name of 65 bytes":             func(h *hello) { h.name = strings.Repeat("n", 65) },
		"group of 65 bytes":            func(h *hello) { h.group = strings.Repeat("g", 65) },
		"an epoch beyond all":          func(h *hello) { h.heard.epoch.Counter = backlog.MaxCounter + 1 },
		"an epoch of nobody":           func(h *hello) { h.heard.epoch.Node = [16]byte{} },
		"a log of an epoch unheard of": func(h *hello) { h.heard = standing{} },
		"negative end":                 func(h *hello) { h.end = -1 },
		"end before the last fork":     func(h *hello) { h.end = 899 },
		"no history":                   func(h *hello) { h.lineage.Current = backlog.History{} },
		"ends that rise": func(h *hello) {
			h.lineage.Earlier = []backlog.Fork{{History: backlog.History{1}, End: 1}, {History: backlog.History{2}, End: 2}}
		},
	} {
		h := sampleHello()
		change(h)
		body := h.append(nil)
		if name == "heartbeat of 0" {
			binary.LittleEndian.PutUint32(body[4:], 0)
		}
		if _, err := parseHello(body); !errors.Is(err, ErrProtocol) {
			t.Errorf("%s: %v, want ErrProtocol", name, err)
		}
	}
}

// TestNewerHelloIsNotRead: of a version that nobody here speaks, only the
// versions are ours to understand.
func TestNewerHelloIsNotRead(t *testing.T) {
	_, err := parseHello([]byte{4, 9, 0xff, 0xff, 0xff})
	var v *VersionError
	if !errors.As(err, &v) || *v != (VersionError{"protocol", 4, 9, minProtocol, maxProtocol}) {
		t.Errorf("hello of versions 4 to 9: %v", err)
	}
}

func TestRefusalsKeepTheirReason(t *testing.T) {
	for code, reason := range refusals {
		if reason == nil || code == refuseVersion {
			continue
		}
		err := parseRefuse(appendRefuse(nil, fmt.Errorf("because: %w", reason)))
		var refused *RefusedError
		if !errors.Is(err, reason) || !errors.As(err, &refused) || !strings.Contains(refused.Text, "because") {
			t.Errorf("code %d: %v, want %v", code, err, reason)
		}
	}
	err := parseRefuse(appendRefuse(nil, &LinkError{Op: "x", Err: wipeError{}}))
	if !errors.Is(err, ErrEmptyMaster) || !errors.Is(err, ErrForeign) || strings.Contains(err.Error(), "shares no history") {
		t.Errorf("an empty master is refused with %v", err)
	}
	if err := parseRefuse(appendRefuse(nil, ErrNotReady)); strings.Count(err.Error(), "no data") != 1 {
		t.Errorf("a refusal that says it twice: %v", err)
	}
	if err := parseRefuse(appendRefuse(nil, errors.New("something else"))); !errors.Is(err, ErrProtocol) {
		t.Errorf("an error without a code: %v, want ErrProtocol", err)
	}
	for _, body := range [][]byte{nil, {0}, {200}, {255, 'x'}, {refuseVersion}, {refuseVersion, 2, 0, 0, 0, 0}} {
		if err := parseRefuse(body); !errors.Is(err, ErrProtocol) {
			t.Errorf("% x: %v, want ErrProtocol", body, err)
		}
	}
	long := parseRefuse(appendRefuse(nil, errors.New(strings.Repeat("x", 10_000))))
	if len(long.Error()) > maxHandshakeBody {
		t.Errorf("a long refusal has %d bytes", len(long.Error()))
	}
}

func TestVersionRefusalHasBothRanges(t *testing.T) {
	for _, v := range []*VersionError{{"protocol", 4, 9, 1, 1}, {"record", 1, 0, 1, rdb.RecordVersion}} {
		err := parseRefuse(appendRefuse(nil, v))
		var got *VersionError
		if !errors.Is(err, ErrVersion) || !errors.As(err, &got) {
			t.Fatalf("%v: %v", v, err)
		}
		if got.What != v.What || got.Theirs != v.Ours || got.TheirsMax != v.OursMax || got.OursMax < got.Ours || got.Ours < 1 {
			t.Errorf("%+v became %+v", v, got)
		}
	}
}

// TestLaterFlagsOfHeartbeats: what a later node says by a flag that is not known here is passed over, and
// changes nothing of the rest.
func TestLaterFlagsOfHeartbeats(t *testing.T) {
	for flags := range 256 {
		sent := heartbeat{seq: 1, end: 2, clock: 3, age: 4, heard: standing{sampleEpoch, false}, path: []NodeID{{1}}}
		sent.linked, sent.few = flags&1 != 0, flags&2 != 0
		body := sent.append(nil)
		if int(body[32]) != flags&3 {
			t.Errorf("flags %08b are sent as %08b", flags&3, body[32])
		}
		body[32] = byte(flags)
		if got, err := parseHeartbeat(body); err != nil || !reflect.DeepEqual(got, sent) {
			t.Errorf("flags %08b: %+v, %v; want %+v", flags, got, err, sent)
		}
	}
}

func TestNegativeNumbersAreRefused(t *testing.T) {
	minus := binary.LittleEndian.AppendUint64(nil, 1<<63)
	for name, f := range map[string]func() error{
		"log at": func() error {
			_, _, _, err := parseLog(append(append(bytes.Clone(minus), make([]byte, 8)...), 1))
			return err
		},
		"log clock": func() error { _, _, _, err := parseLog(append(append(make([]byte, 8), minus...), 1)); return err },
		"empty log": func() error { _, _, _, err := parseLog(make([]byte, logHeadBytes)); return err },
		"heartbeat end": func() error {
			_, err := parseHeartbeat(append(append(make([]byte, 8), minus...), make([]byte, 41)...))
			return err
		},
		"heartbeat clock": func() error {
			_, err := parseHeartbeat(append(append(make([]byte, 16), minus...), make([]byte, 33)...))
			return err
		},
		"heartbeat age": func() error {
			_, err := parseHeartbeat(append(append(make([]byte, 24), minus...), make([]byte, 25)...))
			return err
		},
		"ack received": func() error {
			_, err := parseAck(append(append(make([]byte, 8), minus...), make([]byte, 33)...))
			return err
		},
		"ack applied": func() error {
			_, err := parseAck(append(append(make([]byte, 16), minus...), make([]byte, 25)...))
			return err
		},
		"ack state":  func() error { _, err := parseAck(append(append(make([]byte, 24), 2), make([]byte, 24)...)); return err },
		"standing":   func() error { _, err := parseStanding(append(minus, make([]byte, 16)...)); return err },
		"position":   func() error { _, err := parsePosition(append(make([]byte, 16), minus...)); return err },
		"sync start": func() error { _, err := parseSyncStart(append([]byte{2}, make([]byte, 26)...)); return err },
	} {
		if err := f(); !errors.Is(err, ErrProtocol) {
			t.Errorf("%s: %v, want ErrProtocol", name, err)
		}
	}
}
