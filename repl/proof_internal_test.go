package repl

import (
	"bytes"
	"crypto/ecdh"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"slices"
	"testing"
)

// fixedProving returns the part of an end whose key is not random.
func fixedProving(t testing.TB, seed byte, channel []byte) *proving {
	t.Helper()
	private, err := ecdh.X25519().NewPrivateKey(bytes.Repeat([]byte{seed}, 32))
	if err != nil {
		t.Fatal(err)
	}
	p := &proving{private: private, channel: channel}
	p.own = challenge{versionMin: 1, versionMax: 1, bound: channel != nil, key: [32]byte(private.PublicKey().Bytes())}
	return p
}

// TestScheduleGolden: what follows from fixed keys and a fixed secret does not change from one
// version of the code to the next, and is the same at both ends.
func TestScheduleGolden(t *testing.T) {
	secret := []Secret{"0123456789abcdef0123456789abcdef"}
	for _, c := range []struct {
		name    string
		channel []byte
		want    [4]string // the follower's proof, the upstream's, the keys up and down; the first eight bytes
	}{
		{"in clear", nil, [4]string{"3b4d9f94a6ca197e", "4d2623bd5bfb9be9", "42a38390bb616f22", "237837d9f7728dcc"}},
		{"over TLS", bytes.Repeat([]byte{7}, sha256.Size), [4]string{"a987896d2882be2a", "0a00e0110439965a", "a7b7df00e6b40300", "a74a35c9c6307f71"}},
	} {
		follower, upstream := fixedProving(t, 1, c.channel), fixedProving(t, 2, c.channel)
		there, err := follower.schedules(secret, &follower.own, &upstream.own)
		if err != nil {
			t.Fatal(err)
		}
		here, err := upstream.schedules(secret, &follower.own, &upstream.own)
		if err != nil {
			t.Fatal(err)
		}
		for i, got := range [][2][]byte{
			{there[0].follower, here[0].follower}, {there[0].upstream, here[0].upstream}, {there[0].up, here[0].up}, {there[0].down, here[0].down},
		} {
			if !bytes.Equal(got[0], got[1]) {
				t.Errorf("%s: the ends do not agree on number %d", c.name, i)
			}
			if text := hex.EncodeToString(got[0][:8]); text != c.want[i] {
				t.Errorf("%s: number %d begins with %s, want %s", c.name, i, text, c.want[i])
			}
		}
	}
}

// TestKeysThatAreNone: points for which every exchange comes out as zero, so that whoever
// has sent one would know what follows.
func TestKeysThatAreNone(t *testing.T) {
	one := make([]byte, 32)
	one[0] = 1
	high, _ := hex.DecodeString("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f")
	for _, point := range [][]byte{make([]byte, 32), one, high} {
		p := fixedProving(t, 1, nil)
		theirs := &challenge{versionMin: 1, versionMax: 1, key: [32]byte(point)}
		if all, err := p.schedules([]Secret{NewSecret()}, theirs, &p.own); !errors.Is(err, ErrProtocol) {
			t.Errorf("key % x: %v, %v", point, all, err)
		}
	}
}

// TestMatching: any of the follower's proofs, the first of this end's secrets.
func TestMatching(t *testing.T) {
	of := func(b byte) []byte { return bytes.Repeat([]byte{b}, proofBytes) }
	own := []schedule{{follower: of(1)}, {follower: of(2)}, {follower: of(3)}}
	for _, c := range []struct {
		proofs []byte
		want   int
	}{
		{of(1), 0}, {of(3), 2}, {slices.Concat(of(9), of(3), of(2)), 1}, {of(9), -1},
		{slices.Concat([]byte{0}, of(1), make([]byte, proofBytes-1)), -1}, // one that is not at a border
	} {
		if got := matching(own, c.proofs); got != c.want {
			t.Errorf("% x is of secret %d, want %d", c.proofs, got, c.want)
		}
	}
}

// sealedPair returns a writer to a tape and a reader of it, under one key.
func sealedPair() (*frameWriter, *frameReader, *tape) {
	t := new(tape)
	w := &frameWriter{conn: t, timeout: 1, seal: newSeal(make([]byte, sealKeyBytes))}
	r := player(&t.to)
	r.seal = newSeal(make([]byte, sealKeyBytes))
	return w, r, t
}

