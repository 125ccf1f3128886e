// Package repltest is a network that breaks on command, and whole groups of nodes on
// it, for tests of package repl and of programs that use it.
//
// [New] makes a [Group] from a [Topology], in a testing/synctest bubble, so that hours
// take seconds. Its machines are the program's, and its nodes the real ones:
//
//	synctest.Test(t, func(t *testing.T) {
//		g := repltest.New(t, repltest.Topology[*kv.Store]{
//			Seats:   repltest.Chain("a", "b", "c"),
//			Machine: func(name string) *kv.Store { return kv.New(nil) },
//		}, seed)
//		g.WaitEqual()
//		g.Network.Link("a", "b").HalfOpen()
//		g.Member("a").Machine().Set("key", value)
//		g.Member("a").Kill()
//		g.Member("b").Promote()
//		g.Member("a").Restart("b")
//		g.WaitEqual()
//	})
//
// A failure says where each member stands and, at the end, the seed.
//
// A [Network] needs no group, and no bubble. It connects hosts within the process.
// Each node of a test gets its own view of it, which is a repl.Transport:
//
//	net := repltest.NewNetwork(seed)
//	defer net.Close()
//	listener, err := net.Host("master").Listen("master")
//	go master.Serve(listener)
//	replica, err := repl.NewReplica(store, "master", &repl.Options{Transport: net.Host("replica")})
//	go replica.Run(ctx)
//
// Because a host's transport knows who dials, the test can name what lies
// between two of them, and break it:
//
//	net.SetDelay(time.Millisecond, 200*time.Microsecond) // everywhere
//	net.Link("replica", "master").Cut()                  // both get a reset
//	net.Link("replica", "master").OneWay().Blackhole()   // acks vanish, data pass
//	net.Link("replica", "master").OneWay().CutNext(117)  // the next one dies after 117 bytes
//	net.Around("master").Stall()                         // clogged: late, not lost
//	net.Between(minority, majority).Blackhole()          // a partition
//	net.HealAll()
//
// # Faults
//
//	both ends get an error         Cut, CutNext                   Link, Conn
//	bytes vanish, no error         HalfOpen, Blackhole            Link, Conn
//	bytes arrive late              Stall, PauseAll, Swizzle       Link, Conn, Host, Network
//	bytes arrive wrong             Flip, FlipNext, Duplicate, Swap
//	connections cannot be made     Refuse, Hang
//	a link that is merely bad      SetDelay, SetBandwidth, SetWindow, SetChop
//
// The second and the third differ as a firewall that has forgotten a connection
// differs from a cable that is plugged in again.
//
// A process that is stopped, for the length of a garbage collection or by SIGSTOP, is
// [Host.Stall] to its peers. Its own goroutines and timers go on: no bubble can hold
// them. A test can hold a machine by making its Apply, Dump or Load wait, for a channel
// or a timer, not for a mutex, which a bubble does not see through.
//
// # What a connection is
//
// Both directions are queues of bytes that are due at some instant, bounded by a
// window: a writer blocks when what was written and not yet read fills it, even
// when the bytes vanish, like a real writer that is never acknowledged. News of
// a closed end travels as fast as the link: the peer reads what was sent before,
// then io.EOF, and its writes fail with syscall.EPIPE. Reset connections return
// syscall.ECONNRESET at once, and what was not read is gone. Deadlines,
// half-closing (CloseWrite) and concurrent calls work as they do with TCP;
// [CheckTransport] makes sure, and can be used on any other transport.
//
// # Time, and runs that repeat
//
// Nothing here runs on its own: there are queues, conditions and timers, and no
// goroutine. So a network works in real time, and on the virtual time of
// testing/synctest, where an hour of heartbeats takes milliseconds.
//
// There, a run repeats exactly from its seed if the test does its part. Every
// direction of every connection draws from its own random numbers, derived from
// the seed and the names of its hosts, and its bytes are due at instants that no
// other connection has (of up to 32 hosts and 4 dials in a row between two;
// beyond that some coincide). Goroutines that wake at one instant run in any
// order, so the test should have a delay on every link, start its nodes' timers
// at different instants, and let nothing depend on who got a lock first.
// [Network.Trace] tells whether two runs were the same.
//
// With the race detector let bubbles run on one processor (go test -race -cpu 1): two that run
// timers of one bubble at once make it crash, up to Go 1.26 at least
// (https://go.dev/issue/78156). It finds races on one, too: it looks at what is ordered, not
// at what ran at once.
//
// The files in the order in which bytes pass through them: network.go, host.go
// (dials), conn.go, endpoint.go (what a node holds), stream.go and mangler.go
// (what becomes of the bytes), schedule.go (when they arrive); direction.go,
// link.go, shape.go and fault.go for what breaks; swizzle.go, record.go,
// stats.go; check.go for other transports. Groups: topology.go, group.go, member.go.
package repltest
