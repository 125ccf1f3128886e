package kv

import (
	"sync"
	"sync/atomic"

	"github.com/emberkv/ember/internal/giveway"
	"github.com/emberkv/ember/rdb"
)

// giveWayBytes is how much is encoded, some 100 microseconds' work, before the processor is
// offered to others.
const giveWayBytes = 64 << 10

// An encoder turns the entries of shards into blocks. It is for one goroutine.
type encoder struct {
	write func(*rdb.Block) error // takes a block until it returns

	buf    []byte // of the block in the making; used again
	block  rdb.Block
	worked int // bytes since it gave way
	worker giveway.Worker
}

// encode writes entries as the blocks of a shard: each of about
// rdb.DefaultBlockBytes, at least one.
func (x *encoder) encode(entries *listing, shard int, at int64) (err error) {
	x.block = rdb.Block{Shard: shard, First: true, At: at, Keys: int(entries.keys)}
	entries.records(func(record []byte) bool {
		// What does not fit begins another block. So one that exceeds the
		// size has one by itself, whatever that size is.
		if len(x.buf) > 0 && len(x.buf)+len(record) > rdb.DefaultBlockBytes {
			if err = x.flush(false); err != nil {
				return false
			}
		}
		x.buf = append(x.buf, record...)
		x.block.Count++
		if x.worked += len(record); x.worked >= giveWayBytes {
			x.worked = 0
			x.worker.GiveWay()
		}
		return true
	})
	if err != nil {
		return err
	}
	return x.flush(true)
}

func (x *encoder) flush(last bool) error {
	x.block.Last, x.block.Data = last, x.buf
	b := x.block
	err := x.write(&b)
	if cap(x.buf) > 2*rdb.DefaultBlockBytes {
		x.buf = nil // a big entry's: not to be kept
	}
	x.buf = x.buf[:0]
	x.block = rdb.Block{Shard: x.block.Shard}
	return err
}

// inParallel runs n calls of work and returns the first error when all have
// returned. The others learn of it by failed.
func inParallel(n int, work func(failed func() bool) error) error {
	var (
		wg    sync.WaitGroup
		first error
		once  sync.Once
		stop  atomic.Bool
	)
	for range n {
		wg.Go(func() {
			if err := work(stop.Load); err != nil {
				once.Do(func() { first = err })
				stop.Store(true)
			}
		})
	}
	wg.Wait()
	return first
}
