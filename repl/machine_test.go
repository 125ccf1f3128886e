package repl_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/rdb"
)

// A ledger is a small Machine: a map of entries, of which every record puts
// one. It shows that package repl replicates whatever keeps to the interface,
// and it has hooks to fail at.
type ledger struct {
	log *backlog.Log

	mu       sync.Mutex
	entries  map[string]string
	seed     uint64
	fail     error           // returned by Apply
	onDump   func(shard int) // called before each shard is captured
	onEntry  func()          // called before each entry is encoded
	onCommit func()          // called before a copy is put to use
	onApply  func()          // called before records are applied
	dumped   int             // shards that were captured
	blocks   int             // taken in by loaders
	clock    int64
}

const ledgerShards = 8

func newLedger(opts *backlog.Options) *ledger {
	return &ledger{log: backlog.NewLog(opts), entries: make(map[string]string), seed: 7}
}

func (l *ledger) Log() *backlog.Log { return l.log }

func (l *ledger) SetFollower(bool) {}
func (l *ledger) Clock() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.clock != 0 {
		return l.clock
	}
	return time.Now().UnixMilli()
}

func (l *ledger) SetClock(ms int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.clock = ms
}

func (l *ledger) Len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.entries)
}

// put is a write on the master: into the log, then into the map.
func (l *ledger) put(key, value string) (int64, error) {
	for {
		settle := l.log.Settler()
		end, err := l.append(key, value)
		if paused, ok := err.(*backlog.PausedError); ok {
			<-paused.Resume
			continue
		}
		if err != nil {
			return 0, err
		}
		if settle != nil {
			err = settle(end)
		}
		return end, err
	}
}

func (l *ledger) append(key, value string) (int64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	end, err := l.log.Append(record(key, value))
	if err == nil {
		l.entries[key] = value
	}
	return end, err
}

func record(key, value string) []byte {
	b := make([]byte, rdb.EntrySize(len(key), len(value), 0))
	rdb.PutEntry(b, key, []byte(value), 0)
	return b
}

func (l *ledger) captures() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.dumped
}

func (l *ledger) state() map[string]string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.entries)
}

