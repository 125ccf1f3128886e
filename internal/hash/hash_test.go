package hash_test

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/emberkv/ember/internal/hash"
)

// input returns the n bytes that the golden vectors were computed for.
func input(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*131 + 17)
	}
	return b
}

func TestGoldenVectors(t *testing.T) {
	for n, want := range golden {
		for i, seed := range goldenSeeds {
			if got := hash.Bytes(seed, input(n)); got != want[i] {
				t.Errorf("%d bytes, seed %#x: got %#016x, want %#016x", n, seed, got, want[i])
			}
		}
	}
}

func TestStringIsBytes(t *testing.T) {
	for n := range 100 {
		b := input(n)
		if got, want := hash.String(3, string(b)), hash.Bytes(3, b); got != want {
			t.Errorf("%d bytes: String %#x, Bytes %#x", n, got, want)
		}
	}
}

// An input's place in memory, and what lies beside it, must not matter.
func TestOnlyTheBytesCount(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for n := range 100 {
		want := hash.Bytes(9, input(n))
		for shift := range 9 {
			b := make([]byte, n+16)
			for i := range b {
				b[i] = byte(rng.Uint32())
			}
			copy(b[shift:], input(n))
			if got := hash.Bytes(9, b[shift:shift+n]); got != want {
				t.Fatalf("%d bytes at %d: got %#x, want %#x", n, shift, got, want)
			}
		}
	}
}

// A flipped bit of the input or of the seed flips each bit of the hash half of
// the time. The bound is six standard deviations of a fair coin, of which some 100,000 are tossed.
func TestAvalanche(t *testing.T) {
	const rounds = 1000 / sample
	bound := 6 * math.Sqrt(rounds) / 2
	rng := rand.New(rand.NewPCG(3, 4))
	for _, n := range []int{0, 1, 2, 3, 4, 7, 8, 9, 16, 17, 32, 33, 49} {
		flips := make([][64]int, 8*n+64)
		b := make([]byte, n)
		for range rounds {
			for i := range b {
				b[i] = byte(rng.Uint32())
			}
			seed := rng.Uint64()
			h := hash.Bytes(seed, b)
			for bit := range 8 * n {
				b[bit/8] ^= 1 << (bit % 8)
				count(&flips[bit], h^hash.Bytes(seed, b))
				b[bit/8] ^= 1 << (bit % 8)
			}
			for bit := range 64 {
				count(&flips[8*n+bit], h^hash.Bytes(seed^1<<bit, b))
			}
		}
		for in := range flips {
			for out, f := range flips[in] {
				if math.Abs(float64(f)-rounds/2) > bound {
					t.Errorf("%d bytes: bit %d flips bit %d in %d of %d", n, in, out, f, rounds)
				}
			}
		}
	}
}

// count adds diff's bits to the columns of flips.
func count(flips *[64]int, diff uint64) {
	for i := range flips {
		flips[i] += int(diff >> i & 1)
	}
}

// A table takes its shard, its segment, its group and its tag from different
// bits, so every run of bits has to spread numbered keys like chance does.
func TestNumberedKeysSpread(t *testing.T) {
	const keys = 1 << 16 / sample
	for _, format := range []string{"key:%012d", "%d", "user:%d:profile", "session/2026-11-21/%08x/token/access"} {
		for _, seed := range []uint64{0, 1, 0xdeadbeef} {
			hashes := make([]uint64, keys)
			for i := range hashes {
				hashes[i] = hash.String(seed, fmt.Sprintf(format, i))
			}
			for _, width := range []int{4, 7, 8, 10} {
				for _, shift := range []int{0, 7, 20, 32, 45, 64 - width} {
					if z := deviation(hashes, shift, width); math.Abs(z) > 5 {
						t.Errorf("%s, seed %#x, bits %d to %d: chi-square is %.1f deviations off", format, seed, shift, shift+width, z)
					}
				}
			}
		}
	}
}

// deviation returns by how many standard deviations the chi-square of the
// buckets made of width bits from shift on is off its mean.
func deviation(hashes []uint64, shift, width int) float64 {
	buckets := make([]float64, 1<<width)
	for _, h := range hashes {
		buckets[h>>shift&(1<<width-1)]++
	}
	mean := float64(len(hashes)) / float64(len(buckets))
	chi := 0.0
	for _, n := range buckets {
		chi += (n - mean) * (n - mean) / mean
	}
	free := float64(len(buckets) - 1)
	return (chi - free) / math.Sqrt(2*free)
}

