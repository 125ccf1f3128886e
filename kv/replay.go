package kv

import (
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/internal/hash"
)

const (
	// replayQueue is how many runs of records each worker of a replayer may be behind.
	replayQueue = 8

	// replayBytes is up to what size records are gathered before they are handed to workers:
	// a journal that was synced for each write has as many frames as writes.
	replayBytes = 64 << 10
)

// A replayer applies records to a table that nobody else knows yet, on several cores. The
// caller's goroutine decodes them and sorts each run by shards; each worker carries out what
// concerns the shards of its own. So each shard sees its operations in their order. Parts of
// a transaction need not show at once.
type replayer struct {
	table   *table
	queues  []chan *replayRun
	spare   chan *replayRun // that all workers have carried out
	next    *replayRun      // taken from there; nil for none
	free    []byte          // memory that was never handed on
	workers sync.WaitGroup
	failure atomic.Pointer[error]
	stopped bool
	records int64 // that were handed on

	gathered   []byte
	gatheredAt int64 // their offset in the log
}

func newReplayer(t *table) *replayer {
	p := &replayer{
		table:  t,
		queues: make([]chan *replayRun, min(runtime.GOMAXPROCS(0), maxLoadWorkers, len(t.shards))),
		spare:  make(chan *replayRun, replayQueue),
	}
	for i := range p.queues {
		queue := make(chan *replayRun, replayQueue)
		p.queues[i] = queue
		p.workers.Go(func() {
			for run := range queue {
				if p.failure.Load() != nil {
					continue
				}
				if err := run.carryOut(t, i, len(p.queues)); err != nil {
					p.failure.CompareAndSwap(nil, &err)
				}
				if run.left.Add(-1) == 0 {
					p.giveBack(run)
				}
			}
		})
	}
	return p
}

func (p *replayer) giveBack(run *replayRun) {
	select {
	case p.spare <- run:
	default:
	}
}

// memory returns memory in which records lay that were carried out, for others; nil when
// there is none.
func (p *replayer) memory() []byte {
	memory := p.free
	if p.free = nil; memory != nil {
		return memory
	}
	if p.next == nil {
		select {
		case p.next = <-p.spare:
		default:
			return nil
		}
	}
	memory, p.next.memory = p.next.memory, nil
	return memory
}

// add takes records that begin at offset at in the log, behind those before, and the memory
// that they lie in, which is the replayer's until memory returns it.
func (p *replayer) add(at int64, records, memory []byte) error {
	if len(records) < replayBytes {
		if len(p.gathered) == 0 {
			p.gathered, p.gatheredAt = p.memory()[:0], at
		}
		p.gathered, p.free = append(p.gathered, records...), memory
		if len(p.gathered) < replayBytes {
			return nil
		}
		return p.handOnGathered()
	}
	if err := p.handOnGathered(); err != nil {
		return err
	}
	return p.handOn(at, records, memory)
}

func (p *replayer) handOnGathered() error {
	records := p.gathered
	p.gathered = nil
	return p.handOn(p.gatheredAt, records, records)
}

// handOn hands records to the workers.
func (p *replayer) handOn(at int64, records, memory []byte) error {
	for len(records) > 0 {
		if err := p.failure.Load(); err != nil {
			return *err
		}
		run := p.next
		if p.next = nil; run == nil {
			run = &replayRun{}
		}
		n, err := run.fill(p.table, at, records)
		if err != nil {
			return err
		}
		p.records += run.records
		at += int64(n)
		if records = records[n:]; len(records) == 0 {
			run.memory = memory // all who carry this out have done so with those before
		}
		run.left.Store(int32(len(p.queues)))
		for _, queue := range p.queues {
			queue <- run
		}
	}
	return nil
}

// stop ends the workers when all is applied. It may be called again.
func (p *replayer) stop() error {
	var err error
	if !p.stopped {
		p.stopped = true
		err = p.handOnGathered()
		for _, queue := range p.queues {
			close(queue)
		}
	}
	p.workers.Wait()
	if failure := p.failure.Load(); failure != nil {
		return *failure
	}
	return err
}

// A replayRun is a run of records, of which those that concern one key each are sorted by
// shards. It ends with one that concerns any number of them, or without.
type replayRun struct {
	data    []byte // the records
	memory  []byte // that they lie in, if nothing else in it is needed
	records int64

	ops    []replayOp // in the order of the log
	sorted []replayOp // by shards, and for each in the order of the log
	starts []int      // where those of each shard begin in sorted, and the end
	last   operation  // a clear, or the removal of a prefix; of kind 0 for none

	left atomic.Int32 // workers that have not carried it out
}

// A replayOp is an operation on one key.
type replayOp struct {
	hash uint64
	at   uint32 // of its record in the run's data
}

// A frame's body, and so a run, is no longer than what replayOp.at can say.
const _ uint32 = backlog.MaxRecordBytes + backlog.MaxFrameOverhead

// fill makes the run one of the records at the front of some that begin at offset at, and
// returns how many bytes they take.
func (run *replayRun) fill(t *table, at int64, records []byte) (n int, err error) {
	run.data, run.records, run.ops, run.last = records, 0, run.ops[:0], operation{}
	for n < len(records) && run.last.kind == 0 {
		payload, rest, err := backlog.CutRecord(records[n:])
		if err == nil {
			err = run.take(t, payload, len(records)-len(rest)-len(payload), n)
		}
		if err != nil {
			return 0, &RecordError{at + int64(n), err}
		}
		n = len(records) - len(rest)
		run.records++
	}
	run.sort(t)
	return n, nil
}

// take takes a record that begins at the place at in the data, and its payload at begin.
func (run *replayRun) take(t *table, payload []byte, begin, at int) error {
	if len(payload) == 0 {
		return run.single(t, payload, at)
	}
	switch payload[0] {
	case kindClear, kindDeletePrefix:
		run.last = operation{record: run.data[at : begin+len(payload)]}
		return run.last.decode(payload, false)
	case kindTransaction:
		if err := checkParts(payload[1:]); err != nil {
			return err
		}
		for b := payload[1:]; len(b) > 0; {
			part, rest, _ := backlog.CutRecord(b)
			if err := run.single(t, part, begin+len(payload)-len(b)); err != nil {
				return err
			}
			b = rest
		}
		return nil
	}
	return run.single(t, payload, at)
}

// single takes a record that concerns one key.
func (run *replayRun) single(t *table, payload []byte, at int) error {
	var op operation
	if err := op.decodeSingle(payload, false); err != nil {
		return err
	}
	run.ops = append(run.ops, replayOp{hash.Bytes(t.seed, op.key), uint32(at)})
	return nil
}

// sort sorts by shards: what one after the other concerns the same shard finds in the
// processor's caches what it needs of that besides the key's own group.
func (run *replayRun) sort(t *table) {
	if len(run.starts) != len(t.shards)+1 {
		run.starts = make([]int, len(t.shards)+1)
	}
	if cap(run.sorted) < len(run.ops) {
		run.sorted = make([]replayOp, cap(run.ops))
	}
	run.sorted = run.sorted[:len(run.ops)]
	clear(run.starts)
	for i := range run.ops {
		run.starts[t.number(run.ops[i].hash)]++
	}
	sum := 0
	for i, n := range run.starts {
		sum += n
		run.starts[i] = sum // the end, from which it comes down to the beginning
	}
	for i := len(run.ops) - 1; i >= 0; i-- {
		start := &run.starts[t.number(run.ops[i].hash)]
		*start--
		run.sorted[*start] = run.ops[i]
	}
}
