package repl_test

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"net"
	"sync"
	"testing"

	"github.com/emberkv/ember/repl"
)

// The proof by hand, by PROTOCOL.md, and somebody who stands on the way.

func sealNonce(count *uint64) []byte {
	nonce := make([]byte, 12)
	binary.LittleEndian.PutUint64(nonce[4:], *count)
	*count++
	return nonce
}

func sealWith(key []byte) cipher.AEAD {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	return aead
}

func mac(key []byte, parts ...[]byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(bytes.Join(parts, nil))
	return h.Sum(nil)
}

// derive returns what follows from a secret for a label, the first 32 bytes of it.
func derive(secret string, shared, follower, upstream, exporter []byte, label string) []byte {
	transcript := []byte("ember 1 handshake")
	for _, body := range [][]byte{follower, upstream} {
		transcript = append(binary.LittleEndian.AppendUint16(transcript, uint16(len(body))), body...)
	}
	salt := sha256.Sum256(append(transcript, exporter...))
	return mac(mac(salt[:], shared, []byte(secret)), []byte(label), []byte{1})
}

// A handProof is what a peer by hand has to do with the proof.
type handProof struct {
	private *ecdh.PrivateKey
	body    []byte // of its Challenge
}

func newHandProof() *handProof {
	private, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	return &handProof{private, append([]byte{1, 1, 0}, private.PublicKey().Bytes()...)}
}

func (h *handProof) shared(theirs []byte) []byte {
	public, err := ecdh.X25519().NewPublicKey(theirs[3:35])
	if err != nil {
		panic(err)
	}
	shared, err := h.private.ECDH(public)
	if err != nil {
		panic(err)
	}
	return shared
}

// challenge sends the follower's magic and Challenge and returns the answer's body.
func (p *peer) challenge(h *handProof) ([]byte, error) {
	p.Write([]byte(wireMagic))
	p.send(msgChallenge, h.body)
	if err := p.readMagic(); err != nil {
		return nil, err
	}
	k, body, err := p.next()
	if err == nil && k != msgChallenge {
		err = errors.New("no challenge")
	}
	return body, err
}

// prove plays the follower's part, up to where frames are sealed.
func (p *peer) prove(secret string) error {
	h := newHandProof()
	theirs, err := p.challenge(h)
	if err != nil {
		return err
	}
	of := func(label string) []byte { return derive(secret, h.shared(theirs), h.body, theirs, nil, label) }
	p.send(msgProof, of("ember 1 proof of the follower"))
	k, proof, err := p.next()
	if err != nil {
		return err
	}
	if k != msgProof || !bytes.Equal(proof, of("ember 1 proof of the upstream")) {
		return errors.New("the upstream has not proved itself")
	}
	p.sealOut, p.sealIn = sealWith(of("ember 1 key from the follower")[:16]), sealWith(of("ember 1 key from the upstream")[:16])
	return nil
}

// accept plays the upstream's part, up to where frames are sealed.
func (p *peer) accept(secret string) error {
	theirs, h, err := p.heed()
	if err != nil {
		return err
	}
	of := func(label string) []byte { return derive(secret, h.shared(theirs), theirs, h.body, nil, label) }
	_, proofs, err := p.next()
	if err != nil {
		return err
	}
	p.send(msgProof, of("ember 1 proof of the upstream"))
	if !bytes.Contains(proofs, of("ember 1 proof of the follower")) {
		return errors.New("the follower has not proved itself")
	}
	p.sealOut, p.sealIn = sealWith(of("ember 1 key from the upstream")[:16]), sealWith(of("ember 1 key from the follower")[:16])
	return nil
}

// heed answers a follower's Challenge with one.
func (p *peer) heed() (theirs []byte, h *handProof, err error) {
	if err := p.readMagic(); err != nil {
		return nil, nil, err
	}
	k, theirs, err := p.next()
	if err != nil || k != msgChallenge || len(theirs) != 35 {
		return nil, nil, errors.New("no challenge")
	}
	h = newHandProof()
	p.Write([]byte(wireMagic))
	return theirs, h, p.send(msgChallenge, h.body)
}

// A piece is a magic or a frame on its way.
type piece struct {
	conn int  // the connection, from 0
	up   bool // from the follower
	n    int  // the magic is 0
	raw  []byte
}

func (p piece) kind() byte {
	if p.n == 0 {
		return 0
	}
	return p.raw[0]
}

// mended returns the piece with a checksum that fits what it says, as somebody on the way
// would make it.
func (p piece) mended() []byte {
	raw := bytes.Clone(p.raw)
	if p.n > 0 && len(raw) >= 16 {
		table := crc32.MakeTable(crc32.Castagnoli)
		binary.LittleEndian.PutUint32(raw[12:], crc32.Update(crc32.Checksum(raw[:12], table), table, raw[16:]))
	}
	return raw
}

// between puts somebody at addr who passes on, to the node at to, what edit makes of each
// piece; nil closes both connections.
func between(t testing.TB, network repl.Transport, addr, to string, edit func(piece) [][]byte) {
	t.Helper()
	ln, err := network.Listen(addr)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	var conns []net.Conn
	var mu sync.Mutex
	all.Go(func() {
		for n := 0; ; n++ {
			below, err := ln.Accept()
			if err != nil {
				return
			}
			above, err := network.Dial(context.Background(), to)
			if err != nil {
				below.Close()
				continue
			}
			mu.Lock()
			conns = append(conns, below, above)
			mu.Unlock()
			all.Go(func() { pass(below, above, n, true, edit) })
			all.Go(func() { pass(above, below, n, false, edit) })
		}
	})
	t.Cleanup(func() {
		ln.Close()
		mu.Lock()
		for _, c := range conns {
			c.Close()
		}
		mu.Unlock()
		all.Wait()
	})
}

// pass passes on one direction of one connection.
func pass(from, to net.Conn, conn int, up bool, edit func(piece) [][]byte) {
	defer from.Close()
	defer to.Close()
	tag := 0
	for n := 0; ; n++ {
		raw := make([]byte, 8)
		if n > 0 {
			raw = make([]byte, 16)
		}
		if _, err := io.ReadFull(from, raw); err != nil {
			return
		}
		if n > 0 {
			body := make([]byte, int(binary.LittleEndian.Uint32(raw[4:]))+tag)
			if _, err := io.ReadFull(from, body); err != nil {
				return
			}
			raw = append(raw, body...)
		}
		p := piece{conn, up, n, raw}
		if p.kind() == msgProof {
			tag = 16
		}
		out := edit(p)
		if out == nil {
			return
		}
		for _, b := range out {
			if _, err := to.Write(b); err != nil {
				return
			}
		}
	}
}
