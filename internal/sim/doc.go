// Package sim holds the random simulation of whole groups: stores, nodes and clients on
// a network that breaks, an hour of virtual time for each seed. It is all test.
//
//	go test ./internal/sim                     # some seeds, and those of testdata/seeds.txt
//	go test ./internal/sim -sim.seeds 200      # as many
//	go test ./internal/sim -sim.seed 17 -v     # one, told step by step
//
// An hour is a row of episodes. In each, clients write on the master while links, nodes
// and roles are tampered with; then all is mended, the writers rest, and within the bound
// of [repltest.Group.HealBound] all must be at one position. What is checked on the way,
// and when it is quiet, is in ledger_test.go; an hour in which too little happened has failed.
//
// To add an operation, write a method of world and enter it in the list at the top of
// faults_test.go (what happens to links and processes, until it is mended) or of
// roles_test.go (what operators do, and what it must not cost). A seed that has found
// something is entered in testdata/seeds.txt, and is run ever after, but it repeats the
// same hour only as long as the lists stay as they are.
//
// The files: sim_test.go (the seeds, an hour), world_test.go (the group, the writers),
// faults_test.go, roles_test.go, ledger_test.go (the checks), tally_test.go (the floors).
package sim
