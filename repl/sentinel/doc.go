// Package sentinel watches a group of nodes of package repl: it detects that the master is
// gone, agrees on that with other sentinels, has the best replica promoted, makes the others
// follow it, and tells clients who the master is. It does what Redis Sentinel does, in the
// processes of the group or beside them.
//
//	s, err := sentinel.New(&sentinel.Options{
//		Monitor: []string{"10.0.0.1:7000"},
//		Store:   store, // sentinel.OpenFileStore("/var/lib/app/sentinel")
//	})
//	go s.Serve(listener)
//
// The nodes must be Supervised, or they take no orders and sentinels log a warning; and they
// call Node.Run, which goes on through all roles:
//
//	replica, err := repl.NewReplica(store, "10.0.0.1:7000", &repl.Options{
//		Announce:    listener.Addr().String(), // where sentinels and other nodes find it
//		Supervision: repl.Supervision{Supervised: true, Fenced: true},
//	})
//	go replica.Serve(listener)
//	go replica.Node().Run(ctx)
//
// The first master is made in the same way by repl.NewMaster, even when it is restarted:
// being Fenced it takes no writes until it hears that it is still the master. The first
// lease comes DownAfter after the sentinels have started. It takes at least three
// sentinels, on three machines, to survive the loss of any one.
//
// # How a master is replaced
//
// Every sentinel asks every node how it is, eight times in DownAfter and at least once a
// second. A node that owes an answer for DownAfter is subjectively down: as far as this
// sentinel can tell. Sentinels tell each other what they think of the master; if as many as
// the quorum find it down, it is objectively down, and any sentinel that knows that asks
// for votes. The one that a majority of all sentinels votes for leads the failover: it
// hears all replicas, chooses the best, has it promoted in the epoch of the election, tells
// its peers, and makes the others follow the new master. The old one, when it comes back,
// is told to follow too.
//
// # One writer at a time
//
// A sentinel that asks the master how it is leases it the right to write, for four fifths of
// DownAfter, and promises for DownAfter to lease it to nobody else, and to vote for no
// failover except on demand. A master that does not hold the lease of a majority refuses
// writes. So no other master can write, or be promoted except on demand, before the old one
// has stopped, even if it hangs, is cut off, or its clock is wrong by a tenth; and a master
// on the side of a minority stops by itself. See "Leases" in repl/PROTOCOL.md.
//
// A node that was replaced while it was down may be started as a master, as it was set up at
// first. With repl.Options.Fenced it takes no writes before the sentinels have told it what
// it is; without, it takes writes for about DownAfter. If its store came back with the
// group's data, like one of kv.Open, those writes are handed to the program as a lost tail
// when it follows. If it came back empty, they make it a stranger, which keeps them and
// refuses the master with repl.ErrForeign until it is told to give them up.
//
// Add and remove sentinels one at a time: then the majorities before and after have a
// sentinel in common. One that starts promises nothing to anybody for DownAfter, as it
// does not know what it has promised before; so restarting three at once stops a master
// that needs its lease for that long.
//
// # Who is promoted, and what may be lost
//
// The leader asks every node that it can reach where it stands, after the old master's
// lease has ended, and waits for those that are not down. Nodes that may not be promoted,
// never had the group's data or have another group's are left out. Of the others the one
// with the lowest priority is chosen, and among equals the one that has most: of two that
// have diverged, the one of the later epoch. If a node of higher priority number has more
// than the chosen one, the chosen one gets that first.
//
// What none of the nodes heard had is lost. A write that n of R replicas have acked is not
// among it if Options.MinHeard is at least R-n+1: then one of those heard has it. When the
// old master comes back it hands its program what was lost, see OnLostTail of package kv. In
// [Sentinel.Failover] the old master, if it is there, steps down before another is promoted,
// which gets all that it has; in [Sentinel.Handover] no writer is refused. Both take a
// majority of the sentinels, like any failover: for the votes, and for the lease without
// which a master does not hand over.
//
// Up to the promotion a failover changes nothing, and may be given up: the master is back,
// nobody is fit, the chosen one dies. The next begins after a random time, which doubles. A
// promotion is never taken back. If the leader dies after it, the others learn of the new
// master by themselves, and correct the rest; if before, they elect another.
//
// # Who is who
//
// Nodes and sentinels are known by their ids. Their addresses are what was last heard, and may
// change. All are found from one address: a node tells whom it follows and who follows it, and
// has a board on which sentinels post where they are. When somebody else is found at an
// address, whoever was there before is looked for elsewhere. But if a new sentinel is found at
// a sentinel's address, that one was restarted with another id, and is replaced, unless it is
// found elsewhere before it is down. A node that cannot be reached is forgotten after
// ForgetAfter. A sentinel that has answered once is forgotten only by [Sentinel.Reset], as a
// majority is one of all there are; one that never has, when nobody has told of it for that
// long, or with the next start.
//
// The time of a master is a [Reign]. A master of a higher epoch ends it, whoever has begun
// that epoch: a sentinel, an operator with [repl.Replica.Promote], a master with
// [repl.Master.Handover]. But not one whose log lacks what the reign began with: that is a
// stranger, or has lost its data. Nor one that was started as a master though it had
// followed before, which nobody has decided: it follows again, and the master goes on in a
// higher epoch. If there is nobody else, it becomes the master by agreement.
//
// A master that was restarted without its data, or with less of them than a replica that may
// be promoted, counts as down as long as such a node is there, however quickly it was back.
// If it is Fenced, nothing is lost: before its first lease it is compared with all who are
// there, and until then it overwrites nobody who has more. Nodes that are known, and not
// there, are waited for as long as DownAfter; what only those have is given up, and
// reported, when they come later. While sentinels disagree, as some do not reach the node
// that has more, nobody writes. A node that is a master beside the reign's, or that follows
// neither it nor a replica that is there, is told whom to follow, after DownAfter, or 8 s if
// that is less; so is one that followed the master itself until it was restarted, or was not
// there when another master took over, and now follows a replica. Other chains are left
// alone. If all nodes have lost what the reign began with, and all are there, they begin
// again with what there is.
//
// A node whose data have nothing in common with the group's, not even the beginning, is a
// stranger: it is told nothing. Sentinels that tell of a stranger as the master are neither
// believed nor counted, so two groups stay two when a node of one is told by mistake to follow
// the other. That holds for sentinels that know their master; different names (Options.Group) keep
// groups apart from the first frame on: give them some.
//
// Sentinels without state that find replicas but, for five DownAfter, no master, take
// the one that the replicas have their data from for the master: it may be gone for
// good, and then is replaced.
//
// A sentinel that was itself stopped, with its machine or by a signal, does not count
// the time that it slept through as silence.
//
// # Clients
//
// A program that is no sentinel finds the master with [Resolve], which asks all the
// sentinels that it is given and believes the highest epoch. It hears of the next master
// from [Switches], which keeps a link to each sentinel: one alone might be cut off from
// the others. What it is told may be out of date by the time that it dials, so it should
// make sure that the node that answers is the master; a [Transport] does, and a replica
// with one needs nobody to tell it whom to follow. Programs in other languages are told by
// a script, see [Scripts].
//
// # Invariants
//
//   - All decisions are made by one goroutine, the desk. What it decides with is pure:
//     vote.go, campaign.go, promise.go, failover.go, discover.go, down.go and vet.go have no clock,
//     no link and no goroutine.
//   - A vote is in the Store before anybody is told of it; a step that cannot be saved is
//     not taken.
//   - A grant is sent only while promise binds to the node that gets it; every stamp is
//     answered once, on the line on which it came.
//   - The answer to a poll counts only if no later poll has been answered.
//   - There is at most one line to an address, and at most one that is up to a node or peer.
//   - No lease is granted to a master of an epoch below that of the last vote, however long
//     ago that was.
//   - An epoch in which this sentinel orders a promotion is one in which a majority has
//     voted for it, and the order goes to one node. No master that holds a lease begins
//     that epoch by handing over.
//
// # Concurrency
//
// A sentinel has the desk's goroutine; one for each line, and at most 16 more while
// something is asked on it; those of its server; one for Options.OnEvent, and those of
// scripts. All talk to the desk by one channel. Sentinel.mu, the locks of the herald and
// of the scripts are leaves. Close ends everything and waits.
//
// Everything waits only on channels, timers and connections, so groups with sentinels run in
// virtual time inside testing/synctest.
//
// # Reading order
//
//   - what a program has: options.go, script.go, errors.go, sentinel.go; event.go,
//     eventkind.go, status.go, missing.go
//   - where all is decided: desk.go; what is known: reign.go, view.go,
//     kin.go
//   - who is reached: switchboard.go, line.go; nodes are asked, and granted leases: poll.go;
//     what they tell: discover.go; what peers do: exchange.go; what follows: vet.go, down.go,
//     chains.go, correct.go
//   - an election: elect.go, vote.go, campaign.go, pace.go, promise.go
//   - a failover: lead.go, failover.go, choice.go, promote.go, reconf.go, task.go
//   - what others ask: answer.go, message.go, cutter.go; what is kept: store.go, memory.go;
//     who is told: herald.go, scriptqueue.go, scriptrun.go
//   - what a client has: client.go, resolve.go, switches.go, transport.go
//
// PROTOCOL.md is the wire.
package sentinel
