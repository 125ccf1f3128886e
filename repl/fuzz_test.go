package repl

import (
	"bytes"
	"errors"
	"io"
	"os"
	"reflect"
	"testing"
)

// FuzzFrame reads whatever comes on a connection, before and after the
// handshake. What is read must be what its bytes say: written again it is the
// same.
func FuzzFrame(f *testing.F) {
	for _, s := range samples() {
		f.Add(taped(func(w *frameWriter) { w.write(s.kind, nil, s.body) }), false)
		f.Add(taped(func(w *frameWriter) { w.write(s.kind, nil, s.body) }), true)
	}
	f.Add(forgery(kindLog, 0, 1<<32-1, 0, nil), false)
	f.Add(append(forgery(kindLog, flagMore, 1, 0, []byte{1}), forgery(kindLog, 0, 1, 1, []byte{2})...), false)
	f.Add([]byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), true)
	f.Fuzz(func(t *testing.T, raw []byte, strange bool) {
		r := player(bytes.NewReader(raw))
		r.strange = strange
		r.beat = func(b []byte) error { _, err := parseHeartbeat(b); return err }
		for {
			k, body, err := r.next()
			if err != nil {
				checkLinkEnd(t, err)
				return
			}
			if len(body) > k.limit() || strange && len(body) > maxHandshakeBody {
				t.Fatalf("%v of %d bytes", k, len(body))
			}
			if len(body)+frameHeaderBytes > len(raw) {
				t.Fatalf("%v of %d bytes from %d", k, len(body), len(raw))
			}
		}
	})
}

// checkLinkEnd fails t unless err is one that a link may end with.
func checkLinkEnd(t *testing.T, err error) {
	t.Helper()
	for _, known := range []error{io.EOF, io.ErrUnexpectedEOF, os.ErrDeadlineExceeded, ErrProtocol, ErrChecksum, ErrLimit, ErrVersion} {
		if errors.Is(err, known) {
			return
		}
	}
	t.Errorf("a link ends with an error that has no name: %v", err)
}

func FuzzHello(f *testing.F) {
	f.Add(sampleHello().append(nil))
	f.Add([]byte{})
	f.Add([]byte{2, 3})
	f.Fuzz(func(t *testing.T, body []byte) {
		h, err := parseHello(body)
		if err != nil {
			checkLinkEnd(t, err)
			return
		}
		if again := h.append(nil); !bytes.Equal(again, body) {
			t.Errorf("% x was read as % x", body, again)
		}
	})
}

// FuzzMessages hands every body to the parser of every kind.
func FuzzMessages(f *testing.F) {
	for _, s := range samples() {
		f.Add(byte(s.kind), s.body)
	}
	f.Add(byte(kindReply), sampleReport().append(nil))
	f.Add(byte(kindRequest), samplePoll().append(nil))
	f.Add(byte(kindRequest), sampleCommand().append(nil))
	f.Fuzz(func(t *testing.T, k byte, body []byte) {
		if kind(k) == kindRefuse {
			if parseRefuse(body) == nil {
				t.Error("a refusal without an error")
			}
			return
		}
		if o, err := parsePrepare(body); err == nil && !bytes.Equal(o.part(kindPrepare).body(), body) {
			t.Errorf("prepare % x was read as %+v", body, o)
		}
		for _, k := range []kind{kindReady, kindPromoted} {
			if a, err := parseAnswer(k, body); err == nil && !bytes.Equal(a.append(nil), body) {
				t.Errorf("%v % x was read as %+v", k, body, a)
			}
		}
		fuzzControl(t, body)
		if n, err := parsePlace(body); err == nil && !bytes.Equal(appendPlace(nil, n), body) {
			t.Errorf("place % x was read as %d", body, n)
		}
		if a, err := parseAck(body); err == nil && !bytes.Equal(a.append(nil), body) {
			t.Errorf("ack % x was read as %+v", body, a)
		}
		known := bytes.Clone(body)
		if len(known) > 32 {
			known[32] &= beatFlags - 1 // later flags are left out
		}
		if h, err := parseHeartbeat(body); err == nil && !bytes.Equal(h.append(nil), known) {
			t.Errorf("heartbeat % x was read as %+v", body, h)
		}
		if s, err := parseSyncStart(body); err == nil && !bytes.Equal(s.append(nil), body) {
			t.Errorf("sync start % x was read as %+v", body, s)
		}
		if at, clock, records, err := parseLog(body); err == nil && !bytes.Equal(append(appendLogHead(nil, at, clock), records...), body) {
			t.Errorf("log % x was read as %d, %d", body, at, clock)
		}
		if p, err := parseParted(body); err == nil && !bytes.Equal(p.append(nil), body) {
			t.Errorf("parting % x was read as %+v", body, p)
		}
		if a, err := parseTail(body); err == nil && (a.why == "") != (body[0] == 0) {
			t.Errorf("tail % x was read as %+v", body, a)
		} else if err == nil && a.why == "" && !bytes.Equal(a.append(nil), body) {
			t.Errorf("tail % x was read as %+v", body, a)
		}
		if _, sum, err := parseSyncEnd(body); err == nil && !bytes.HasSuffix(body, must(sum.AppendBinary(nil))) {
			t.Errorf("SyncEnd % x was read with %+v", body, sum)
		}
		if l, err := parseHistory(body); err == nil && !bytes.Equal(appendLineage(bytes.Clone(body[:8]), l), body) {
			t.Errorf("history % x was read as %+v", body, l)
		}
		if p, err := parsePosition(body); err == nil && !bytes.Equal(appendPosition(nil, p), body[:positionBytes]) {
			t.Errorf("position % x was read as %v", body, p)
		}
	})
}

// fuzzControl hands body to the parsers of what goes over a control link.
func fuzzControl(t *testing.T, body []byte) {
	if i, err := parseIntroduction(body); err == nil && !bytes.Equal(i.append(nil), body) {
		t.Errorf("introduction % x was read as %+v", body, i)
	}
	if r, err := parseRequest(body); err == nil && !bytes.Equal(append(r.head(nil), r.body...), body) {
		t.Errorf("request % x was read as %+v", body, r)
	}
	if p, err := parsePoll(body); err == nil && (!bytes.Equal(p.append(nil), body) || p.check() != nil) {
		t.Errorf("poll % x was read as %+v", body, p)
	}
	if o, err := parseOrder(body); err == nil && (!bytes.Equal(o.append(nil), body) || o.check() != nil) {
		t.Errorf("order % x was read as %+v", body, o)
	}
	// What cannot be printed in it is replaced.
	if r, err := parseReport(body); err == nil {
		again, err := parseReport(r.append(nil))
		if len(r.append(nil)) > max(len(body), MaxReportBytes) || err != nil || !reflect.DeepEqual(r, again) {
			t.Errorf("report % x was read as %+v, and then as %+v, %v", body, r, again, err)
		}
	}
	if r, err := parseReply(body); err == nil && r.err == nil && !bytes.Equal(append(r.head(nil), r.body...), body) {
		t.Errorf("reply % x was read as %+v", body, r)
	}
}

func must(b []byte, _ error) []byte { return b }
