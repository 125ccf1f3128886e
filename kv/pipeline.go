package kv

import (
	"math"
	"slices"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/internal/hash"
	"github.com/emberkv/ember/rdb"
)

// settleBytes is how many bytes of records a pipeline logs before it settles them.
const settleBytes = 1 << 20

// A Pipeline collects writes and carries them out together, in order, for a fifth to a third
// less than they cost one by one: what they have to fetch from memory is asked for at once, and
// they share the log's lock. They also share its settler: under [FsyncAlways] a thousand wait
// for one sync, and with acks for one round trip.
//
// It is no transaction. Each write is atomic and a record of its own, writes of others may
// come between, and readers and followers may see the first and not the last; for all or
// nothing use [Store.Update]. A Pipeline may be used again after Exec; it is for one
// goroutine at a time.
type Pipeline struct {
	store   *Store
	records []byte // of the writes, in order, one for each
	n       int

	earliest int64       // deadline, or math.MaxInt64
	ops      []operation // room for those that are carried out together
	ahead    fetcher
}

// Pipeline returns an empty pipeline of writes to the store.
func (s *Store) Pipeline() *Pipeline {
	return &Pipeline{store: s, earliest: math.MaxInt64, ops: make([]operation, 0, fetchAhead)}
}

// Len returns the number of writes that Exec would carry out.
func (p *Pipeline) Len() int { return p.n }

// Set adds a [Store.Set]. It copies key and value, and takes the options [TTL], which counts from
// now, and [ExpireAt]. It returns [ErrEmptyKey], [ErrTooLarge], or an [*InvalidError], also for an
// option that depends on the key's present value; then the pipeline is unchanged. Whether the store
// takes writes, Exec says.
func (p *Pipeline) Set(key string, value []byte, opts ...SetOption) error {
	if err := checkKey(key); err != nil {
		return err
	}
	if err := checkValue(value); err != nil {
		return err
	}
	var deadline int64
	if len(opts) > 0 {
		c, err := combine(opts)
		if err != nil {
			return err
		}
		if c.ifAbsent || c.ifPresent || c.kind == setKeepTTL {
			return &InvalidError{Field: "opts", Value: "a condition", Want: "none in a Pipeline"}
		}
		if deadline, err = p.store.deadline(c); err != nil {
			return err
		}
	}
	if deadline < 0 {
		p.remove(key)
		return nil
	}
	if deadline > 0 {
		p.earliest = min(p.earliest, deadline)
	}
	from, size := len(p.records), rdb.EntrySize(len(key), len(value), deadline)
	p.records = grow(p.records, size)
	rdb.PutEntry(p.records[from:], key, value, deadline)
	p.n++
	return nil
}

// Delete adds a [Store.Delete]. It returns [ErrEmptyKey] or [ErrTooLarge].
func (p *Pipeline) Delete(key string) error {
	if err := checkKey(key); err != nil {
		return err
	}
	p.remove(key)
	return nil
}

func (p *Pipeline) remove(key string) {
	p.records = appendKeyRecord(p.records, kindDelete, key)
	p.n++
}

// Reset lets go of the writes that were added.
func (p *Pipeline) Reset() {
	if cap(p.records) > settleBytes {
		p.records = nil
		clear(p.ops[:cap(p.ops)]) // which refer to them
	}
	p.records, p.n, p.earliest = p.records[:0], 0, math.MaxInt64
}

// Exec carries out the writes in the order in which they were added, until one fails, and
// empties the pipeline. It returns how many it has carried out, and the error of the next
// one, as [Store.Set] and [Store.Delete] return it; or, when they stand, the settler's.
// Deleting a key that does not exist does nothing, and counts as carried out. What the log's
// gate says comes first, also when the pipeline is empty.
func (p *Pipeline) Exec() (n int, err error) {
	defer p.Reset()
	s := p.store
	if err := s.unchanged(nil); err != nil && !s.takesLocally() {
		return 0, err
	}
	for rest := p.records; len(rest) > 0 && err == nil; {
		var done, bytes int
		var end int64
		w := s.beginWrite()
		done, bytes, end, err = p.execSome(rest)
		n, rest = n+done, rest[bytes:]
		if err != nil {
			err = s.unchanged(err)
		}
		if end != 0 {
			if p.earliest != math.MaxInt64 {
				s.expirer.wake(p.earliest) // before it may have to wait
			}
			if failed := w.settle(end); err == nil {
				err = failed
			}
		}
	}
	return n, err
}