// TestSealedFramesRoundTrip: bodies of every size come out as they went in, what they carry
// cannot be read on the way, and what is shared with other links is not changed.
func TestSealedFramesRoundTrip(t *testing.T) {
	w, r, tape := sealedPair()
	for _, size := range []int{0, 1, 100, smallFrame, maxFrameBody - 1, maxFrameBody, 2*maxFrameBody + 5} {
		head, body := []byte("head of a message"), bytes.Repeat([]byte("what it carries "), size/16+1)[:size]
		whole := bytes.Clone(body)
		w.write(kindLog, head, body)
		w.write(kindBlock, nil, body)
		if sealed := tape.to.Bytes(); bytes.Contains(sealed, []byte("head of")) || size > 20 && bytes.Contains(sealed, body[:20]) {
			t.Errorf("%d bytes can be read on the way", size)
		}
		length := tape.to.Len()
		before := r.read
		for _, want := range []sample{{kindLog, slices.Concat(head, body)}, {kindBlock, body}} {
			k, got, err := r.next()
			if k != want.kind || !bytes.Equal(got, want.body) || err != nil {
				t.Fatalf("%d bytes: got %v of %d bytes, %v", size, k, len(got), err)
			}
		}
		if !bytes.Equal(body, whole) {
			t.Errorf("%d bytes: sealing has changed what was sealed", size)
		}
		if r.read-before != int64(length) || w.written != r.read {
			t.Errorf("%d bytes: counted %d and %d of %d", size, w.written, r.read-before, length)
		}
	}
}

// TestEveryBitOfASealedFrameCounts: none can be changed, and no byte may lack, in a frame
// of each kind.
func TestEveryBitOfASealedFrameCounts(t *testing.T) {
	for _, s := range samples() {
		w, _, tape := sealedPair()
		w.write(s.kind, nil, s.body)
		raw := bytes.Clone(tape.to.Bytes())
		read := func(b []byte) error {
			r := player(bytes.NewReader(b))
			r.seal = newSeal(make([]byte, sealKeyBytes))
			_, _, err := r.next()
			return err
		}
		if err := read(raw); err != nil {
			t.Fatalf("%v: %v", s.kind, err)
		}
		for bit := range 8 * len(raw) {
			bad := bytes.Clone(raw)
			bad[bit/8] ^= 1 << (bit % 8)
			if err := read(bad); !errors.Is(err, ErrAuth) && !errors.Is(err, ErrProtocol) && !errors.Is(err, ErrLimit) && err != io.ErrUnexpectedEOF {
				t.Fatalf("%v with bit %d flipped: %v", s.kind, bit, err)
			}
		}
		for n := range raw {
			if err := read(raw[:n]); err != io.ErrUnexpectedEOF && n > 0 {
				t.Fatalf("%v of %d of %d bytes: %v", s.kind, n, len(raw), err)
			}
		}
	}
}

// TestSealsDoNotRepeat: the same frame never looks the same, also when its sequence number
// has wrapped; and neither direction opens what the other has sealed.
func TestSealsDoNotRepeat(t *testing.T) {
	seen := map[string]bool{}
	w, _, tape := sealedPair()
	for i := range 1000 {
		w.seq = uint32(i % 2)
		tape.to.Reset()
		w.write(kindAck, nil, make([]byte, 25))
		if seen[tape.to.String()] {
			t.Fatalf("frame %d looks like one before", i)
		}
		seen[tape.to.String()] = true
	}
	s := newSeal(make([]byte, sealKeyBytes))
	s.count = 1<<32 - 1
	first := bytes.Clone(s.next())
	if second := s.next(); binary.LittleEndian.Uint64(second[4:]) != 1<<32 || bytes.Equal(first, second) {
		t.Errorf("the nonce wraps: % x after % x", second, first)
	}
	up, down := sealsOf(t)
	sealed := up.aead.Seal(nil, up.next(), []byte("body"), []byte("header"))
	if _, err := down.open([]byte("header"), sealed); authReasonOf(err) != AuthForged {
		t.Errorf("the key of one direction opens the other: %v", err)
	}
}

