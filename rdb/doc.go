// Package rdb holds the encoded form of a data set: of an entry, of a run of
// entries, and of a whole state, as a stream of bytes that is the same in a
// file and on a connection. It knows entries and shards, but no store.
//
// This is how a program without a store reads what kv.Snapshot has written:
//
//	r, err := rdb.NewReader(file)
//	for err == nil {
//		var block *rdb.Block
//		if block, err = r.Next(); err != nil {
//			break // io.EOF: the snapshot was whole
//		}
//		for entry, err := range block.Entries() {
//			fmt.Println(entry.Key, entry.Value, err)
//		}
//	}
//
// # Entries
//
// An [Entry] is encoded once in its life. [PutEntry] writes it as a record, and
// those bytes are what the log carries, what the store keeps in memory and what
// a snapshot consists of; [CutEntry] and [ParseEntry] read them. [EntrySum] is an
// entry's share of the digest of a state.
//
// # Snapshots
//
// A snapshot is a [Header], which says at which position of which history the
// state stands; then [Block] after block of entries; then a [Footer] with their
// number and sum. [Writer] writes one, [Reader] reads one:
//
//	+----------+--------+-------+-------+-- --+-------+--------+
//	| EMBERRDB | header | block | block | ... | block | footer |
//	| version  |        |       |       |     |       |        |
//	+----------+--------+-------+-------+-- --+-------+--------+
//	             each: type, length, CRC32C, body
//
// [NewCompressedWriter] writes compressed blocks; a Reader reads both kinds.
//
// Shards may come in any order and interleaved, so that several cores can encode
// at once; the blocks of one shard come in order. FORMAT.md specifies every byte.
//
// A link that interleaves a snapshot with the log frames the parts in its own way
// and uses only their bodies: [AppendHeader], [AppendBlock], [AppendFooter] and the
// functions that parse them. Over such a link a machine gives a state to a
// [BlockWriter], and takes one in with a [Loader].
//
// # What a reader may rely on
//
// [Reader.Next] returns io.EOF for a snapshot that is whole, bit for bit, and an
// error for everything else: a flipped bit, a missing end, a part that is lost,
// repeated or out of place, a number that does not add up. No value of a checksum
// means that there is none. No input from outside causes a panic, and no length
// makes a reader allocate more than 256 KiB before the bytes are there. Compressed
// bytes may stand for a thousand times as many: the size of an unpacked block is
// bounded by [MaxBlockBytes], and known before it is unpacked.
//
// Checksums find accidents. They do not stop an adversary, who can compute them:
// read snapshots only from those you trust with the data.
//
// # Files
//
// [WriteFile] replaces a file whole: after a crash at any moment the path holds
// the old snapshot or the new one.
//
// # Journals
//
// A journal is the log in files. A [Segment] is one of them, a run of frames. Each [Frame]
// says up to where the journal was synced when it was written, which is how a reader tells
// what a crash has left unfinished from what was damaged. [SegmentReader] reads a segment;
// FORMAT.md says what a folder of them means, and how a store is recovered from it.
//
// # What it costs
//
// By "go test -bench . ./rdb" on two cores of an EPYC, a virtual machine, 2026-11-22, one run:
// encoding an entry of 116 bytes takes 23 ns. A [Writer] takes 4.5 GB/s of blocks, for their
// checksums and a copy; a [Reader] gives 1.2 GB/s, each block in memory of its own. Compression
// costs more: S2 writes and reads 0.5 GB/s of entries, Zstandard writes 0.15 and reads 0.28.
//
// # Concurrency
//
// A [Writer] may be used by several goroutines, a [Reader] by one. The package
// starts no goroutine. Lock order: Writer.mu, held over the sink's Write; the lock
// of a Writer's encoders is a leaf.
//
// The files in the order in which the data pass through them: entry.go; block.go,
// header.go and footer.go (the bodies); part.go (their frame in a stream);
// compression.go and packed.go (compressed blocks); order.go (what may follow
// what); writer.go; source.go and reader.go (back again); file.go; frame.go, segment.go and
// stop.go (journals). machine.go holds the two ends of a full sync, repair.go what can
// replace one; errors.go says what can be wrong with bytes.
package rdb
