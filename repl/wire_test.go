package repl_test

import (
	"context"
	"crypto/cipher"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"testing"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/rdb"
	"github.com/emberkv/ember/repl"
)

// What follows speaks the protocol by PROTOCOL.md and shares no code with the
// package, so that a mistake in both would have to be made twice; and it can
// break every rule.

const wireMagic = "\x89EMBR\r\n\x1a"

const (
	msgHello byte = 1 + iota
	msgWelcome
	msgRefuse
	msgContinue
	msgFullSync
	msgSyncStart
	msgSyncBegin
	msgBlock
	msgSyncEnd
	msgLog
	msgHeartbeat
	msgAck
	msgHistory
	msgChallenge
	msgProof

	msgPlace byte = 22
)

// A peer is one end of a link, by hand. Its methods return errors only where a
// test looks at them.
type peer struct {
	net.Conn
	out uint32 // sequence number of the next frame

	sealOut, sealIn   cipher.AEAD // nil unless the link is sealed
	countOut, countIn uint64
}

// frame returns the next frame, which counts whether it is sent or not.
func (p *peer) frame(kind, flags byte, body []byte) []byte {
	h := []byte{kind, flags, 0, 0}
	h = binary.LittleEndian.AppendUint32(h, uint32(len(body)))
	h = binary.LittleEndian.AppendUint32(h, p.out)
	p.out++
	if p.sealOut != nil {
		h = append(h, 0, 0, 0, 0)
		return append(h, p.sealOut.Seal(nil, sealNonce(&p.countOut), body, h)...)
	}
	table := crc32.MakeTable(crc32.Castagnoli)
	crc := crc32.Update(crc32.Checksum(h, table), table, body)
	return append(binary.LittleEndian.AppendUint32(h, crc), body...)
}

func (p *peer) send(kind byte, body []byte) error {
	_, err := p.Write(p.frame(kind, 0, body))
	return err
}

// next reads one frame and checks nothing but its length.
func (p *peer) next() (kind byte, body []byte, err error) {
	h := make([]byte, 16)
	if _, err := io.ReadFull(p, h); err != nil {
		return 0, nil, err
	}
	body = make([]byte, binary.LittleEndian.Uint32(h[4:]))
	if p.sealIn != nil {
		body = append(body, make([]byte, 16)...)
	}
	if _, err = io.ReadFull(p, body); err == nil && p.sealIn != nil {
		body, err = p.sealIn.Open(nil, sealNonce(&p.countIn), body, h)
	}
	return h[0], body, err
}

// await reads until a frame of one of the kinds has come.
func (p *peer) await(kinds ...byte) (byte, []byte, error) {
	for {
		k, body, err := p.next()
		if err != nil {
			return 0, nil, err
		}
		for _, want := range kinds {
			if k == want {
				return k, body, nil
			}
		}
	}
}

// drain reads until the connection ends and returns the last refusal's code, or
// 0 if there was none.
func (p *peer) drain() byte {
	code := byte(0)
	for {
		k, body, err := p.next()
		if err != nil {
			return code
		}
		if k == msgRefuse {
			code = body[0]
		}
	}
}

func (p *peer) readMagic() error {
	m := make([]byte, 8)
	if _, err := io.ReadFull(p, m); err != nil {
		return err
	}
	if string(m) != wireMagic {
		return fmt.Errorf("magic %q", m)
	}
	return nil
}

// An identity is what a peer says of itself in Hello and Welcome.
type identity struct {
	versionMin, versionMax byte
	records                uint16
	heartbeat              uint32
	maxRecord              uint32
	id                     repl.NodeID
	end                    int64
	priority               uint16
	packing                byte
	heard                  backlog.Epoch
	name, group, announce  string
	lineage                backlog.Lineage
	sum                    backlog.Sum
}

// someone returns the identity of a node that could be of anybody's group.
func someone(id byte) identity {
	return identity{
		versionMin: 1, versionMax: 1, records: rdb.RecordVersion, heartbeat: 1000, maxRecord: backlog.MaxRecordBytes,
		id: repl.NodeID{id, id}, name: fmt.Sprint("node", id),
		lineage: backlog.Lineage{Current: backlog.History{id, 1}},
	}
}

// at returns i at the end of l's log.
func (i identity) at(l *ledger) identity {
	i.end, i.lineage = l.Log().End(), l.Log().Lineage()
	i.heard = i.lineage.Epoch
	return i
}

func (i identity) body() []byte {
	le := binary.LittleEndian
	b := []byte{i.versionMin, i.versionMax}
	b = le.AppendUint16(b, i.records)
	b = le.AppendUint32(b, i.heartbeat)
	b = le.AppendUint32(b, i.maxRecord)
	b = append(b, i.id[:]...)
	b = le.AppendUint64(b, uint64(i.end))
	b = le.AppendUint16(b, i.priority)
	b = append(b, i.packing)
	b, _ = i.heard.AppendBinary(b)
	sum := i.sum
	if sum == (backlog.Sum{}) {
		sum.From = i.end // which says nothing
	}
	b, _ = sum.AppendBinary(b)
	for _, s := range []string{i.name, i.group, i.announce} {
		b = append(append(b, byte(len(s))), s...)
	}
	b, _ = i.lineage.AppendBinary(b)
	return b
}