func (l *ledger) Apply(at backlog.Position, records []byte) error {
	l.mu.Lock()
	hook := l.onApply
	l.mu.Unlock()
	if hook != nil {
		hook()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fail != nil {
		return l.fail
	}
	entries, err := decode(records)
	if err != nil {
		return err
	}
	if err := l.log.AppendAt(at, records); err != nil {
		return err
	}
	for _, e := range entries {
		l.entries[string(e.Key)] = string(e.Value)
	}
	return nil
}

func decode(records []byte) ([]rdb.Entry, error) {
	var entries []rdb.Entry
	for len(records) > 0 {
		e, n, err := rdb.CutEntry(records)
		if err != nil {
			return nil, err
		}
		entries, records = append(entries, e), records[n:]
	}
	return entries, nil
}

func shardOf(key string) int {
	h := 0
	for _, c := range []byte(key) {
		h = h*31 + int(c)
	}
	return h & (ledgerShards - 1)
}

func (l *ledger) Dump(ctx context.Context, w rdb.BlockWriter) error {
	l.mu.Lock()
	h := rdb.Header{Position: l.log.Position(), Lineage: l.log.Lineage(), Seed: l.seed,
		Shards: ledgerShards, RecordVersion: rdb.RecordVersion, Keys: int64(len(l.entries))}
	hook := l.onDump
	l.mu.Unlock()
	if err := w.Begin(h); err != nil {
		return err
	}
	for shard, ok := w.Next(); ok; shard, ok = w.Next() {
		if hook != nil {
			hook(shard)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := l.dumpShard(shard, w); err != nil {
			return err
		}
	}
	l.mu.Lock()
	f := rdb.Footer{Position: l.log.Position(), Keys: int64(len(l.entries)), Sum: sum(l.entries)}
	l.mu.Unlock() // before End, which may wait for a slow follower
	return w.End(f)
}

// dumpShard writes a shard in blocks of at most three entries, always the same ones.
func (l *ledger) dumpShard(shard int, w rdb.BlockWriter) error {
	l.mu.Lock()
	l.dumped++
	hook := l.onEntry
	at, part := l.log.End(), map[string]string{}
	for k, v := range l.entries {
		if shardOf(k) == shard {
			part[k] = v
		}
	}
	l.mu.Unlock()
	b := &rdb.Block{Shard: shard, First: true, At: at, Keys: len(part)}
	left := len(part)
	for _, k := range slices.Sorted(maps.Keys(part)) {
		b.Data = append(b.Data, record(k, part[k])...)
		b.Count++
		if hook != nil {
			hook()
		}
		left--
		if b.Count == 3 && left > 0 {
			if err := w.WriteBlock(b); err != nil {
				return err
			}
			b = &rdb.Block{Shard: shard}
		}
	}
	b.Last = true
	return w.WriteBlock(b)
}

func sum(entries map[string]string) (s uint64) {
	for k, v := range entries {
		s += rdb.EntrySum(k, []byte(v), 0)
	}
	return s
}

func (l *ledger) Load(h rdb.Header) (rdb.Loader, error) {
	return &ledgerLoader{l: l, log: backlog.NewLogAt(h.Lineage, h.Position.Offset, nil), seed: h.Seed,
		entries: make(map[string]string), at: make(map[int]int64), aside: make(map[int][]rdb.Entry)}, nil
}

// A ledgerLoader builds a ledger's next state.
type ledgerLoader struct {
	l       *ledger
	log     *backlog.Log
	seed    uint64
	entries map[string]string
	at      map[int]int64 // shards that have begun: what they stand for
	done    rdb.ShardSet
	aside   map[int][]rdb.Entry // records for shards under way
}

func (d *ledgerLoader) Block(b *rdb.Block) error {
	d.l.mu.Lock()
	d.l.blocks++
	d.l.mu.Unlock()
	if _, begun := d.at[b.Shard]; begun == b.First || d.done.Has(b.Shard) {
		return fmt.Errorf("ledger: block of shard %d out of order", b.Shard)
	}
	if b.First {
		d.at[b.Shard] = b.At
	}
	for e, err := range b.Entries() {
		if err != nil {
			return err
		}
		d.entries[string(e.Key)] = string(e.Value)
	}
	if b.Last {
		d.done.Add(b.Shard)
		d.put(d.aside[b.Shard])
		delete(d.aside, b.Shard)
	}
	return nil
}

func (d *ledgerLoader) put(entries []rdb.Entry) {
	for _, e := range entries {
		d.entries[string(e.Key)] = string(e.Value)
	}
}

func (d *ledgerLoader) Records(at int64, records []byte) error {
	pos := d.log.Position()
	pos.Offset = at
	if err := d.log.AppendAt(pos, records); err != nil {
		return err
	}
	entries, err := decode(bytes.Clone(records))
	if err != nil {
		return err
	}
	for _, e := range entries {
		at += int64(rdb.EntrySize(len(e.Key), len(e.Value), 0))
		shard := shardOf(string(e.Key))
		begun, ok := d.at[shard]
		switch {
		case !ok || at <= begun:
		case d.done.Has(shard):
			d.put([]rdb.Entry{e})
		default:
			d.aside[shard] = append(d.aside[shard], e)
		}
	}
	return nil
}

func (d *ledgerLoader) Interrupted() (backlog.Position, rdb.ShardSet) {
	for k := range d.entries {
		if !d.done.Has(shardOf(k)) {
			delete(d.entries, k)
		}
	}
	for s := range d.at {
		if !d.done.Has(s) {
			delete(d.at, s)
		}
	}
	clear(d.aside)
	return d.log.Position(), d.done
}

func (d *ledgerLoader) Commit(f rdb.Footer) error {
	if d.l.onCommit != nil {
		d.l.onCommit()
	}
	if d.log.End() != f.Position.Offset || int64(len(d.entries)) != f.Keys || sum(d.entries) != f.Sum {
		return errors.New("ledger: the copy is not what the footer says")
	}
	d.l.mu.Lock()
	defer d.l.mu.Unlock()
	d.l.entries, d.l.seed = d.entries, d.seed
	d.l.log.Adopt(d.log)
	return nil
}

func (d *ledgerLoader) Abort() {}
