package repl_test

import (
	"encoding/binary"
	"os"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/rdb"
)

// kindNames returns the kinds of messages that PROTOCOL.md lists. That the package has the
// same ones is tested where they are known.
func kindNames(t testing.TB) map[byte]string {
	t.Helper()
	text, err := os.ReadFile("PROTOCOL.md")
	if err != nil {
		t.Fatal(err)
	}
	names := make(map[byte]string)
	for _, row := range regexp.MustCompile(`(?m)^\| (\d+) \| (\w+) \| (?:follower|upstream|both|asker|asked) \|`).FindAllStringSubmatch(string(text), -1) {
		k, err := strconv.ParseUint(row[1], 10, 8)
		if err != nil {
			t.Fatal(err)
		}
		names[byte(k)] = row[2]
	}
	return names
}

// wellFormed returns a body for each kind that reads as one of it, whether or not what it
// says is true anywhere.
func wellFormed() map[byte][]byte {
	h := backlog.History{9, 1}
	pos := backlog.Position{History: h}
	order := func(rest ...byte) []byte { return append(binary.LittleEndian.AppendUint64(nil, 7), rest...) }
	all := map[byte][]byte{
		msgHello: someone(9).body(), msgWelcome: someone(9).body(), msgRefuse: {6, 'x'},
		msgContinue:  int64s(0),
		msgFullSync:  rdb.AppendHeader([]byte{1}, rdb.Header{Position: pos, Lineage: backlog.Lineage{Current: h}, Shards: 8, RecordVersion: 1}),
		msgSyncStart: syncStartBody(0, pos, ledgerShards), msgSyncBegin: positionBody(0, pos),
		msgBlock:   rdb.AppendBlock(nil, &rdb.Block{First: true, Last: true}),
		msgSyncEnd: footerBody(rdb.Footer{Position: pos}),
		msgLog:     logBody(0, record("evil", "x")), msgHeartbeat: beatBody(1<<40, 0, 0), msgAck: ackBody(0, 0, 0, 1),
		msgChallenge: newHandProof().body, msgProof: make([]byte, 32),
		msgPrepare: prepareBody(7, pos, time.Second), msgReady: order(1, 1, 'a'), msgCommit: order(), msgPromoted: order(1),
		msgParted: int64s(0, 0, 0), msgTail: append([]byte{0, 1, 0, 0, 0}, "\x01k"...), msgPlace: {7, 0, 0, 0},
		msgControl: controlBody(7, ""), msgRequest: requestBody(7, 1, pollBody(false, 0, 0, 0, "")), msgReply: order(0), msgNews: {},
	}
	all[msgHistory], _ = backlog.Lineage{Current: h}.AppendBinary(int64s(0))
	return all
}

// every holds a well-formed body for each kind, and kinds that do not exist: all that a
// set of kinds has room for, and one beyond.
func every() map[byte][]byte {
	all := wellFormed()
	all[255] = []byte{}
	for k := range byte(32) {
		if all[k] == nil {
			all[k] = []byte{}
		}
	}
	return all
}

// TestEveryKindIsTried: a kind that the protocol gains is one that the tests of "every kind in
// every state" know, with a body that gets as far as it can.
func TestEveryKindIsTried(t *testing.T) {
	names, bodies := kindNames(t), wellFormed()
	if len(names) < 26 {
		t.Fatalf("PROTOCOL.md lists %d kinds of messages", len(names))
	}
	for k, name := range names {
		if bodies[k] == nil {
			t.Errorf("wellFormed has no %s, kind %d", name, k)
		}
	}
}
