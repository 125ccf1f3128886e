// Package kv holds the store: keys and values in memory, and the log of every
// change to them, which is all that copies, journals and watchers need.
//
//	s := kv.New(nil)
//	defer s.Close()
//	err := s.Set("user:1", []byte("Ada"), kv.TTL(time.Hour))
//	name, err := s.Get("user:1")
//
// Get takes no lock, allocates nothing, and returns a slice of the store's memory,
// which must not be modified. Every write is atomic; when it returns, it is in the
// log and visible.
//
// # One store writes, others follow
//
// [Store.Log] is the store's log. A store that follows another is given the same
// records at the same offsets by [Store.Apply], and the state that it has to begin
// with by [Store.Dump] there and [Store.Load] here. Package repl does so. Only its
// log's gate decides whether a store takes writes.
//
// A store whose history has parted from that of the others, as an old master's has, need
// not take a full copy, though it has gone on by itself since: [Store.Tail] says which
// keys that concerns, [Store.State] how another store has them, and [Store.Repair] goes
// over to it.
//
// Positions are the vocabulary between stores: take [Store.Position] here after a
// write or a read, call [Store.Wait] there, and what was seen here can be read
// there.
//
// A node that has lost its master may refuse reads, by [Store.SetStaleAfter].
//
// Deadlines are absolute. Every store hides a key at its deadline, by the clock of the
// one that writes; only the writer deletes it, and logs that it did.
//
// # Several keys
//
// [Store.Update] and [Store.View] run a function on the store as it is at one moment. What
// an Update writes is one record, and shows at once to readers, which take no lock for it,
// to followers, watchers and snapshots. The function runs without locks, and again when
// others have changed what it has read; so a function that thinks for long about many keys
// costs other writers nothing. [Store.Rename], [Store.Copy], [Store.DeletePrefix] and
// [Store.Clear] are one record each, too, and never run again.
//
//	err := s.Update(func(tx *kv.Tx) error {
//		n, err := tx.Add("stock:7", -1)
//		if err != nil {
//			return err // nothing is written; a conflict is tried again
//		}
//		return tx.Set("order:1", fmt.Append(nil, "item 7, left ", n))
//	})
//
// A [Pipeline] is no transaction, but many unconditional writes, handed over at once like a
// pipeline of a Redis client: each is a record of its own, in order, and they share what a write
// has to wait for (memory, the log's lock, acks, the disk), so that with [FsyncAlways] a thousand
// of them wait for one sync. In the same way [Store.GetMulti] reads many keys at once, each as of
// its turn; [Tx.GetMulti] reads them as of one moment.
//
// # Watching
//
// [Store.Watch] hands out the changes of the keys with a prefix, on any node, in order
// and without a gap, and goes on after a restart from its last Position, on whichever
// node. It reads the log, like everything that follows a store: a watcher has a
// position and no queue, so however slow, it holds up nobody, and holds no more than a
// page of the log or of the contents. The log is decoded once for a thousand of them,
// and each is woken for its own keys only. Those that are still reading the contents
// hold at most four snapshots open together.
//
//	for e, err := range s.Watch(ctx, "user:", from) { // the zero backlog.Position: contents first
//		if err != nil {
//			return err // ctx.Err, as a rule
//		}
//		switch e.Kind {
//		case kv.EventReset:
//			clear(view)
//		case kv.EventPut:
//			view[e.Key] = string(e.Value)
//		case kv.EventDelete, kv.EventExpire, kv.EventEvict:
//			delete(view, e.Key)
//		case kv.EventDeletePrefix:
//			maps.DeleteFunc(view, func(key, _ string) bool { return strings.HasPrefix(key, e.Key) })
//		}
//		if e.Last {
//			from = e.Position // to go on from, here or on another node
//		}
//	}
//
// # Typed maps, and what they read through to
//
// [NewMap] makes a [Map] of the keys with a prefix, with keys and values of Go types:
//
//	users, err := kv.NewMap[uint64, User](s, "user:", nil) // values as JSON
//	err = users.Set(1, User{Name: "Ada"})
//	ada, err := users.Get(1)
//
// [Map.In] is a map within a transaction, along with other maps and plain keys:
//
//	err = s.Update(func(tx *kv.Tx) error {
//		ada, err := users.In(tx).Get(1)
//		if err != nil {
//			return err
//		}
//		return names.In(tx).Set(ada.Name, 1)
//	})
//
// A [Codec] says how keys and values are encoded. With a loader ([MapOptions].Load) a map is a
// cache: [Map.Load] fetches what the store lacks, once however many ask, and keeps it, so
// that every replica has it, too. A replica's map needs the loader, too, to read what the
// master's has kept, and may have the master's node load ([MapOptions].Forward).
//
// # Memory
//
// An entry is one record, the same bytes as in the log: with a key of 16 bytes and a
// value of 100 it takes 120 bytes, and its slot in the table 10 to 21. Entries lie in
// slabs of up to 512 KiB, slots in segments of 16 KiB, and neither holds a pointer: the
// garbage collector sees a few hundred objects in place of millions, and a collection
// takes milliseconds. Since collections are cheap, a low GOGC is too: a store of 700 MB
// whose entries are overwritten all the time takes 1.4 GB of memory at 100, the
// default, and 0.9 GB at 25.
//
// Slabs and segments of large stores lie on large pages where Linux has some, which makes
// their reads and writes a fifth cheaper. A full copy from another node goes to small ones, so that
// nobody waits until large ones are found and cleared; in time the kernel makes them large, some 100
// MiB a minute. For the same reason the next slab, and the next chunk of the log, are made before a
// writer needs them. A value that Get returned is a slice of a slab and keeps all of it alive: copy
// what is kept for long.
//
// Overwritten and deleted entries leave dead bytes behind. Writers themselves empty the
// slabs with the most of them, a few entries or 8 KiB at a time; after any number of
// random overwrites no more than a third of a store's slabs is dead. An open [Snapshot]
// suspends that for the slabs that it holds. Segments are not merged: when most keys of a
// large store have gone, their segments stay until the shard is empty.
//
// # Bounded memory
//
// With [Options.MaxBytes] a store takes no more than that many bytes, give or take 2 % for a moment:
// [Stats] has them part by part. It covers the table, the slabs with the dead bytes in them, the
// index, the deadlines, what open snapshots alone still need, and the log's window, for which room is
// set aside from the beginning. It does not cover a slab that is made ahead, what the collector has
// not yet freed, or what callers hold: values that they have read, and iterations.
//
// [Options.Eviction] says what becomes of a write that would pass the bound. Without a
// policy it returns [ErrFull]; what is deleted or overwritten makes room when a quarter of a
// slab is dead. With one the writer itself evicts a few keys at a time from the shard that
// it writes to, or from another when that has nothing to evict; each is logged as evicted,
// so followers and watchers are told. An entry that would not fit even alone is refused with
// [ErrTooLarge], and nothing is evicted for it. An entry larger than the log's window counts
// twice.
//
//   - [EvictLRU] goes over the slabs in the order in which they were filled; a key that was
//     used since the last time stays (CLOCK). Get, GetMulti, Append, Has and writes are uses;
//     iterations and transactions' reads are not.
//   - [EvictLFU] keeps new keys on probation in a tenth of the memory, and the others apart
//     (S3-FIFO). It is the better one for most caches. Keys that were evicted on
//     probation are remembered by two bytes each.
//   - [EvictTTL] evicts the earliest deadlines of a shard, not of the whole store.
//
// A bound has a cost of its own: slabs are smaller, a byte for each slot says how much a key is
// used, and a Get counts itself as a hit or a miss. Reads still take no lock and allocate
// nothing. A store with a small bound has fewer than 32 shards.
//
// A transaction never evicts what it has read or written, and an Add or an Expire never evicts its key's
// own value: they need room for both values at once, see [ErrFull]. What is held by an open Snapshot, or
// by a watcher that is handed the contents, cannot be freed: at the bound, writes that need memory
// return ErrFull until it is closed, rather than empty the store in vain.
//
// Only a store that takes writes evicts. One that follows keeps what it is sent; when it is
// promoted, or has restored a snapshot that is larger than the bound, each write that needs
// memory frees about four times as much, until the store is within the bound. While a full
// copy is being loaded there are two states, each of which may take MaxBytes.
//
// # Local writes
//
// A store that follows another takes no writes. With [Options.WritableReplica] it takes its
// own, as Redis' writable replicas do: say, for results that only this node needs, computed
// from what is replicated. They lie over what is replicated, and are not in the log:
//
//   - Every way to read shows them: Get, GetMulti, Append, Has, TTL, Len, Min, Max, All, Range,
//     Prefix, Backward, View, Update and those of a [Map]. A loop shows those that there were
//     when it began.
//   - Position, Wait, Digest, Snapshot, Dump, Watch and the store's own followers know
//     nothing of them. [Stats] has their number and the memory that they take.
//   - The last write wins. Any record of the key that comes with the log, even an expiry,
//     ends what was written to it here; so does a DeletePrefix for all keys with the prefix,
//     and a Clear for all.
//   - Deadlines end a key here; what it lay over does not come back.
//   - All end with the next full copy, and with the process.
//   - When the store is promoted they become ordinary writes, at once, before any other: what
//     could be read here stays, and all followers get it. (Redis keeps them, too, but its
//     other replicas never learn of them.)
//
// [Store.Clear] and [Store.DeletePrefix] cannot be local writes ([ErrNotLocal]), and what
// a Map has loaded is not kept. [Options.MaxLocalBytes] bounds what they take.
//
// While there are local writes, a Get looks at them first, in a tree under a read
// lock, which takes about a hundred nanoseconds; while there are none it costs
// nothing.
//
// # On disk
//
// [Open] returns a store that a folder keeps: one more reader of the log, the journal,
// writes it to files, and now and then a snapshot of the contents is saved, so that the
// journal need not be kept for ever. Both are in the formats of package rdb, and what a
// write encodes goes to the disk as it is.
//
//	s, err := kv.Open("data", &kv.Options{Durability: kv.Durability{Fsync: kv.FsyncAlways}})
//
// [Durability].Fsync says when a write is on disk. Under [FsyncAlways] that is when it
// returns; writers that come together share a sync. Under [FsyncEverySecond], the default, a
// second later; a process that is killed loses nothing that others have seen, for followers are
// given only what is written, or what another node has written. [Store.Durable] waits until
// a position is on disk, under any policy, and [Store.Save] saves a snapshot at once.
// [Store.Disk] tells how all of it stands.
//
// The journal's files reach further back than the log's window. A follower that was away for so
// long that only they still have its place is given the records from there, at the speed of the
// disk, and goes over to the window when it has come near. Durability.KeepBytes and KeepAge say
// how long files are kept. A file that turns out to be damaged, or gone, ends that: the
// follower's link ends with a [*CorruptError], and the next attempt with a full copy. So does a
// disk that takes more than two seconds to come to the follower's place in a file.
//
// A restart is not an event. A store that was closed goes on at exactly its position, and so
// do its followers; the same holds for one that only followed, closed or not. One that wrote
// and was not closed begins a new history at the end that it has; followers, which have no
// more, go on with it. [Store.Recovered] tells. Files that are damaged where no crash damages
// them are refused with a [*CorruptError].
//
// When the disk fails, reads and replication go on. The writes that could not be kept stand
// and return a [*NotDurableError], others are refused with [ErrDisk]; the log keeps what the
// disk lacks, and once the disk has it writes are taken again. A disk that is too slow holds
// writers up when it is MaxUnsynced bytes behind. A store that follows another spares its own
// followers all that: they are given what it was given, whatever its disk does. It lets go of
// what a broken disk would need beyond four times MaxUnsynced, and begins its folder anew,
// with a snapshot, when the disk is back.
//
// A full copy, a Restore and a Drop replace the log. The folder holds the former state until
// the whole of the new one is there. A node of package repl has a new random id each time;
// set its Options.ID if it should keep the same.
//
// # Order
//
// With [Options.Ordered] a store keeps its keys in the order of their bytes as well:
//
//	for key, value := range s.Range("user:1000", "user:2000") {
//
// and Prefix, Backward, Min and Max in the same way. The index is a B+tree of the keys,
// 24 bytes each, one for the whole store. An overwrite does not touch it. What it costs,
// measured on two cores with a million keys of 16 bytes:
//
//   - 25 to 36 bytes a key: 25 when keys come in ascending order, 36 in random order, 28
//     after a full copy or a Restore. A key of more than 23 bytes takes its own length in
//     addition, and two such keys that share their first 16 bytes are slower to compare.
//   - Creating or deleting a key takes 1.4 to 2.1 times as long, longest in random order; no other
//     write does. The index has one lock: writers of new keys wait for each other, for half a
//     microsecond each.
//   - A tree is made of blocks of 1.5 KiB without pointers: a million keys are 23,000
//     objects for the garbage collector, a millisecond or two.
//   - A scan of a hundred keys with their values takes as long as 30 to 40 Gets of random keys.
//   - A full copy sorts the keys once, before it takes the place of the old contents: 0.2
//     microseconds a key (0.6 if keys are long and much alike), and meanwhile 24 bytes of
//     memory for each. The old contents are read and written as ever.
//   - While a [Snapshot] is open, a block of the index is copied when it is first changed.
//
// Without Ordered the same calls give the same results, by a pass over all keys that
// collects and sorts those of the range. [Store.All] goes through memory from front to
// back, in no order: four times as fast as Range from one end to the other.
//
// Iterations over a store are weak: each key at most once, with its value at its turn.
// Those over a [Snapshot] are exact. Neither holds a lock while the loop's body runs.
//
// # Records
//
// The log holds, and followers are sent, a sequence of records, each framed by its
// length (see package backlog). The first byte of a payload is the kind:
//
//	1 put              uvarint length of the key, key, value
//	2 put, deadline    the same, with the deadline before the key
//	3 delete           key
//	4 expired          key: deleted because its deadline passed
//	5 deadline         8 bytes, 0 for none; key
//	6 clear            nothing
//	7 transaction      framed records of the kinds 1 to 5 and 9, one at least,
//	                   no key twice: carried out at once
//	8 delete prefix    uvarint length of the prefix, prefix; then for each key
//	                   that is gone, one at least, uvarint length of what follows
//	                   the prefix in it, and that
//	9 evicted          key: deleted to make room
//
// A record of kind 7 or 8 names at most 65,536 keys, and the keys of one of kind 8, each
// with its prefix, take at most 64 MiB. Deadlines are 8 bytes of Unix milliseconds, little
// endian. Records are effects: one that is applied again, with all that followed it,
// changes nothing.
//
// # What it costs
//
// No cache holds a million entries of 16 and 100 bytes: a read mostly waits for lines of
// memory. Per operation, by "go test -bench . ./kv" on two cores of an EPYC, a virtual
// machine, 2026-11-22; the least and the greatest of three:
//
//   - Get, 410 to 490 ns: a line of the table, and then the line of the entry that it leads to. Two goroutines
//     at once: 210 to 250 ns. While [Store.SetStaleAfter] bounds it, 50 to 70 more.
//   - GetMulti of four keys, 0.8 to 1.0 us, of 32, 4.4 to 5.2: their misses overlap.
//   - Set of a key that is there, 0.8 to 1.3 us: the same two lines, a copy into the log and one
//     into a slab; and a fifth of the time for moving what an overwrite leaves behind, some 0.8
//     entries. There is one log, and one writer may add to it at a time. In pipelines of 128, a
//     fifth to a third less.
//   - Apply, 0.50 to 0.56 us a record: the lines of 32 records are asked for together.
//   - Of 3,000 keys (-kv.keys 3000), most of which a cache holds: Get 71 to 75 ns, Set 0.43 to
//     0.54 us, Apply 0.33 to 0.41 us a record. A write then costs its own work, and memory that is new to
//     it: the log's, the slab's, and that of slabs for what is moved.
//   - Update of one key, 1.8 to 2.3 us, of four, 4.8 to 6.6, and View, 0.6 to 0.7 and 1.7 to 2.1: what was
//     read is found again under the locks, and a write of one key that depends on nothing is
//     cheaper as Set. By GetMulti, when the keys are known beforehand, 4.4 to 4.9, and 1.2 to 1.3.
//   - A hundred keys in order, 15 to 20 us, 7 to 11 with two goroutines: the index leads to each
//     entry, wherever it lies.
//   - Snapshot, 1.8 to 2.6 us, which is how long writers wait for it; Dump, 5.4 to 6.3 GB/s.
//
// Functions that a read or a write calls do not return structs of more than four words, but fill them
// in where the caller has them: Go keeps up to four words in registers, stores more of them word by
// word, and copies them in units of two, for which a processor waits until those stores are done.
// This made Gets of 3,000 keys 1.4 times as fast, and applying records to them 1.6 times.
//
// Package examples/compare has the same for other stores, and how much memory a key takes.
//
// # Invariants
//
//   - An entry is encoded once, and never changed, moved or written over where it
//     lies: a slot is made to refer to another place.
//   - First the log, then the table: nothing can be read whose offset is not yet in
//     Position. In between, the key's shard is locked; for what a pipeline logs at once, and
//     shows one after the other, all of its shards are.
//   - A slab leaves its set after the last slot that referred to it was changed.
//   - A segment changes neither its size nor the places of its slots. What is larger,
//     or newer than a frozen view, is another segment.
//   - The version of a shard is raised, under its lock, before anything in it changes
//     that shows.
//   - When several keys change at once, the readers of each are told before the first
//     changes; see batch.go.
//   - The table holds what the log says, unless Store.applying says otherwise.
//   - The index has every key that can be found in the table and, except under the lock
//     of the key's shard, no other.
//
// # Locks
//
// In this order, and none is held over I/O, a channel or a sleep:
//
//   - cuts.mu, and then a cut's own
//   - Store.apply, held while logged records are ahead of the table
//   - locals.mu
//   - expirer.batch
//   - the locks of a table's shards, several in index order; one shard of a table that
//     is being loaded
//   - index.mu
//   - the log's own locks
//   - Store.routing
//   - expirer.mu, waiters.mu, watching.mu, hub.mu, Snapshot.mu, flights.mu, enders.mu,
//     journal.mu, archive.mu, that of the slab ahead, under
//     which no other is taken
//
// Reads take none of them, with three exceptions: locals.mu while there are local writes;
// one shard's lock at a time in a transaction; the index's, for a chunk of keys, in an
// iteration by the index. The functions of transactions, the bodies of loops, codecs and
// loaders run without any.
//
// Writes of a few keys, reads of transactions and Log.Append take their locks by package
// internal/spin: they stay awake for as long as most holders take.
//
// # Files
//
// In the order in which to read them:
//
//   - memory: slot.go, entry.go, segment.go, marks.go, directory.go, arena.go, memory.go
//   - what a shard does with it: shard.go, grow.go, compact.go, freeze.go, deadlines.go,
//     table.go, shardset.go, batch.go
//   - bounded memory: policy.go, ghost.go, evict.go, hand.go, admit.go, spare.go,
//     room.go, stats.go
//   - the order of the keys, after package internal/keytree: index.go
//   - the store: options.go, errors.go, store.go, get.go, stale.go, set.go, write.go, pipeline.go,
//     pause.go, drop.go, counter.go, rename.go, deleteprefix.go, iterate.go, range.go,
//     keyrange.go, scan.go, warm.go
//   - local writes: local.go, localread.go, localwrite.go
//   - transactions: tx.go, reads.go, txread.go, txwrite.go, txcut.go,
//     txiterate.go, commit.go
//   - the log: record.go, parts.go, fetch.go, apply.go, wait.go, digest.go, clock.go,
//     expire.go
//   - whole states: encode.go, snapshot.go, restore.go, dump.go, load.go, loadshard.go,
//     exchange.go, losttail.go, tail.go, overlay.go, repair.go, bulk.go, loose.go
//   - the disk: durability.go, folder.go, open.go, recover.go, recovered.go, chain.go, replay.go,
//     replayshard.go; journal.go, journalstate.go, journalfile.go, journalsync.go,
//     durable.go, save.go, tidy.go, diskstatus.go, diskinfo.go; and back to followers:
//     archive.go, past.go
//   - watchers: event.go, stretch.go, source.go, hub.go, watching.go, parking.go, cut.go,
//     watch.go, resume.go
//   - maps: codec.go, integers.go, mapoptions.go, map.go, maptx.go, mapcode.go, mapiterate.go,
//     mapwatch.go; and what loads for them: mapheader.go, mapload.go, flights.go, enders.go,
//     replace.go, maprefresh.go, mapforward.go, mapstats.go
package kv
