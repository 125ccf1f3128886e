package repl

import (
	"bytes"
	"errors"
	"io"
	"os"
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
		if n, err := parsePlace(body); err == nil && !bytes.Equal(appendPlace(nil, n), body) {
			t.Errorf("place % x was read as %d", body, n)
		}
		if a, err := parseAck(body); err == nil && !bytes.Equal(a.append(nil), body) {
			t.Errorf("ack % x was read as %+v", body, a)
		}
		if h, err := parseHeartbeat(body); err == nil && !bytes.Equal(h.append(nil), body) {
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

func must(b []byte, _ error) []byte { return b }
