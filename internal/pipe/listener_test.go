package pipe_test

import (
	"context"
	"io"
	"net"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/internal/pipe"
)

func listen(closed *int) *pipe.Listener {
	return pipe.NewListener(pipe.Addr{Net: "memory", Name: "here"}, func() { *closed++ })
}

func TestAcceptInOrder(t *testing.T) {
	closes := 0
	l := listen(&closes)
	defer l.Close()
	for i := range 3 {
		near, far := newPair(0)
		near.Write([]byte{byte(i)})
		if err := l.Offer(context.Background(), far); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 3 {
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		p := make([]byte, 1)
		if io.ReadFull(c, p); int(p[0]) != i {
			t.Errorf("connection %d was accepted as number %d", p[0], i)
		}
	}
}

// A full queue makes the next one wait: for Accept, or for its context.
func TestOfferBlocksWhenFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		closes := 0
		l := listen(&closes)
		for range pipe.BacklogConns {
			_, far := newPair(0)
			l.Offer(t.Context(), far)
		}
		_, far := newPair(0)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		want(t, "Offer to a full queue", l.Offer(ctx, far), context.DeadlineExceeded)

		begin := time.Now()
		time.AfterFunc(time.Minute, func() { l.Accept() })
		if err := l.Offer(t.Context(), far); err != nil || time.Since(begin) != time.Minute {
			t.Errorf("Offer: %v after %v, there was room after 1m", err, time.Since(begin))
		}
		time.AfterFunc(time.Minute, func() { l.Close() })
		want(t, "Offer when the listener closes", l.Offer(t.Context(), far), syscall.ECONNREFUSED)
	})
}

func TestListenerClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		closes := 0
		l := listen(&closes)
		near, far := newPair(0)
		l.Offer(t.Context(), far)
		if err := l.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		want(t, "second Close", l.Close(), net.ErrClosed)
		if closes != 1 {
			t.Errorf("onClose was called %d times", closes)
		}
		// The dialer of a connection that nobody will accept is not left waiting.
		_, err := near.Read(make([]byte, 1))
		want(t, "Read of the dialer", err, io.EOF)
		_, err = l.Accept()
		want(t, "Accept", err, net.ErrClosed)
		want(t, "Offer", l.Offer(t.Context(), far), syscall.ECONNREFUSED)
	})
}
