package kv

import (
	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/internal/hash"
)

// carryOut carries out what concerns the shards of one worker of several.
func (run *replayRun) carryOut(t *table, worker, of int) error {
	var some replaySome
	for i := worker; i < len(t.shards); i += of {
		for ops := run.sorted[run.starts[i]:run.starts[i+1]]; len(ops) > 0; {
			n := min(len(ops), fetchAhead)
			err := some.decode(run.data, ops[:n])
			if err == nil {
				err = some.carryOut(t, &t.shards[i])
			}
			if err != nil {
				return err
			}
			ops = ops[n:]
		}
	}
	switch run.last.kind {
	case kindClear:
		for i := worker; i < len(t.shards); i += of {
			sh := &t.shards[i]
			sh.mu.Lock()
			sh.clear()
			sh.mu.Unlock()
		}
	case kindDeletePrefix:
		for key := range run.last.prefixKeys() {
			h := hash.Bytes(t.seed, key)
			if t.number(h)%of != worker {
				continue
			}
			sh := t.shard(h)
			sh.mu.Lock()
			err := sh.apply(&operation{kind: kindDelete, hash: h, key: key})
			sh.mu.Unlock()
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// A replaySome is some operations on one shard, whose cache lines are asked for together.
type replaySome struct {
	ahead   fetcher
	room    [fetchAhead]operation
	ops     []operation
	touched byte // keeps the compiler from leaving out the loads
}

// decode decodes operations, which was done before to find out whose they are. Their records
// lie anywhere in the run.
func (s *replaySome) decode(data []byte, ops []replayOp) error {
	for i := range ops {
		record := data[ops[i].at:]
		s.touched += record[0] + record[min(64, len(record)-1)] + record[min(128, len(record)-1)]
	}
	s.ops = s.room[:len(ops)]
	for i := range ops {
		record := data[ops[i].at:]
		payload, rest, err := backlog.CutRecord(record)
		if err != nil {
			return err
		}
		op := &s.ops[i]
		*op = operation{hash: ops[i].hash, record: record[:len(record)-len(rest)]}
		if err := op.decodeSingle(payload, true); err != nil {
			return err
		}
	}
	return nil
}

func (s *replaySome) carryOut(t *table, sh *shard) error {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	s.ahead.fetchLocked(t, s.ops)
	for i := range s.ops {
		if err := sh.apply(&s.ops[i]); err != nil {
			return err
		}
	}
	return nil
}