// Some 3.2 million keys of 0 to 8 bytes: by chance two of them share a hash
// once in three million seeds.
func TestShortKeysDoNotCollide(t *testing.T) {
	var hashes []uint64
	add := func(key []byte) { hashes = append(hashes, hash.Bytes(42, key)) }
	add(nil)
	var b [8]byte
	for i := range 1 << 8 {
		b[0] = byte(i)
		add(b[:1])
	}
	for i := range 1 << 16 {
		binary.LittleEndian.PutUint16(b[:], uint16(i))
		add(b[:2])
	}
	for i := range 1 << 20 / sample {
		binary.LittleEndian.PutUint32(b[:], uint32(i)*16)
		add(b[:3])
	}
	for i := range 1 << 20 / sample {
		binary.BigEndian.PutUint32(b[:], uint32(i))
		add(b[:4])
	}
	for i := range 1 << 20 / sample {
		binary.BigEndian.PutUint64(b[:], uint64(i)<<20)
		add(b[:8])
	}
	slices.Sort(hashes)
	if distinct := len(slices.Compact(slices.Clone(hashes))); distinct != len(hashes) {
		t.Errorf("%d collisions among %d keys", len(hashes)-distinct, len(hashes))
	}
}

// Keys that differ in length alone, all zero, are a usual weakness.
func TestRunsOfOneByteDoNotCollide(t *testing.T) {
	seen := make(map[uint64]string)
	for _, fill := range []byte{0, 1, 'a', 0xff} {
		b := make([]byte, 4096)
		for i := range b {
			b[i] = fill
		}
		for n := 1; n <= len(b); n++ {
			name := fmt.Sprintf("%d of %#x", n, fill)
			h := hash.Bytes(0, b[:n])
			if other, ok := seen[h]; ok {
				t.Fatalf("%s and %s have the same hash", name, other)
			}
			seen[h] = name
		}
	}
}

// Whoever does not know the seed must not be able to make keys collide by
// choosing words that turn a factor into zero, or that make two chains cancel:
// here one word is tied to a constant of the hash's own, or to another word and
// their neighbours to each other, while each of the rest in turn varies.
func TestChosenWordsDoNotCollide(t *testing.T) {
	constants := []uint64{0, 0xb7e151628aed2a6b, 0x243f6a8885a308d3, 0x9e3779b97f4a7c15, 0x6a09e667f3bcc909}
	rng := rand.New(rand.NewPCG(5, 6))
	for _, words := range []int{2, 3, 4, 5, 6, 8, 9} {
		for at := range words {
			for from := range words {
				for _, c := range constants {
					for _, d := range constants {
						testTied(t, rng, words, at, from, c^d)
					}
				}
			}
		}
	}
}

func testTied(t *testing.T, rng *rand.Rand, words, at, from int, c uint64) {
	tie := func(w []uint64) {
		w[at] = c
		if from != at {
			w[at] ^= w[from]
			if at|1 < words && from|1 < words {
				w[at^1] = w[from^1]
			}
		}
	}
	seed := rng.Uint64()
	w := make([]uint64, words)
	for i := range w {
		w[i] = rng.Uint64()
	}
	tie(w)
	h := hash.Bytes(seed, bytesOf(w))
	for vary := range words {
		v := slices.Clone(w)
		v[vary] = rng.Uint64()
		tie(v)
		if !slices.Equal(v, w) && hash.Bytes(seed, bytesOf(v)) == h {
			t.Fatalf("word %d of %d is tied to %d by %#x, and word %d does not count", at, words, from, c, vary)
		}
	}
}

func bytesOf(words []uint64) []byte {
	var b []byte
	for _, w := range words {
		b = binary.LittleEndian.AppendUint64(b, w)
	}
	return b
}

func Example() {
	// The same on every machine and for ever, given the seed.
	fmt.Printf("%016x\n", hash.String(1, "key:000000000001"))
	fmt.Printf("%016x\n", hash.String(2, "key:000000000001"))
	// Output:
	// d497994977425398
	// aa2e2569f1cab261
}

var sink uint64

func BenchmarkBytes(b *testing.B) {
	for _, n := range []int{16, 100, 128, 4096} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			key := input(n)
			b.SetBytes(int64(n))
			b.ReportAllocs()
			for b.Loop() {
				sink ^= hash.Bytes(7, key)
			}
		})
	}
}
