package pipe_test

import (
	"fmt"
	"io"
	"testing"

	"github.com/emberkv/ember/internal/pipe"
)

func BenchmarkThroughput(b *testing.B) {
	for _, size := range []int{128, 4 << 10, 64 << 10, 256 << 10} {
		b.Run(fmt.Sprintf("write=%d", size), func(b *testing.B) {
			from, to := newPair(0)
			done := make(chan struct{})
			go func() {
				defer close(done)
				p := make([]byte, 64<<10)
				for {
					if _, err := to.Read(p); err != nil {
						return
					}
				}
			}()
			p := make([]byte, size)
			b.ReportAllocs()
			b.SetBytes(int64(size))
			for b.Loop() {
				if _, err := from.Write(p); err != nil {
					b.Fatal(err)
				}
			}
			from.Close()
			<-done
		})
	}
}

func BenchmarkRoundTrip(b *testing.B) {
	near, far := newPair(0)
	done := make(chan struct{})
	go func() {
		defer close(done)
		p := make([]byte, 128)
		for {
			if _, err := io.ReadFull(far, p); err != nil {
				return
			}
			if _, err := far.Write(p); err != nil {
				return
			}
		}
	}()
	p := make([]byte, 128)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := near.Write(p); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(near, p); err != nil {
			b.Fatal(err)
		}
	}
	near.Close()
	<-done
}

func newPair(size int) (a, b *pipe.Conn) {
	return pipe.New(size, pipe.Addr{Net: "memory", Name: "a"}, pipe.Addr{Net: "memory", Name: "b"})
}
