package kv

import (
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/internal/hash"
	"github.com/emberkv/ember/rdb"
)

// replayQueue is how many runs of records each worker of a replayer may be behind.
const replayQueue = 8

// A replayer applies records to a table that nobody else knows yet, on several cores. Each
// worker goes over all records, and carries out what concerns its own shards: to find that
// out takes a fraction of what it takes to carry it out. Each shard sees its operations
// in their order. Parts of a transaction need not show at once.
type replayer struct {
	table   *table
	queues  []chan replayRun
	workers sync.WaitGroup
	failure atomic.Pointer[error]
	stopped bool
	records int64 // applied; known once stopped
}

type replayRun struct {
	at      int64 // offset in the log
	records []byte
}

func newReplayer(t *table) *replayer {
	p := &replayer{table: t, queues: make([]chan replayRun, min(runtime.GOMAXPROCS(0), maxLoadWorkers, len(t.shards)))}
	for i := range p.queues {
		queue := make(chan replayRun, replayQueue)
		p.queues[i] = queue
		p.workers.Go(func() {
			w := replayWorker{table: t, number: i, of: len(p.queues)}
			if i == 0 {
				defer func() { p.records = w.records }() // each goes over all
			}
			for run := range queue {
				if p.failure.Load() != nil {
					continue
				}
				if err := w.run(run); err != nil {
					p.failure.CompareAndSwap(nil, &err)
				}
			}
		})
	}
	return p
}

// add takes records, which must not be modified any more.
func (p *replayer) add(at int64, records []byte) error {
	if err := p.failure.Load(); err != nil {
		return *err
	}
	for _, queue := range p.queues {
		queue <- replayRun{at, records}
	}
	return nil
}

// stop ends the workers when all is applied. It may be called again.
func (p *replayer) stop() error {
	if !p.stopped {
		p.stopped = true
		for _, queue := range p.queues {
			close(queue)
		}
	}
	p.workers.Wait()
	if err := p.failure.Load(); err != nil {
		return *err
	}
	return nil
}

// A replayWorker carries out what concerns the shards of its number.
type replayWorker struct {
	table      *table
	number, of int
	records    int64 // that it went over
	ops        []operation
}

func (w *replayWorker) run(run replayRun) error {
	at, records := run.at, run.records
	for len(records) > 0 {
		payload, rest, err := backlog.CutRecord(records)
		if err != nil {
			return &RecordError{at, err}
		}
		size := len(records) - len(rest)
		if err := w.record(records[:size:size], payload); err != nil {
			return &RecordError{at, err}
		}
		at += int64(size)
		records = rest
		w.records++
	}
	return w.flush()
}

// record takes one record.
func (w *replayWorker) record(record, payload []byte) error {
	op := operation{record: record}
	if len(payload) > 0 {
		op.kind = payload[0]
	}
	switch op.kind {
	case kindClear:
		if _, err := decodePayload(payload, false); err != nil {
			return err
		}
		if err := w.flush(); err != nil {
			return err
		}
		for i := w.number; i < len(w.table.shards); i += w.of {
			sh := &w.table.shards[i]
			sh.mu.Lock()
			sh.clear()
			sh.mu.Unlock()
		}
		return nil
	case kindTransaction:
		if err := checkParts(payload[1:]); err != nil {
			return err
		}
		for b := payload[1:]; len(b) > 0; {
			part, rest, _ := backlog.CutRecord(b)
			if err := w.single(b[:len(b)-len(rest)], part); err != nil {
				return err
			}
			b = rest
		}
		return nil
	case kindDeletePrefix:
		if err := checkPrefix(payload[1:]); err != nil {
			return err
		}
		for key := range op.prefixKeys() {
			h := hash.Bytes(w.table.seed, key)
			if !w.mine(h) {
				continue
			}
			// The key is valid until the next one.
			del := operation{kind: kindDelete, hash: h, key: append([]byte(nil), key...)}
			if err := w.keep(del); err != nil {
				return err
			}
		}
		return nil
	}
	return w.single(record, payload)
}

// single takes a record that concerns one key.
func (w *replayWorker) single(record, payload []byte) error {
	op, err := decodeSingle(payload, false)
	if err != nil {
		return err
	}
	if op.hash = hash.Bytes(w.table.seed, op.key); !w.mine(op.hash) {
		return nil
	}
	op.record = record[:len(record):len(record)]
	if op.kind == rdb.KindPut || op.kind == rdb.KindPutDeadline {
		e, err := rdb.ParseEntry(payload)
		if err != nil {
			return err
		}
		op.sum = e.Sum()
	}
	return w.keep(op)
}

func (w *replayWorker) mine(hash uint64) bool { return w.table.number(hash)%w.of == w.number }

// keep puts an operation off until several are together, whose cache lines are asked for at
// once.
func (w *replayWorker) keep(op operation) error {
	if w.ops = append(w.ops, op); len(w.ops) < fetchAhead {
		return nil
	}
	return w.flush()
}

func (w *replayWorker) flush() error {
	w.table.warmAll(w.ops)
	for i := range w.ops {
		sh := w.table.shard(w.ops[i].hash)
		sh.mu.Lock()
		err := sh.apply(&w.ops[i])
		sh.mu.Unlock()
		if err != nil {
			return err
		}
	}
	clear(w.ops)
	w.ops = w.ops[:0]
	return nil
}
