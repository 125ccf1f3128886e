// Package repl keeps copies of a machine's state on other nodes: one master
// takes the writes, replicas follow it, replicas of replicas follow those.
//
//	master, err := repl.NewMaster(store, nil)
//	go master.Serve(listener)
//
//	replica, err := repl.NewReplica(store, "10.0.0.1:7000", nil)
//	go replica.Run(ctx)
//	err = replica.WaitSynced(ctx)
//
// It knows nothing of keys. It replicates a [Machine], which has a log of its
// changes, takes such changes from elsewhere, and hands out and takes in its
// state as a whole; *kv.Store is one.
//
// # How a replica follows
//
// A replica dials its upstream and says where in which history its log ends. If
// the upstream's log still holds that point, the records behind it are sent: a
// partial resync. Otherwise the upstream says why not, and sends a full copy,
// shard by shard, with the log interleaved, so that nothing piles up at either
// end and no writer waits. The replica builds the copy beside the state it has,
// compares count and digest with the upstream's at one offset, and only then
// exchanges them. A broken copy goes on at its next shard.
//
// A replica that has gone on by itself, or with an old master, beyond the point at which
// its history and the upstream's have parted, leaves that tail: it asks for the present
// state of the keys that it concerns, takes the upstream's log from the fork, and shows
// both at once. After a failover the nodes that were ahead of the new master so cost a few
// keys each, and no full copy. What is left is handed to the program, see
// Options.OnLostTail of package kv. A tail of many keys, or one that removes all, takes a
// full copy; [SyncStatus] says why.
//
// That two nodes stand at the same offset of the same history is not taken for granted:
// a position is confirmed by a running hash of the log before it ([backlog.Sum]). One that
// is not the same takes a full copy, because of [backlog.OtherBytes].
//
// Each follower is a reader of the one log. A slow one costs its upstream the
// one chunk of the log that it reads; one that is outrun is told so.
//
// # Roles
//
// A node changes its role while it runs: [Replica.Promote] makes it a master,
// [Master.Demote] a replica, [Replica.Follow] gives it another upstream. Its
// listener and its followers stay.
//
//	node := replica.Node()
//	go node.Run(ctx)                          // in place of replica.Run: through all roles
//	master, err := replica.Promote(ctx)       // it takes writes from here on
//	replica, err = master.Demote("10.0.0.2:7000")
//	err = replica.Follow("10.0.0.3:7000")     // node.Follow, in whatever role
//	replica, err = master.Handover(ctx, "paris") // one of its followers
//
//	         Promote
//	master <--------- replica <---+
//	       --------->         ----+ Follow
//	         Demote
//
// The time in one role is a tenure. Its context ends with it, and with that what
// waits for the role: a [Master.Wait], a writer held up by MaxUnacked, the link to
// the upstream. A handle belongs to one tenure; after it, its methods return
// [ErrRoleChanged], and [Node.Master] or [Node.Replica] gives the next.
//
// Each promotion begins a history of a new epoch, above all that the node has heard of. A
// master that hears of a higher epoch than its own stops writing, with a [*FencedError], and
// becomes a replica of nobody until [Replica.Follow] says of whom; so of two masters the one
// of the higher epoch stays, as soon as they hear of each other. But a master that is demoted
// has given its epoch up: when it is told to follow another master, that one goes on, in an
// epoch above.
//
// [Master.Handover] does both at once, for a planned switch: writers wait for some
// milliseconds while the replica gets the rest and takes over, and nothing is lost.
//
// # Invariants of a change of role
//
//   - One change at a time: it holds the token of Node.changing, and fails if its
//     tenure has ended while it waited.
//   - gate.check alone decides whether a write is let in; a change of role closes it first
//     and opens it last.
//   - A new epoch is in the log before it is in Node.heard: a master that finds one above its
//     log's has heard of it from somebody else. Promote looks again at its end: what it did
//     not hear of then finds it a master.
//   - Demote closes the log's gate before anything else, Promote opens it last: no
//     write enters a log that follows another, or one without a history of its own.
//   - Promote takes the turn of its upstream, which the goroutine of Run gives back
//     when the link is over: no upstream's record is applied in a master.
//   - A promotion forks the log where it ends. Followers that stream are told in
//     passing (History in PROTOCOL.md), and so are theirs, all the way down.
//
// # Supervision
//
// Package repl/sentinel watches a group, and replaces a master that falls. It needs no more
// of a node than [DialControl] gives to anybody: a [Control] link to the node's listener,
// by which a [Poll] asks for a [Report], and an [Order] says what to be. Orders are obeyed
// by a node with Options.Supervised alone.
//
// By the same polls sentinels lease out the right to write, so that two masters never write at
// once, whoever hears of whom: an armed master takes a write only while grants of a
// majority are in force ([LeaseError]). See "Leases" in PROTOCOL.md for what that needs,
// and when a node is armed; for those who have done with sentinels there is [Node.Disarm].
// A lease bounds who may write, not what is lost: of a process that is stopped for long
// after the gate has let a write in, that one write may still be appended, to its own log
// only. With Ack a writer is told that no replica has it.
//
// # What a link checks
//
// Every frame has a checksum and a number, every run of records its offset; a
// peer that breaks a rule of PROTOCOL.md is cut off, with an error that says
// what and where. The state is never changed by half a record, nor by a copy
// that did not come out as announced. A replica that holds data refuses to be
// overwritten from a history that it does not know ([ErrEmptyMaster],
// [ErrForeign]).
//
// # What a write needs of the replicas
//
// Nothing, unless Options.Safety says otherwise. There are two questions, before a write
// and after it. MinReplicas asks before: are enough replicas near, as far as is known? If
// not the write is refused by the log's gate and has changed nothing, be it a Set, a
// transaction, or the delete of a key whose time is over, which is tried again once a
// second. Ack asks after: do enough replicas have this write? Until they do the writer
// waits, outside of all locks; if that takes too long it is told so, and the write stands.
//
// Both go by what replicas have applied, and count those that follow this node itself.
// MinReplicas costs a write a look at the clock, and bounds what can be lost by a time;
// Ack costs a round trip, which all who wait share, and says of each write that so many
// have it. What is acked to a node that is no master any more counts for nothing.
//
// Status.Refusing says what a write gets now, and Events.Gate when that changes.
//
// # Who may connect
//
// Whoever can, unless Options.Secrets or the certificates of a [TLS] transport say otherwise.
// With secrets, both ends of a link prove that they know one, before either says who it is;
// and over a transport without TLS the link is encrypted. [Node.SetSecrets] changes them
// without losing a link. What is promised against whom stands in PROTOCOL.md, "Who may
// connect".
//
// # Compression
//
// What goes from an upstream to its followers may be compressed, as the two ends
// agree when they connect (see Options.Compression): each link in its own way, frame
// by frame. Status says what it saves.
//
// # What it costs
//
// By "go test -bench . ./repl" on two cores of an EPYC, a virtual machine, 2026-11-22, one run: a
// frame of 100 bytes, written and read, 0.4 us, one of 256 KiB 50 us; encrypted 0.7 and 195
// us. A feed puts what is there into one frame, so that a record of 100 bytes, its master's
// write and its effect at the replica together take 0.6 to 1.0 us of two processors. A write that waits
// for its ack by [Memory] takes 15 us, and by TCP as much longer as
// halted processors take to be woken (examples/bench, lag). Options.Safety costs a write 0.1 us. What one more replica
// costs is in the README of examples/bench, and what links cost in memory in PROTOCOL.md, "Limits".
//
// # Concurrency
//
// A [Node] has one goroutine for each Serve, two for each follower (feed.run
// writes, feed.listen reads), one for a pass of full copies while there is one,
// one for the link to its upstream, and one that tells of the gate, if somebody is to be
// told. Close ends them all and waits.
//
// Lock order: passes.mu, then copying.mu, then the log's own. Node.mu, acks.mu, feed.mu,
// upstream.mu, freshness.mu, under which the machine is told whether it may be read,
// syncRecord.mu, pacer.mu, turns.mu, gate.mu, lease.mu, board.mu, entrance.mu, Control.mu
// and the lock of the passes' encoders are leaves, but that enlist takes acks.mu under
// Node.mu. No lock is held while a goroutine reads, writes, waits or calls the program.
//
// Everything waits on channels, timers and connections only, so whole groups
// run in virtual time inside testing/synctest, over [Memory] or the faulty
// network of package repltest.
//
// The invariants of a full copy are rules A and B of PROTOCOL.md. copying.holds
// keeps them: while a shard is assigned and its first block not sent, no log
// goes out beyond the log's end at the assignment, which is at or below what
// the block will stand for.
//
// # Reading order
//
//   - what is replicated, and what a program says: machine.go, options.go, optioncheck.go;
//     what it is told when that fails: errors.go, writeerror.go, handovererror.go, linkerror.go
//   - the seat and its role: node.go, tenure.go, gate.go (who may write), gatenews.go (who
//     hears of it), epoch.go (whose turn it is), master.go, replica.go (the handles)
//   - from one role to the other: handover.go, order.go, takeover.go, announce.go
//   - the way down: entrance.go, accept.go, door.go, roster.go, lostfollower.go, feed.go,
//     feedlog.go, feedsync.go, listen.go, parting.go, turns.go, copy.go, passes.go, pass.go,
//     buffer.go, pace.go, acks.go, settle.go, kept.go, near.go
//   - and up: upstream.go, outage.go, freshness.go, run.go, dial.go, session.go, stream.go,
//     repair.go, load.go
//   - how a node is watched and told what to be: supervision.go; controloptions.go,
//     control.go, controlserver.go (the ends that are no node); poll.go, report.go,
//     command.go (what is said); answerer.go, asked.go (the node's end); board.go, lease.go
//   - what a program sees of them all: events.go, sync.go, status.go, info.go, infoember.go,
//     words.go
//   - below all: cursor.go, request.go, secret.go, proof.go, link.go, frame.go, seal.go,
//     packing.go, kind.go, hello.go, refuse.go, message.go; transport.go, socket.go, tls.go,
//     memory.go
//
// PROTOCOL.md is the wire.
package repl
