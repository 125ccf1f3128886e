package kv

import (
	"bytes"
	"fmt"

	"github.com/emberkv/ember/internal/hash"
	"github.com/emberkv/ember/rdb"
)

const (
	// MaxRepairKeys bounds the keys whose state a store hands out for the repair of
	// another's tail.
	MaxRepairKeys = 64 << 10

	// maxRepairSteps bounds the keys that a repair changes at once: those of the tail, and
	// those that the other log has changed since the fork. Each holds 300 bytes meanwhile,
	// and writers and copies are held up for about a microsecond.
	maxRepairSteps = 256 << 10
)

// An overlay is what becomes of keys in the end, when one operation after the other is
// carried out on them: for each key a single one.
type overlay struct {
	seed  uint64
	ops   []operation
	index map[string]int // in ops
}

// gather makes the overlay of a repair.
func (o *overlay) gather(r *rdb.Repair) error {
	for keys := r.Keys; len(keys) > 0; {
		key, rest, err := cutKey(keys)
		if err != nil {
			return err
		}
		if err := o.add(operation{kind: kindDelete, key: key}); err != nil {
			return err
		}
		keys = rest
	}
	for _, b := range r.Blocks {
		if err := o.block(b); err != nil {
			return err
		}
	}
	at := r.Fork
	for _, records := range r.Records {
		if err := o.records(at, records); err != nil {
			return err
		}
		at += int64(len(records))
	}
	return nil
}

// block takes the entries of keys, each of which must be there and have none.
func (o *overlay) block(b *rdb.Block) error {
	ops, rest, err := decode(nil, 0, b.Data, o.seed)
	for ; err == nil && len(ops) > 0; ops, rest, err = decode(ops[:0], 0, rest, o.seed) {
		for i := range ops {
			op := &ops[i]
			if op.kind != rdb.KindPut && op.kind != rdb.KindPutDeadline {
				return fmt.Errorf("%w: record of kind %d among entries", ErrBlock, op.kind)
			}
			at, ok := o.index[text(op.key)]
			if !ok || o.ops[at].kind != kindDelete {
				return fmt.Errorf("%w: an entry that was not asked for", ErrBlock)
			}
			o.ops[at] = *op
		}
	}
	return err
}

// records carries out whole records that begin at offset at.
func (o *overlay) records(at int64, records []byte) error {
	var ops []operation
	for len(records) > 0 {
		left, err := len(records), error(nil)
		if ops, records, err = decode(ops[:0], at, records, o.seed); err != nil {
			return err
		}
		at += int64(left - len(records))
		for i := range ops {
			if err := ops[i].eachKey(o.add); err != nil {
				return err
			}
		}
	}
	return nil
}

// add carries out an operation on one key.
func (o *overlay) add(op operation) error {
	i, ok := o.index[text(op.key)]
	switch {
	case ok && op.kind == kindDeadline:
		o.ops[i].redate(op.deadline)
		return nil
	case ok:
		op.hash, op.key = o.ops[i].hash, o.ops[i].key
		o.ops[i] = op
		return nil
	case len(o.ops) == maxRepairSteps:
		return fmt.Errorf("%w: more than %d keys have changed", ErrRepair, maxRepairSteps)
	}
	if op.record == nil {
		op.key = bytes.Clone(op.key) // it is valid until the next one
	}
	op.hash = hash.Bytes(o.seed, op.key)
	o.index[text(op.key)] = len(o.ops)
	o.ops = append(o.ops, op)
	return nil
}

// redate makes an operation leave the key with another deadline.
func (op *operation) redate(deadline int64) {
	switch op.kind {
	case kindDeadline:
		op.deadline = deadline
	case rdb.KindPut, rdb.KindPutDeadline:
		e, _, err := rdb.CutEntry(op.record)
		if err != nil {
			return // not so: it was decoded before
		}
		record := make([]byte, rdb.EntrySize(len(e.Key), len(e.Value), deadline))
		rdb.PutEntry(record, text(e.Key), e.Value, deadline)
		op.record, op.deadline, op.sum = record, deadline, rdb.EntrySum(text(e.Key), e.Value, deadline)
		op.kind = rdb.KindPutDeadline
		if deadline == 0 {
			op.kind = rdb.KindPut
		}
	}
}