// sealsOf returns the seals of the two directions of one link.
func sealsOf(t testing.TB) (up, down *seal) {
	follower, upstream := fixedProving(t, 1, nil), fixedProving(t, 2, nil)
	all, err := follower.schedules([]Secret{"0123456789abcdef"}, &follower.own, &upstream.own)
	if err != nil {
		t.Fatal(err)
	}
	return newSeal(all[0].up), newSeal(all[0].down)
}

func authReasonOf(err error) AuthReason {
	var auth *AuthError
	if !errors.As(err, &auth) {
		return 255
	}
	return auth.Reason
}

// FuzzChallenge: what is read is what its bytes say.
func FuzzChallenge(f *testing.F) {
	f.Add((&challenge{versionMin: 1, versionMax: 1, bound: true, key: [32]byte{9}}).append(nil))
	f.Add([]byte{2, 3})
	f.Add([]byte{1, 0})
	f.Fuzz(func(t *testing.T, body []byte) {
		c, err := parseChallenge(body)
		if err != nil {
			checkLinkEnd(t, err)
			return
		}
		if again := c.append(nil); !bytes.Equal(again, body) {
			t.Errorf("% x was read as % x", body, again)
		}
	})
}

// FuzzSealed hands whatever comes to one who reads sealed frames, behind one good frame.
// Nobody without the key can make anything that is read.
func FuzzSealed(f *testing.F) {
	w, _, tape := sealedPair()
	w.write(kindAck, nil, make([]byte, 25))
	good := bytes.Clone(tape.to.Bytes())
	f.Add(good)
	f.Add(forgery(kindAck, 0, 25, 1, make([]byte, 25+sealTagBytes)))
	f.Add(forgery(kindLog, flagMore|flagPacked, 1<<32-1, 1, nil))
	f.Add(forgery(kindHeartbeat, 0, 0, 1, make([]byte, sealTagBytes)))
	f.Fuzz(func(t *testing.T, raw []byte) {
		r := player(io.MultiReader(bytes.NewReader(good), bytes.NewReader(raw)))
		r.seal = newSeal(make([]byte, sealKeyBytes))
		if _, _, err := r.next(); err != nil {
			t.Fatalf("the good frame: %v", err)
		}
		k, body, err := r.next()
		if err == nil {
			t.Fatalf("%v of %d bytes was read, which nobody has sealed", k, len(body))
		}
		if !errors.Is(err, ErrAuth) {
			checkLinkEnd(t, err)
		}
	})
}

// FuzzHandshake hands whatever comes to a node, with secrets or without, as the first that
// it hears. Only a Hello gets past it, and only where there is no secret.
func FuzzHandshake(f *testing.F) {
	hello := taped(func(w *frameWriter) { w.writeMagic(); w.write(kindHello, nil, sampleHello().append(nil)) })
	first := taped(func(w *frameWriter) {
		w.writeMagic()
		w.write(kindChallenge, nil, fixedProving(f, 1, nil).own.append(nil))
		w.write(kindProof, nil, make([]byte, 2*proofBytes))
		w.write(kindHello, nil, sampleHello().append(nil))
	})
	for _, guarded := range []bool{false, true} {
		f.Add(hello, guarded)
		f.Add(first, guarded)
		f.Add([]byte("GET / HTTP/1.1\r\nHost: ember\r\n\r\n"), guarded)
		f.Add([]byte("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"), guarded)
	}
	f.Fuzz(func(t *testing.T, raw []byte, guarded bool) {
		secrets := []Secret{}
		if guarded {
			secrets = append(secrets, "0123456789abcdef0123456789abcdef")
		}
		n := new(Node)
		n.takes = fromStranger
		n.secrets.Store(&secrets)
		end := &tape{from: bytes.NewReader(raw)}
		l := newLink(end, 0, fromStranger)
		k, body, err := n.hear(l)
		switch {
		case err == nil && guarded:
			t.Fatalf("%v % x: it has proved to know a secret", k, body)
		case err == nil && k == kindHello:
			_, err = takeHello(l, body)
		case err == nil:
			_, err = l.takeControl(body)
		}
		switch {
		case err != nil && !errors.Is(err, ErrAuth):
			checkLinkEnd(t, err)
		}
		most := 0
		if guarded { // its own magic and Challenge
			most = len(magic) + frameHeaderBytes + challengeBytes
		}
		if end.to.Len() > most {
			t.Fatalf("a stranger was answered with %d bytes", end.to.Len())
		}
	})
}
