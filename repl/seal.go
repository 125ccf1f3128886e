package repl

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
)

// sealTagBytes is by how much sealing makes a frame longer.
const sealTagBytes = 16

// A seal encrypts and authenticates the frames of one direction of one link, under a
// key that nothing else has. Each frame has its own nonce, a count that does not wrap, so
// one that is repeated, dropped or from elsewhere does not open.
type seal struct {
	aead  cipher.AEAD
	count uint64
	nonce [12]byte // the count in its last eight bytes
}

// newSeal returns the seal with a key of sealKeyBytes.
func newSeal(key []byte) *seal {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err) // a length that is not one of AES
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	return &seal{aead: aead}
}

func (s *seal) next() []byte {
	binary.LittleEndian.PutUint64(s.nonce[4:], s.count)
	s.count++
	return s.nonce[:]
}

// open decrypts a frame's body, with its tag, in place.
func (s *seal) open(header, body []byte) ([]byte, error) {
	plain, err := s.aead.Open(body[:0], s.next(), body, header)
	if err != nil {
		return nil, &AuthError{Reason: AuthForged}
	}
	return plain, nil
}

// writeSealed sends one frame whose header, without a checksum, stands in w.header. What it
// carries is copied: it may be shared with other links, each of which has its own key.
func (w *frameWriter) writeSealed(head, part []byte) error {
	n := frameHeaderBytes + len(head) + len(part)
	b := slices.Grow(w.small[:0], n+sealTagBytes)
	b = append(append(append(b, w.header[:]...), head...), part...)
	b = w.seal.aead.Seal(b[:frameHeaderBytes], w.seal.next(), b[frameHeaderBytes:], w.header[:])
	w.small = b[:0]
	w.written += int64(len(b))
	w.plain += int64(len(b))
	_, err := w.conn.Write(b)
	return err
}

// readSealed reads the body of a sealed frame into buf, which has room for it and its
// tag, and returns it opened.
func (r *frameReader) readSealed(buf []byte) ([]byte, error) {
	if _, err := io.ReadFull(r.br, buf); err != nil {
		return nil, unexpected(err)
	}
	body, err := r.seal.open(r.header[:], buf)
	if err != nil {
		return nil, fmt.Errorf("%w: %v number %d of %d bytes", err, kind(r.header[0]), r.seq, len(buf)-sealTagBytes)
	}
	return body, nil
}
