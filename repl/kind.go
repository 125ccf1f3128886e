package repl

import (
	"fmt"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/rdb"
)

// The protocol versions that this code speaks.
const (
	minProtocol = 1
	maxProtocol = 1
)

// A kind is the first byte of a frame.
type kind byte

const (
	kindHello kind = 1 + iota
	kindWelcome
	kindRefuse
	kindContinue
	kindFullSync
	kindSyncStart
	kindSyncBegin
	kindBlock
	kindSyncEnd
	kindLog
	kindHeartbeat
	kindAck
	kindHistory
	kindChallenge
	kindProof
	kindPrepare
	kindReady
	kindCommit
	kindPromoted
	kindParted kind = 20
	kindTail   kind = 21
	kindPlace  kind = 22

	kindControl kind = 23
	kindRequest kind = 24
	kindReply   kind = 25
	kindNews    kind = 26
)

// kinds holds each kind's name and the largest body of its message.
var kinds = [...]struct {
	name  string
	limit int
}{
	kindHello:     {"Hello", maxHandshakeBody},
	kindWelcome:   {"Welcome", maxHandshakeBody},
	kindRefuse:    {"Refuse", maxHandshakeBody},
	kindContinue:  {"Continue", 8},
	kindFullSync:  {"FullSync", maxHandshakeBody},
	kindSyncStart: {"SyncStart", maxHandshakeBody},
	kindSyncBegin: {"SyncBegin", 25},
	kindBlock:     {"Block", rdb.MaxBlockBytes},
	kindSyncEnd:   {"SyncEnd", maxHandshakeBody},
	kindLog:       {"Log", logHeadBytes + backlog.MaxRecordBytes + backlog.MaxFrameOverhead},
	kindHeartbeat: {"Heartbeat", heartbeatBytes + maxPath*len(NodeID{})},
	kindAck:       {"Ack", ackBytes},
	kindHistory:   {"History", maxHandshakeBody},
	kindChallenge: {"Challenge", 128},
	kindProof:     {"Proof", MaxSecrets * proofBytes},
	kindPrepare:   {"Prepare", prepareBytes},
	kindReady:     {"Ready", readyBytes},
	kindCommit:    {"Commit", 8},
	kindPromoted:  {"Promoted", answerBytes},
	kindParted:    {"Parted", partedBytes},
	kindTail:      {"Tail", maxTailBytes},
	kindPlace:     {"Place", placeBytes},
	kindControl:   {"Control", maxHandshakeBody},
	kindRequest:   {"Request", requestHeadBytes + MaxCallBytes},
	kindReply:     {"Reply", requestHeadBytes + MaxReportBytes},
	kindNews:      {"News", 0},
}

func (k kind) known() bool { return int(k) < len(kinds) && kinds[k].name != "" }

// A kindSet is a set of kinds.
type kindSet uint32

// All kinds fit.
var _ [32 - len(kinds)]struct{}

func kindsOf(kinds ...kind) (s kindSet) {
	for _, k := range kinds {
		s |= 1 << k
	}
	return s
}

func (s kindSet) has(k kind) bool { return s>>k&1 == 1 }

// What may come at all, by who sends it. Without it a follower that sends blocks
// could make its upstream gather one of 256 MiB before anybody looks.
var (
	anyKind      = ^kindSet(0)
	fromStranger = kindsOf(kindHello, kindChallenge, kindControl)
	fromDialed   = kindsOf(kindWelcome, kindRefuse)
	fromAsker    = kindsOf(kindRequest, kindRefuse)
	fromAsked    = kindsOf(kindReply, kindNews, kindRefuse)
	fromFollower = kindsOf(kindSyncStart, kindAck, kindRefuse, kindReady, kindPromoted)
	fromUpstream = kindsOf(kindRefuse, kindContinue, kindFullSync, kindSyncBegin, kindBlock, kindSyncEnd, kindLog, kindHeartbeat, kindHistory, kindParted, kindPlace, kindPrepare, kindCommit)
)

func (k kind) limit() int {
	if !k.known() {
		return 0
	}
	return kinds[k].limit
}

func (k kind) String() string {
	if !k.known() {
		return fmt.Sprintf("kind %d", byte(k))
	}
	return kinds[k].name
}
