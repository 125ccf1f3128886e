// Command bench measures replication as a program sees it that has the store
// inside: no client, no command parser, both ends of every link on this machine.
//
//	go run ./examples/bench [-json] [-short] [-only NAME,...] [-n KEYS] [-value BYTES] [-runs N] [-peer redis-server]
//
// Every node is a process of its own, started from this same executable, unless
// the line says otherwise; they talk TCP over loopback and share the machine's
// cores. Keys are key:%012d, values JSON-like with some 30 bytes of entropy; both
// follow from a seed, so two runs write the same. Each line is the median of -runs
// runs, with the least and the greatest.
//
// # Lines
//
//   - writes/R: how many writes a second reach R replicas. Two goroutines set
//     random keys of a million that have been overwritten three times each; the clock
//     stops when every replica has applied the last write. No write may run more than
//     16 MiB of log ahead of any replica. Then the processor time of all nodes for one write; both
//     for the same writes again, handed over in pipelines of 128, which is how the peer gets its own; and the
//     greatest resident memory of the nodes, from the start of the process.
//
//   - sync/idle: how long a full copy of -n keys takes, from the replica's Run
//     until it has applied what the master had when the copy was complete.
//
//   - sync/loaded: the same while the master takes 20,000 writes a second, and the
//     latency of those writes before and during the copy. They are an open loop:
//     each has an instant at which it is due, and its latency counts from there, so
//     that a stall is charged to every write that it delays. The loop sleeps for at
//     least 100 microseconds at a time; that much of a latency is its own. How late the
//     machine lets it be comes first, as "no write": the same loop, which writes nothing.
//
//   - lag/memory, lag/process, lag/processes: one write at a time, from the call of Set until
//     the replica's acknowledgement that it has applied it; both nodes in one
//     process, by repl.Memory or by TCP, or in two.
//
//   - chain/memory, chain/process, chain/processes: one write at a time, from the call of Set
//     until the last of three replicas that follow one another shows it.
//
//   - catchup/blip: the link breaks and 1000 writes are missed, while the replica dials; then
//     it gets through. Until the replica is level, counted from the break, the writes
//     and the calls by which the benchmark has them made included, and from the link's return.
//
//   - catchup/second: the link is away for one second and 20,000 writes; until
//     the replica is level, counted from the link's return.
//
//   - failover/1s, failover/200ms: one master, two replicas and three sentinels whose
//     DownAfter that is, nobody writes; from kill -9 of the master to the first write that one
//     of the others takes. Both try four times a millisecond.
//
//   - disk/POLICY: how many writes a second return while 1, 8 or 64 goroutines
//     overwrite random keys, in this process, for three seconds each: in a store that is kept
//     in the temporary folder under that policy, or, as disk/memory, in memory alone.
//
//   - disk/load: how long Save takes for -n keys, and Open afterwards; and Open from the journal
//     alone. What was written last is still in the system's memory.
//
//   - cost/replicas, cost/keys, cost/value: the processor time of a write at the master and at a
//     replica, with 1, 2 and 4 replicas; with 200,000 keys and ten times as many; with values of
//     -value bytes and of ten times that.
//
//   - cost/writers: how far writers hold each other up. The processor time of a Set by one goroutine, and of
//     the append to the log within it, which is all that they have in common; then 8 goroutines on
//     as many processors, in as far as the machine has them, and the share of their time in which
//     they wait for locks.
//
// But for failovers, a replica takes one full copy, when it first attaches; after each line its keys
// are compared with the master's by digest. A further full copy, or a difference,
// ends the command with status 1.
//
// # A peer
//
// With -peer the lines are measured in turns, a run of Ember and a run of the server, and
// stand beside each other, with how many times better Ember's median is. Keys, values and
// definitions are the same. What differs is said in README.md: the server's clients are on the far end
// of a connection, Ember's writers in the master's process. A server that is not on PATH is left out,
// and the command says so.
//
// # The column for Redis
//
// Without -peer there is a column of figures from elsewhere. It
// holds what redis 7.0.15 did on a machine of the same kind (2 cores, Linux
// 6.18) on 2026-11-21, with these definitions, the best of its modes for each line.
// It was not measured in this run, and another machine makes it meaningless; see
// reference.go for what stands behind each figure.
//
// Sizes without -short: 5 million keys, 2 million writes a run, 20,000 writes of lag
// a run, 5 runs; about a quarter of an hour and 3 GB, and with a peer twice as long. With -short everything
// is small and the figures mean little: it shows that the benchmark works.
//
// # Reading order
//
//   - main.go (what can be set), lines.go (which lines there are, and what measures each), bench.go (a run)
//   - a file for each line, named after it: writes.go, sync.go, lag.go, chain.go, catchup.go, failover.go,
//     disk.go, cost.go, costwriters.go. A line starts a group, has its nodes do something, and
//     adds what that gave to a series.
//   - the group: group.go (a master and its replicas), member.go (a node as the benchmark sees it, in a process
//     of its own or not), place.go (where, and by what they talk)
//   - the node, what a member can be asked for: node.go (its role, and how it stands), nodeload.go (writes as fast as
//     they go), nodeopenloop.go and nodenap_*.go (writes at a rate), nodeguarded.go (sentinels), nodecut.go (the link to cut);
//     what its process uses: usememory.go, usecpu_*.go
//   - the peer: peer.go (a server), peergroup.go, then a file for each line as above, with peer before its name;
//     peerload.go, peeropenloop.go, peerproxy.go (the link to cut), peerresp.go (what it speaks)
//   - what is common to both: data.go (keys and values), latency.go, table.go (what is printed), reference.go (the column
//     for Redis)
//
// A new line is a function in a file of its own and an entry in lines.go, with the peer's beside it if it has one; its rows are
// named in table.go.
package main
