// Package ember is the root of a library for data that every instance of a
// service should hold: a key-value store in memory, and the machinery that keeps
// copies of it on other machines. Programs import its packages:
//
//	kv             the store
//	repl           master and replica, over pluggable transports
//	repl/sentinel  watches a group, and replaces a master that is gone
//	repl/repltest  groups on a network that cuts, stalls and flips bits, for tests
//	rdb            the snapshot stream, and the files of a journal
//	backlog        the log, positions and histories
//
// # One log, many readers
//
// Every write becomes one record in the store's log. A record's place is its byte
// offset; within a history an offset never means two things. Whatever follows the
// store reads that one log, at its own offset and its own pace. A replica that has
// the same history holds the same bytes at the same offset, at every depth of a
// chain. That makes a partial resync, a read-your-writes token and the comparison
// of two nodes the same question: is this position in your log?
//
// # How a Set travels
//
//	kv.Store.Set         hashes the key and sums the entry, then locks the key's shard
//	  rdb.PutEntry       encodes the entry into the shard's arena; never again
//	  backlog.Log.Append asks the gate, copies the bytes to the log's end
//	  kv shard           points the key's slot at the entry: it can be read now
//	  backlog.Settler    waits for replicas, if the master was told to
//	repl feed            finds the bytes in the log, frames them, writes them out
//	repl session         reads the frame, checks offset and checksum
//	  kv.Store.Apply     appends the same bytes to its log, then applies them
//	repl feed            for the replica's own followers: the same once more
//	repl session         acks what was applied; Master.Wait returns
//	kv hub               on every node with watchers: decodes the record once
//	                     for all, and wakes those whose keys it is about
//
// # What it promises
//
// Each promise names tests that break when it does; simulated hours look for ways to break P1
// to P6, P9 and P10 that nobody thought of (internal/sim: TestSim), and the bugs in
// .ci/museum, put back one by one, show that the tests would fail.
//
//   - P1 Prefix. A replica's state is the state after some prefix of its master's
//     history: no gap, nothing that no master accepted
//     (repl: TestCutAtEveryByte, TestHundredCuts, TestManglingLinks; kv: TestModel,
//     TestGroupIsTheModel). A transaction is in it whole or not at all, for every reader
//     (kv: TestReadersSeeWholeBatches, TestReadsAreLinearizable, TestBank).
//   - P2 Forward. Within a history a replica's offset never goes back. A full copy
//     takes the place of the old state at once; until then the old state serves
//     (repl: TestOldDataAreServedUntilTheSwap, TestStoreServesUntilTheSwap; kv:
//     TestInterruptedCopyGoesOn).
//   - P3 Same place, same data. Two nodes at the same position hold the same keys.
//     A full copy is compared by count and digest before it is used, and a store that
//     stops following begins a new history (kv: TestCopyFromAFollower, TestLoadRefuses;
//     repl: TestUpstreamsThatLie, TestMasterOnFollowersStoreForks). A running hash of
//     the log before a position confirms it, where both ends know that (repl:
//     TestSameOffsetOtherBytes, TestUnconfirmed). Changes of role keep it, and cost no
//     copies among nodes of one history (repl: TestPromote,
//     TestPromoteWaitsForWhatIsApplied, TestSwitches, TestForkOfTheMaster,
//     TestMiddleOfAChain, TestFiveNodesReshuffled, TestFlapping). A node never follows
//     itself, whomever others are told to follow (repl: TestCycle,
//     TestEveryShapeOfFollowing).
//   - P4 Wait. When Master.Wait returns n, n replicas had applied the position; with
//     Options.Ack every write has waited in this way when it returns. Replicas are counted
//     by node, by the newest link of each, and only while the node is still the master
//     (repl: TestWaitCountsNodesThatApplied, TestWaitCountsWhatIsApplied, TestLateAck,
//     TestWaitWhileReplicasComeAndGo, TestAcksThatLie, TestAck, TestAckOfAnotherTime,
//     TestNothingCountsOnceFenced, TestNothingCountsWithoutALease; kv: TestSettlerOfBefore).
//   - P5 Nothing is lost in silence. When an old master comes back as a follower, what
//     only it had is counted, and handed to the program before it is dropped (kv:
//     TestLostTail; repl: TestLostTailIsCounted). If it concerns few keys, it costs only
//     these and no full copy, all or nothing (kv: TestRepair, TestRepairShowsAtOnce; repl:
//     TestFailoverWithoutFullCopies, TestRepairCutAtEveryByte, TestLiesInARepair). With
//     Options.MinReplicas, whenever a write is let in, that many replicas have applied all
//     that was written up to MaxLag before: a failover to the one that has most loses no
//     more (repl: TestLossIsBounded, TestFrozenReplicas, TestGateOneWay,
//     TestStoreWithoutReplicas).
//   - P6 One writer an epoch. Every history is written in an epoch that one node has
//     begun. A node that knows of a higher one takes no writes and follows no lower one, so
//     if somebody has made two masters, the higher stays as soon as they hear of each other
//     (repl: TestMasterStepsDown, TestEpochsByWire, TestReplicaRefusesLowerEpochs,
//     TestFramesOfALowerEpoch, TestConcurrentPromotions). A handover never has two writers,
//     whatever goes wrong and when, loses nothing, and costs no copies (repl: TestHandover,
//     TestHandoverFaults, TestOrdersByWire; kv: TestPausedWritesGoOn). A master that
//     sentinels have leased the right to write takes writes only while grants of a majority
//     last, each counted from before it was asked for; two nodes never write at once, even
//     with clocks that are wrong by 10 % either way (repl: TestLease, TestStamps,
//     TestLeaseCountsFromTheReport, TestLeasesDoNotOverlap, TestFenced).
//   - P7 Crash safety. What was acknowledged as durable is there after a crash at any
//     moment, with what came before it; files that are damaged otherwise are refused, and a
//     disk that fails is reported (kv: TestCrashAtEveryByte, TestEveryOperationFails,
//     TestFlippedBits, TestFailedSyncIsFinal). A node on disk goes on after a kill without
//     a full copy, and so do its followers (examples/durable: TestKills).
//   - P8 Bounded resources. A follower costs its upstream one chunk of the log and
//     a few frames, however slow it is, and no writer waits for it. Followers that need
//     copies share passes over the state, at most MaxSyncs at once, within SyncRate bytes
//     a second; repairs have the same bounds; of those who connect, MaxHandshakes are
//     heard at once. No length that a peer sends is trusted before the bytes are there;
//     before the handshake is over a peer can make a node hold 1 KiB, for 5 seconds, and a
//     crowd from one address keeps out nobody from another (repl: TestSlowReader,
//     TestWritersDoNotWaitForTheSlow, TestHerd, TestHerdCostsLittle, TestRepairsTakeTurns,
//     TestSyncRate, TestLengthsThatLie, TestStrangerHoldsLittle, TestStrangerCostsLittle,
//     TestSilentStrangers, TestCrowdAtTheDoor, TestBruteForce, TestAskersThatLie,
//     TestFloodOfOrders, TestFloodOfCalls, TestBoard; kv:
//     TestSmallRecordsAreNotMultiplied).
//   - P9 Healing. When a network heals, all nodes converge without help, within three
//     times Options.Timeout for each link from the master down, and the time to send what
//     is missing (repl: TestSwizzle, TestHalfOpen, TestCopyOverSlowLink; repl/repltest:
//     TestGroupsConverge).
//   - P10 Clean end. After Close no goroutine, connection or timer is left
//     (repl: TestCloseInEveryPhase; every test in virtual time).
//   - Where there are secrets, nobody who knows none gets or gives anything, or can read,
//     change or repeat what others say; a change of secret costs no link (repl: TestSecrets,
//     TestNothingIsSaidBeforeTheProof, TestEditedHandshake, TestReplay, TestCrossedSessions,
//     TestFramesOfASealedLink, TestSecretsOverTLS, TestChangeOfSecret).
//   - Watchers are handed every change of the keys that they watch, in order, on any
//     node, or are told why not and begin again; none of them holds up a writer, or
//     memory (kv: TestWatchInOrder, TestWatchResumesAnywhere, TestWatchResets,
//     TestWatchStuck).
//
// # What it does not promise
//
// Reads on a replica are not linearizable: they may be old, unless the reader
// waits for a position. A write that nobody waited for may die with its master. There is
// one writer, because the program or its sentinels say so. A store of kv.New is only in
// memory; one of kv.Open is on disk as its options say, and by default a power failure may
// take the last second.
package ember
