// Package sentinel watches a group of nodes of package repl: it finds out that the
// master is gone, agrees on that with other sentinels, has the best replica promoted and the
// others follow it, and tells clients who the master is. It does what Redis Sentinel does,
// in the processes of the group or beside them.
//
//	s, err := sentinel.New(&sentinel.Options{
//		Monitor: []string{"10.0.0.1:7000"},
//		Store:   store, // sentinel.OpenFileStore("/var/lib/app/sentinel")
//	})
//	go s.Serve(listener)
//
// The nodes must be Supervised, or they take no orders, which a sentinel warns of in its log;
// and they run Node.Run, which goes on through all roles:
//
//	replica, err := repl.NewReplica(store, "10.0.0.1:7000", &repl.Options{
//		Announce:    listener.Addr().String(), // where sentinels and other nodes find it
//		Supervision: repl.Supervision{Supervised: true, Fenced: true},
//	})
//	go replica.Serve(listener)
//	go replica.Node().Run(ctx)
//
// The first master is made in the same way by repl.NewMaster, also when it is started again:
// Fenced it takes no writes until it hears that it is the master still. The first lease
// comes DownAfter after the sentinels have started. Three sentinels, on three machines,
// are the least that survive the loss of any one of them.
//
// # How a master is replaced
//
// Every sentinel asks every node how it is, eight times in DownAfter and once a second at
// least. A node that owes an answer for DownAfter is subjectively down: as far as this
// sentinel can tell. Sentinels tell each other what they think of the master; if as many as
// the quorum find it down, it is objectively down, and whoever knows that asks for votes.
// The one that a majority of all sentinels votes for leads the failover: it hears all
// replicas, chooses the best, has it promoted in the epoch of the election, tells its
// peers, and has the others follow the new master. The old one, when it comes back, is told
// to follow too.
//
// # One writer at a time
//
// A sentinel that asks the master how it is leases it the right to write, for four fifths of
// DownAfter, and promises to lease it to nobody else, and to vote for no failover but one on
// demand, for DownAfter. A master that does not hold the lease of a majority refuses writes.
// So no other can write, or but on demand be promoted, before the old one has stopped, even
// if it hangs, is cut off, or its clock is wrong by a tenth; and the master of a minority
// stops by itself. See "Leases" in repl/PROTOCOL.md.
//
// A node that was replaced while it was down may be started as a master, as it was set up at
// first. With repl.Options.Fenced it takes no writes before the sentinels have told it what
// it is; without, it takes writes for about DownAfter. If its store came back with the
// group's data, as one of kv.Open, they are handed to the program as a lost tail when it
// follows. If it came back empty, they make it a stranger, which keeps them and refuses the
// master with repl.ErrForeign until it is told to give them up.
//
// Add and remove sentinels one at a time: the majorities of before and after have one in
// common then. One that starts promises nothing to anybody for DownAfter, as it does not
// know what it has promised before; so three that are started again at once stop a master
// that needs its lease for that long.
//
// # Who is promoted, and what may be lost
//
// The leader asks every node that it can reach where it stands, after the old master's
// lease has ended, and waits for those that are not down. Nodes that may not be promoted,
// never had the group's data or have those of another group are left out. Of the others the
// one with the lowest priority is chosen, and of those alike the one that has most: of two
// that went their own ways the one of the later epoch. If another has more than the chosen
// one, whose priority is lower, that gets it first.
//
// What is lost is what none of those had that were heard. With Options.MinHeard it is none
// of what enough replicas had, see there. The old master tells its program of the rest when
// it comes back, see OnLostTail of package kv. In [Sentinel.Failover] the old master, if it
// is there, steps down before another is promoted, which gets all that it has; in
// [Sentinel.Handover] no writer is refused. Both take a majority of the sentinels, like any
// failover: for the votes, and for the lease without which a master does not hand over.
//
// Up to the promotion a failover changes nothing, and is given up for any reason: the master is
// back, nobody is fit, the chosen one dies. The next begins after a random time, which doubles.
// After the promotion it is never taken back. If the leader dies, the others learn of the
// new master by themselves, and correct the rest; if it dies before, they elect another.
//
// # Who is who
//
// A node, and a sentinel, is its id. Where it can be reached is what was heard of last, and may
// change. All are found from one address: a node tells whom it follows and who follows it, and
// has a board on which sentinels post where they are. At an address at which somebody else
// is found, the one that was there before is not any more, and is looked for elsewhere. But a
// sentinel in whose place a new one is was started anew with another id, and is replaced,
// unless it is found elsewhere before it is down. A node that cannot be reached is forgotten
// after ForgetAfter. A sentinel that has answered once is not, but by [Sentinel.Reset], as a
// majority is one of all there are; one that never has is, when nobody has told of it for as
// long, or with the next start.
//
// The time of a master is a [Reign]. One of a higher epoch ends it, whoever has begun that:
// a sentinel, an operator with [repl.Replica.Promote], a master with
// [repl.Master.Handover]. But not one whose log lacks what the reign began with: that is a
// stranger, or has lost its data. Nor one that was started as a master though it had
// followed before, which nobody has decided: it follows again, and the master goes on in a
// higher epoch. It becomes the master by agreement if there is nobody else.
//
// A master that was started anew without its data, or with less of them than a replica has that
// may be promoted, counts as down as long as such a node is there, however quickly it was back.
// If it is Fenced, nothing is lost by that: it is compared with all who are there before its first
// lease, and until then gives nobody what it has in the place of more. A node that is a master beside the reign's, or that
// follows neither it nor a replica that is there, is told whom to follow, after DownAfter,
// or 8 s if that is less; and one that followed the master itself until it was started again, and now
// a replica. Other chains are left alone. If all nodes have lost what the reign began with, and all are
// there, they begin again with what there is.
//
// A node with data of which the group has nothing, nor the beginning, is a stranger: it is told nothing. What
// sentinels tell of a master that is one is not believed, nor are they counted, so two groups stay two
// when a node of one is told by mistake to follow the other. That they have different
// names (Options.Group) keeps them apart from the first frame on.
//
// Sentinels that have no state, and find replicas but for five DownAfter no master, take
// for the master the one of which the replicas have their data: it may be gone for good,
// and is replaced if so.
//
// A sentinel that was itself stopped, with its machine or by a signal, does not take for
// silence what it has slept through.
//
// # Clients
//
// A program that is no sentinel finds the master with [Resolve], which asks all sentinels
// that it is told of and believes the highest epoch, and hears of the next one by
// [Switches], which keeps a link to each: one alone might be cut off from the others. What
// it is told may be out of date by the time that it dials, so it should make sure that who
// answers is the master; a [Transport] does, and a replica that has one needs nobody to
// tell it whom to follow. Programs of other languages are told by a script, see [Scripts].
//
// # Invariants
//
//   - All decisions are made by one goroutine, the desk. What it decides with is pure:
//     vote.go, campaign.go, promise.go, failover.go, discover.go, down.go and vet.go have no clock,
//     no link and no goroutine.
//   - A vote is in the Store before anybody is told of it; a step that cannot be saved was
//     not taken.
//   - A grant is sent only while promise binds to the node that gets it; every stamp is
//     answered once, on the line that it came by.
//   - What a poll says counts only if no later one has been answered.
//   - There is at most one line to an address, and one that is up to a node or peer.
//   - No lease is granted to a master of an epoch below that of the last vote, however long
//     ago that was.
//   - An epoch in which this sentinel orders a promotion is one in which a majority has
//     voted for it, and the order goes to one node. No master that was leased to begins
//     that epoch by handing over.
//
// # Concurrency
//
// A sentinel has the desk's goroutine; one for each line, and while something is asked on
// it, at most 16 more; those of its server; one for Options.OnEvent, and those of scripts.
// All talk to the desk by one channel. Sentinel.mu, the locks of the herald and of the
// scripts are leaves. Close ends everything and waits.
//
// Everything waits on channels, timers and connections only, so groups with sentinels run in
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