// execSome carries out the writes at the front of records, about settleBytes of them, and
// settles none. It returns how many it has carried out, the bytes of their records, the log's
// end after the last that was logged, or 0, and the error of the next one.
func (p *Pipeline) execSome(records []byte) (n, bytes int, end int64, err error) {
	s, alone := p.store, false
	for err == nil && bytes < min(len(records), settleBytes) {
		t := s.table.Load()
		if t == nil {
			return n, bytes, end, ErrClosed
		}
		ops := p.decode(records[bytes:], t.seed)
		var done int
		var after int64
		if alone || t.mem != nil || s.takesLocally() || len(ops[0].record) > bigEntryBytes {
			done, after, err = s.execAlone(&ops[0])
		} else {
			done, after, err = p.execTogether(t, records[bytes:], ops)
		}
		s.waiters.wake() // now: the next one may be held up
		if resumed(err) {
			err = nil
		}
		alone = done == 0
		for i := range ops[:done] {
			bytes += len(ops[i].record)
		}
		n += done
		end = max(end, after)
	}
	return n, bytes, end, err
}

// decode decodes the next writes, as many as are carried out together.
func (p *Pipeline) decode(records []byte, seed uint64) []operation {
	ops := p.ops[:0]
	for at := 0; at < len(records) && len(ops) < cap(ops); {
		record := recordAt(records[at:])
		payload, _, _ := backlog.CutRecord(record)
		at += len(record)
		ops = append(ops, operation{record: record, end: int64(at)})
		op := &ops[len(ops)-1]
		op.decodeSingle(payload, true) // cannot fail
		op.hash = hash.Bytes(seed, op.key)
	}
	return ops[:max(leadingSingles(ops), 1)]
}

// execAlone carries out a write as if it had been made by itself. It returns 1 unless it
// fails.
func (s *Store) execAlone(op *operation) (done int, end int64, err error) {
	key := string(op.key) // local writes keep it
	if op.kind == kindDelete {
		if s.takesLocally() {
			if _, taken, err := s.deleteLocally(key); taken {
				return 1, 0, err
			}
		}
		_, end, err = s.deleteLogged(key)
	} else {
		value := parseEntry(op.record).value
		if s.takesLocally() {
			if taken, err := s.setLocally(key, value, op.deadline, conditions{}); taken {
				return 1, 0, err
			}
		}
		end, err = s.setLogged(key, value, op.deadline, conditions{})
	}
	if err != nil {
		return 0, 0, err
	}
	return 1, end, nil
}

// execTogether carries out writes whose records stand at the front of records, with all their
// shards locked, as Apply does: puts that follow each other are logged at once, and then
// shown one after the other. It returns how many, and the log's end after them. It may be
// none, without an error: then the next write goes alone.
func (p *Pipeline) execTogether(t *table, records []byte, ops []operation) (n int, end int64, err error) {
	s := p.store
	var set shardSet
	for i := range ops {
		set.add(t.number(ops[i].hash))
	}
	p.ahead.fetch(t, ops)
	t.lockSome(&set)
	defer t.unlockSome(&set)
	if s.table.Load() != t || !t.hasPlenty(ops) {
		return 0, 0, nil
	}
	for n < len(ops) {
		op := &ops[n]
		if op.kind == kindDelete {
			_, after, err := s.deleteLocked(t.shard(op.hash), op.hash, text(op.key))
			if err != nil {
				return n, end, err
			}
			end = max(end, after)
			n++
			continue
		}
		puts := leadingPuts(ops[n:])
		from := op.end - int64(len(op.record))
		after, err := s.log.Append(records[from:puts[len(puts)-1].end])
		if err != nil {
			return n, end, err
		}
		for i := range puts {
			// It cannot fail: there is plenty of all that it takes.
			t.shard(puts[i].hash).apply(&puts[i])
		}
		n, end = n+len(puts), after
	}
	return n, end, nil
}

// leadingPuts returns the operations at the front of ops that are puts.
func leadingPuts(ops []operation) []operation {
	for i := range ops {
		if ops[i].kind == kindDelete {
			return ops[:i]
		}
	}
	return ops
}

// hasPlenty reports whether no operation on a single key can fail for want of a number of a
// slab or of bits of the hash. The shards must be locked.
func (t *table) hasPlenty(ops []operation) bool {
	for i := range ops {
		sh := t.shard(ops[i].hash)
		if sh.dir.Load().depth >= dirBits-1 || len(sh.mu.arena.slabs) > maxSlabs-2*fetchAhead {
			return false
		}
	}
	return true
}

// grow returns b with n bytes more, of whatever value.
func grow(b []byte, n int) []byte { return slices.Grow(b, n)[:len(b)+n] }