func int64s(values ...int64) (b []byte) {
	for _, v := range values {
		b = binary.LittleEndian.AppendUint64(b, uint64(v))
	}
	return b
}

// beatBody is a heartbeat of a master that has heard of no epoch.
func beatBody(seq, end, clock int64) []byte {
	return append(append(int64s(seq, end, clock, 0), 1), make([]byte, 24)...)
}

func ackBody(echo, received, applied int64, loading byte) []byte {
	return append(append(int64s(echo, received, applied, 0), loading), make([]byte, 24)...)
}

// footerBody is a SyncEnd without a running hash.
func footerBody(f rdb.Footer) []byte {
	return append(rdb.AppendFooter(nil, f), int64s(f.Position.Offset, 0)...)
}

func logBody(at int64, records []byte) []byte { return append(int64s(at, 1), records...) }

func positionBody(flag byte, p backlog.Position) []byte {
	return append(append([]byte{flag}, p.History[:]...), int64s(p.Offset)...)
}

func syncStartBody(resume byte, from backlog.Position, shards int, done ...int) []byte {
	b := binary.LittleEndian.AppendUint16(positionBody(resume, from), uint16(shards))
	var set rdb.ShardSet
	for _, s := range done {
		set.Add(s)
	}
	for i := range (shards + 63) / 64 {
		b = binary.LittleEndian.AppendUint64(b, set[i])
	}
	return b
}

// call connects to addr as a stranger.
func call(t testing.TB, net repl.Transport, addr string) *peer {
	t.Helper()
	conn, err := net.Dial(context.Background(), addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &peer{Conn: conn}
}

// follow connects to addr as a follower and reads the Welcome.
func follow(t testing.TB, net repl.Transport, addr string, i identity) *peer {
	t.Helper()
	p := call(t, net, addr)
	p.Write([]byte(wireMagic))
	p.send(msgHello, i.body())
	if err := p.readMagic(); err != nil {
		t.Fatalf("%+v: %v", i, err)
	}
	if k, body, err := p.next(); err != nil || k != msgWelcome {
		t.Fatalf("kind %d %q, %v; want Welcome", k, body, err)
	}
	return p
}

// upstream listens at addr and plays the upstream's part, as f has it, for each
// connection, one after the other. n counts them from 0.
func upstream(t testing.TB, net repl.Transport, addr string, f func(n int, p *peer)) {
	t.Helper()
	ln, err := net.Listen(addr)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for n := 0; ; n++ {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			f(n, &peer{Conn: conn})
			conn.Close()
		}
	}()
	t.Cleanup(func() {
		ln.Close()
		<-done
	})
}

// welcome reads the follower's Hello and answers with i.
func (p *peer) welcome(i identity) error {
	if err := p.readMagic(); err != nil {
		return err
	}
	if _, _, err := p.await(msgHello); err != nil {
		return err
	}
	p.Write([]byte(wireMagic))
	return p.send(msgWelcome, i.body())
}

// A source is what an upstream by hand has to give.
type source struct {
	header rdb.Header
	blocks []*rdb.Block
	footer rdb.Footer
}

// sourceOf returns the state of l as it stands.
func sourceOf(t testing.TB, l *ledger) *source {
	t.Helper()
	s := &source{}
	if err := l.Dump(context.Background(), s); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *source) Begin(h rdb.Header) error { s.header = h; return nil }
func (s *source) Next() (int, bool) {
	shard := 0
	if n := len(s.blocks); n > 0 {
		shard = s.blocks[n-1].Shard + 1
	}
	return shard, shard < ledgerShards
}
func (s *source) WriteBlock(b *rdb.Block) error { s.blocks = append(s.blocks, b); return nil }
func (s *source) End(f rdb.Footer) error        { s.footer = f; return nil }

// offer sends FullSync and waits for the answer to it.
func (s *source) offer(p *peer) error {
	p.send(msgFullSync, rdb.AppendHeader([]byte{byte(backlog.Empty)}, s.header))
	_, _, err := p.await(msgSyncStart)
	return err
}

// begin takes the follower up to its first block.
func (s *source) begin(p *peer) error {
	if err := s.offer(p); err != nil {
		return err
	}
	return p.send(msgSyncBegin, positionBody(0, s.header.Position))
}

func (s *source) footerBody() []byte { return footerBody(s.footer) }

func (s *source) send(p *peer) {
	for _, b := range s.blocks {
		p.send(msgBlock, rdb.AppendBlock(nil, b))
	}
}
