package repl

import (
	"bytes"
	"fmt"
	"testing"
	"time"
)

// BenchmarkFrame writes a frame to memory and reads it there, in clear and sealed: what
// the checksum costs at both ends, and the seal.
func BenchmarkFrame(b *testing.B) {
	for _, size := range []int{100, 4 << 10, 256 << 10} {
		for _, sealed := range []bool{false, true} {
			b.Run(fmt.Sprintf("%d/sealed=%v", size, sealed), func(b *testing.B) {
				body := make([]byte, size)
				t := new(tape)
				w := &frameWriter{conn: t, timeout: time.Second}
				r := player(&t.to)
				if sealed {
					w.seal, r.seal = newSeal(make([]byte, sealKeyBytes)), newSeal(make([]byte, sealKeyBytes))
				}
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for b.Loop() {
					if err := w.write(kindLog, nil, body); err != nil {
						b.Fatal(err)
					}
					if _, got, err := r.next(); err != nil || len(got) != size {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// BenchmarkProof is what an upstream does for whoever dials it, whether they know a
// secret or not: a key, an exchange, and what follows from it for two secrets.
func BenchmarkProof(b *testing.B) {
	secrets := []Secret{NewSecret(), NewSecret()}
	theirs, err := newProving(&link{conn: new(tape)})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		p, err := newProving(&link{conn: new(tape)})
		if err != nil {
			b.Fatal(err)
		}
		all, err := p.schedules(secrets, &theirs.own, &p.own)
		if err != nil || matching(all, bytes.Repeat([]byte{1}, 2*proofBytes)) >= 0 {
			b.Fatal(err)
		}
	}
}
