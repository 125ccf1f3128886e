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
// changes, takes such changes from elsewhere, and can hand out its state as a
// whole and take one in; *kv.Store is one.
//
// # How a replica follows
//
// A replica dials its upstream and says where in which history its log ends. If
// the upstream's log still holds that point, the records after it are sent: a
// partial resync. Otherwise the upstream says why not, and sends a full copy,
// shard by shard, with the log interleaved, so that nothing piles up at either
// end and no writer waits. The replica builds the copy beside the state it has,
// compares count and digest with the upstream's at one offset, and only then
// exchanges the states. A broken copy goes on at its next shard.
//
// A replica that has gone on, by itself or with an old master, after its history had
// parted from the upstream's leaves that tail: it asks for the present state of the keys
// in it, takes the upstream's log from the fork, and shows both at once. So after a
// failover the nodes that were ahead of the new master cost a few keys each, and no full
// copy. The tail is handed to the program, see Options.OnLostTail of package kv. A tail of
// many keys, or one that removes all, takes a full copy; [SyncStatus] says why.
//
// That two nodes at the same offset of the same history have the same log is not taken for
// granted: a running hash of the log before a position confirms it ([backlog.Sum]). If it
// differs, the replica takes a full copy, because of [backlog.OtherBytes].
//
// Each follower is a reader of the one log. A slow one costs its upstream only
// the chunk of the log that it reads; one that is outrun is told so.
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
// The time in one role is a tenure. Its context ends with it, and so does
// everything that depends on the role: a [Master.Wait], a writer held up by
// MaxUnacked, the link to the upstream. A handle belongs to one tenure; after it,
// its methods return [ErrRoleChanged], and [Node.Master] or [Node.Replica] gives
// the next.
//
// Each promotion begins a history of a new epoch, above all that the node has heard of. A
// master that hears of a higher epoch than its own stops writing, with a [*FencedError], and
// becomes a replica of nobody until [Replica.Follow] says of whom; so as soon as two masters
// hear of each other, only the one of the higher epoch stays. But a master that is demoted
// has given its epoch up: when it is told to follow another master, that one goes on, in an
// epoch above.
//
// [Master.Handover] demotes and promotes at once, for a planned switch: writers
// wait some milliseconds while the replica gets the rest and takes over, and
// nothing is lost.
//
// # Invariants of a change of role
//
//   - One change at a time: it holds the token of Node.changing, and fails if its
//     tenure has ended while it waited.
//   - gate.check alone decides whether a write is let in; a change of role closes it first
//     and opens it last.
//   - A new epoch is in the log before it is in Node.heard: a master that finds one above its
//     log's has heard of it from somebody else. Promote looks again when it is done: an epoch
//     that is heard of later finds the node a master.
//   - Demote closes the log's gate before anything else, Promote opens it last: no
//     write enters a log that follows another, or one without a history of its own.
//   - Promote takes the turn of its upstream, which the goroutine of Run gives back
//     when the link is over: no record from an upstream is applied in a master.
//   - A promotion forks the log where it ends. Followers that stream are told in
//     passing (History in PROTOCOL.md), and so are theirs, all the way down.
//
// # Supervision
//
// Package repl/sentinel watches a group, and replaces a master that fails. It needs no more
// of a node than [DialControl] gives to anybody: a [Control] link to the node's listener,
// on which a [Poll] asks for a [Report], and an [Order] says what to be. Only a node with
// Options.Supervised obeys orders.
//
// By the same polls sentinels lease out the right to write, so that two masters never write at
// once, whoever hears of whom: an armed master takes a write only while grants of a majority
// are in force ([LeaseError]). See "Leases" in PROTOCOL.md for what that needs, and when a
// node is armed; [Node.Disarm] is for those who no longer use sentinels. A lease bounds who
// may write, not what is lost: if a process is stopped for long just after the gate has let a
// write in, that one write may still be appended, to its own log only. With Ack a writer is
// told that no replica has it.
//
// # What a link checks
//
// Every frame has a checksum and a number, every run of records its offset; a
// peer that breaks a rule of PROTOCOL.md is cut off, with an error that says
// what and where. Half a record never changes the state, nor does a copy that
// did not come out as announced. A replica that holds data refuses to be
// overwritten from a history that it does not know ([ErrEmptyMaster],
// [ErrForeign]).
//
// # What a write needs of the replicas
//
// Nothing, unless Options.Safety says otherwise. There are two questions, before a write
// and after it. MinReplicas asks before: are enough replicas near, as far as is known? If
// not, the log's gate refuses the write and nothing has changed, be it a Set, a
// transaction, or the deletion of an expired key, which is tried again once a second. Ack
// asks after: do enough replicas have this write? Until they do, the writer waits outside
// all locks; if that takes too long it is told so, and the write stands.
//
// Both go by what replicas have applied, and count those that follow this node
// directly. MinReplicas costs a write a look at the clock, and bounds in time what can
// be lost; Ack costs a round trip, which all who wait share, and says of each write
// that so many have it. What is acked to a node that is no longer the master counts for
// nothing. Whether what n of R replicas have survives a failover depends on who is heard then:
// it is certain if sentinels hear at least R-n+1 before they promote one (their MinHeard; 1 by
// default), or if you look at as many before you do.
//
// Status.Refusing says what a write gets now, and Events.Gate when that changes.
//
// # Who may connect
//
// Whoever can, unless Options.Secrets or the certificates of a [TLS] transport say otherwise.
// With secrets, both ends of a link prove that they know one, before either says who it is;
// and over a transport without TLS the link is encrypted. [Node.SetSecrets] changes them
// without losing a link. PROTOCOL.md, "Who may connect", says what is promised against whom.
//
// # Compression
//
// What goes from an upstream to its followers may be compressed, as the two ends
// agree when they connect (see Options.Compression): each link in its own way, frame
// by frame. Status says what that saves.
//
// # What it costs
//
// By "go test -bench . ./repl" on two cores of an EPYC, a virtual machine, 2026-11-22, one run: writing and reading a
// frame of 100 bytes takes 0.4 us, one of 256 KiB 50 us; encrypted 0.7 and 195 us. A feed puts what is there into one
// frame, so that a record of 100 bytes, from the master's write to its effect at the replica, takes 0.6 to 1.0 us of
// two processors. A write that waits for its ack over [Memory] takes 15 us, and over TCP longer by the time that
// halted processors take to be woken (examples/bench, lag). Options.Safety costs a write 0.1 us. The README of
// examples/bench says what one more replica costs, and PROTOCOL.md, "Limits", how much memory links take.
//
// # Concurrency
//
// A [Node] has one goroutine for each Serve, two for each follower (feed.run
// writes, feed.listen reads), one for a pass of full copies while there is one, one for
// the link to its upstream, and one that reports changes of the gate, if somebody is to
// be told. Close ends them all and waits.
//
// Lock order: passes.mu, then copying.mu, then the log's own. Node.mu, acks.mu, feed.mu,
// upstream.mu, freshness.mu, under which the machine is told whether it may be read,
// syncRecord.mu, pacer.mu, turns.mu, gate.mu, lease.mu, board.mu, entrance.mu, Control.mu
// and the lock of the passes' encoders are leaves, except that enlist takes acks.mu under
// Node.mu. No lock is held while a goroutine reads, writes, waits or calls the program.
//
// Everything waits only on channels, timers and connections, so whole groups
// run in virtual time inside testing/synctest, over [Memory] or the faulty
// network of package repltest.
//
// The invariants of a full copy are rules A and B of PROTOCOL.md. copying.holds
// keeps them: while a shard is assigned and its first block not sent, no log
// goes out beyond the log's end at the assignment, which is at or below the
// offset of the block.
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
