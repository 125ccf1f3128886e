package main

// What the reference column holds, and since when.
const (
	referenceName = "redis 7.0.15"
	referenceDate = "2026-11-21"
)

// reference holds what Redis did for each row: line, then measure. Medians of
// five runs (nine for catchup) on 2 cores (Xeon, KVM), 24 GiB, Linux 6.18, all
// processes on the same two cores, RDB compression as it is by default.
//
//   - writes: 8 connections with 128 SETs in flight each, until WAIT says that all
//     replicas have acknowledged the last one. Its client is a process of its own.
//   - sync time: diskless on both ends, its fastest mode. From REPLICAOF until the
//     replica has the master's offset of the moment when the link came up.
//   - sync latency and memory: by way of the disk, the mode in which its tail is
//     shortest; memory is the master's and what its child copied on write.
//   - lag: SET and WAIT 1 sent together.
//   - catchup/blip: CLIENT KILL TYPE replica and 1000 SETs in one transaction, from
//     its sending on. catchup/second: from the return of a proxied link on; most of it
//     is Redis' timer of one second between two tries.
//   - failover: Redis Sentinel, down-after-milliseconds 1000.
var reference = map[string]map[string]float64{
	"writes/0":  {rowRate: 612_700},
	"writes/1":  {rowRate: 445_700},
	"writes/2":  {rowRate: 383_700},
	"writes/4":  {rowRate: 241_000},
	"sync/idle": {rowCaughtUp: 6.57},
	"sync/loaded": {
		rowCaughtUp:          8.86,
		rowBefore + " p50":   105,
		rowBefore + " p99":   289,
		rowBefore + " p99.9": 1398,
		rowBefore + " max":   2216,
		rowDuring + " p50":   98,
		rowDuring + " p99":   1486,
		rowDuring + " p99.9": 16751,
		rowDuring + " max":   26084,
		rowResident:          1094,
		rowMasterPeak:        1797,
	},
	"lag/processes":  {rowAck + " p50": 77, rowAck + " p99": 171, rowAck + " p99.9": 402},
	"catchup/blip":   {rowFromBreak: 5.3},
	"catchup/second": {rowFromReturn: 853},
	"failover/1s":    {rowFirstWrite: 1370},
}
