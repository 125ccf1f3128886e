package repl

import (
	"bytes"
	"io"
	"net"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/rdb"
)

// A tape is a connection that plays what it holds and records what is written.
type tape struct {
	net.Conn // nil: nothing else of it is called
	from     io.Reader
	to       bytes.Buffer
}

func (t *tape) Read(p []byte) (int, error)       { return t.from.Read(p) }
func (t *tape) Write(p []byte) (int, error)      { return t.to.Write(p) }
func (t *tape) SetReadDeadline(time.Time) error  { return nil }
func (t *tape) SetWriteDeadline(time.Time) error { return nil }
func (t *tape) Close() error                     { return nil }
func (t *tape) RemoteAddr() net.Addr             { return &net.TCPAddr{IP: net.IPv4(10, 0, 0, 9), Port: 9} }

// player returns a reader of a link whose handshake is over.
func player(from io.Reader) *frameReader {
	r := newFrameReader(&tape{from: from}, time.Second)
	r.strange = false
	return r
}

// taped returns what f writes on a connection.
func taped(f func(w *frameWriter)) []byte {
	t := new(tape)
	f(&frameWriter{conn: t, timeout: time.Second})
	return t.to.Bytes()
}

var (
	sampleHistory = backlog.History{1, 2, 3}
	sampleEpoch   = backlog.Epoch{Counter: 3, Node: [16]byte{7}}
	sampleLineage = backlog.Lineage{Current: sampleHistory, Epoch: sampleEpoch, Earlier: []backlog.Fork{
		{History: backlog.History{4}, End: 900}, {History: backlog.History{5}, End: 17},
	}}
	sampleSum, _ = backlog.Sum{From: 3, Value: 1 << 63}.AppendBinary(nil)
	sampleAt     = backlog.Position{History: sampleHistory, Offset: 1000}
)

func sampleHello() *hello {
	return &hello{
		versionMin: 1, versionMax: 1, recordVersion: 1, heartbeat: 1500 * time.Millisecond,
		maxRecord: backlog.MaxRecordBytes, id: NodeID{7, 7}, end: 1000,
		priority: 100, packing: 0x23, heard: standing{backlog.Epoch{Counter: 4, Node: [16]byte{7}}, true}, sum: backlog.Sum{From: 3, Value: 7}, name: "node-a", group: "prod", announce: "10.0.0.1:7000", lineage: sampleLineage,
	}
}

func sampleHeader() rdb.Header {
	return rdb.Header{Position: sampleAt, Lineage: sampleLineage, Seed: 99, Shards: 8, RecordVersion: 1, Keys: 5, Bytes: 500}
}

func sampleRecord(key, value string) []byte {
	b := make([]byte, rdb.EntrySize(len(key), len(value), 0))
	rdb.PutEntry(b, key, []byte(value), 0)
	return b
}

// A sample is a message as it may stand on a link.
type sample struct {
	kind kind
	body []byte
}

func sampleOrder() *order {
	return &order{id: 7, end: sampleAt, valid: 250 * time.Millisecond, armed: true}
}

// lastKind is the newest kind of message; some numbers below it may be free.
const lastKind = kind(len(kinds) - 1)

func appendLineage(b []byte, l backlog.Lineage) []byte {
	b, _ = l.AppendBinary(b)
	return b
}

// samples returns one message of each kind.
func samples() []sample {
	block := &rdb.Block{Shard: 3, First: true, Last: true, At: 1000, Keys: 1, Count: 1, Data: sampleRecord("k", "v")}
	start := &syncStart{resume: true, from: sampleAt, shards: 8}
	start.done.Add(2)
	return []sample{
		{kindHello, sampleHello().append(nil)},
		{kindWelcome, sampleHello().append(nil)},
		{kindRefuse, appendRefuse(nil, ErrGroup)},
		{kindContinue, appendOffset(nil, 1000)},
		{kindFullSync, rdb.AppendHeader([]byte{byte(backlog.Trimmed)}, sampleHeader())},
		{kindSyncStart, start.append(nil)},
		{kindSyncBegin, appendPosition([]byte{1}, sampleAt)},
		{kindBlock, rdb.AppendBlock(nil, block)},
		{kindSyncEnd, append(rdb.AppendFooter(nil, rdb.Footer{Position: sampleAt, Keys: 1, Sum: 2}), sampleSum...)},
		{kindLog, append(appendLogHead(nil, 1000, 1234), sampleRecord("k", "v")...)},
		{kindHeartbeat, heartbeat{seq: 4, end: 1000, clock: 1234, heard: standing{sampleEpoch, false}}.append(nil)},
		{kindAck, ack{echo: 4, received: 1000, applied: 900, durable: 800, heard: standing{sampleEpoch, true}}.append(nil)},
		{kindHistory, appendLineage(appendOffset(nil, 1000), sampleLineage)},
		{kindChallenge, (&challenge{versionMin: 1, versionMax: 1, bound: true, key: [32]byte{9}}).append(nil)},
		{kindProof, make([]byte, 2*proofBytes)},
		{kindPrepare, sampleOrder().part(kindPrepare).body()},
		{kindReady, answer{kindReady, 7, true, "10.0.0.1:7000"}.append(nil)},
		{kindCommit, sampleOrder().part(kindCommit).body()},
		{kindPromoted, answer{kind: kindPromoted, order: 7}.append(nil)},
		{kindParted, parted{at: 1000, sum: backlog.Sum{From: 3, Value: 9}}.append(nil)},
		{kindTail, (&tail{count: 1, keys: []byte("\x01k")}).append(nil)},
		{kindPlace, appendPlace(nil, 900)},
		{kindControl, sampleIntroduction().append(nil)},
		{kindRequest, sampleRequest(askPoll, samplePoll().append(nil))},
		{kindReply, sampleReply(&reply{number: 7, err: ErrNotSupervised})},
		{kindNews, nil},
	}
}

// parse reads a message's body with the function for its kind, as the two ends
// of a link do, and returns a text of what it found.
func parse(k kind, body []byte) (any, error) {
	switch k {
	case kindHello, kindWelcome:
		return parseHello(body)
	case kindRefuse:
		return nil, parseRefuse(body)
	case kindPrepare:
		return parsePrepare(body)
	case kindReady, kindPromoted:
		return parseAnswer(k, body)
	case kindCommit:
		return parseCommit(body)
	case kindParted:
		return parseParted(body)
	case kindTail:
		return parseTail(body)
	case kindPlace:
		return parsePlace(body)
	case kindContinue:
		return offset(body)
	case kindFullSync:
		return rdb.ParseHeader(body[1:])
	case kindSyncStart:
		return parseSyncStart(body)
	case kindSyncBegin:
		return parsePosition(body[1:])
	case kindBlock:
		return rdb.ParseBlock(body)
	case kindSyncEnd:
		f, sum, err := parseSyncEnd(body)
		return []any{f, sum}, err
	case kindLog:
		at, clock, records, err := parseLog(body)
		return []any{at, clock, records}, err
	case kindHeartbeat:
		return parseHeartbeat(body)
	case kindChallenge:
		return parseChallenge(body)
	case kindHistory:
		return parseHistory(body)
	case kindControl:
		return parseIntroduction(body)
	case kindRequest:
		r, err := parseRequest(body)
		if err == nil && r.what == askPoll {
			return parsePoll(r.body)
		}
		return r, err
	case kindReply:
		return parseReply(body)
	}
	return parseAck(body)
}
