package main

import (
	"sync"
)

// How a peer is loaded where throughput is measured: so many connections, each of which sends so
// many SETs at once and waits for all their replies.
const (
	peerConns    = 8
	peerPipeline = 128
)

// fill sets every key of the space once.
func (s *server) fill(a LoadArgs) error {
	e := newEntry(a.ValueBytes)
	return s.c.pipeline(a.Space, peerPipeline*4, func(i int) {
		s.c.set(e.keyOf(uint64(i)), e.valueOf(uint64(i)))
	})
}

// pipeline sends n commands, which queue makes, up to depth at a time, and takes the replies.
func (c *resp) pipeline(n, depth int, queue func(i int)) error {
	for i := 0; i < n; {
		batch := min(depth, n-i)
		for range batch {
			queue(i)
			i++
		}
		if err := c.flush(); err != nil {
			return err
		}
		if err := c.receiveAll(batch); err != nil {
			return err
		}
	}
	return nil
}

// overwrite sets random keys over so many connections.
func (s *server) overwrite(a LoadArgs, conns, depth int) error {
	var wg sync.WaitGroup
	errs := make(chan error, conns)
	for w := range conns {
		wg.Go(func() {
			errs <- func() error {
				c, err := dialRESP(s.addr)
				if err != nil {
					return err
				}
				defer c.close()
				e, x := newEntry(a.ValueBytes), splitmix(a.Seed<<8|uint64(w))
				return c.pipeline(a.Writes*(w+1)/conns-a.Writes*w/conns, depth, func(int) {
					x = splitmix(x)
					c.set(e.keyOf(x%uint64(a.Space)), e.valueOf(x))
				})
			}()
		})
	}
	wg.Wait()
	for range conns {
		if err := <-errs; err != nil {
			return err
		}
	}
	return nil
}
