package rdb_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/kv"
	"github.com/emberkv/ember/rdb"
)

// position is where the states of the examples stand.
var position = backlog.Position{History: backlog.History{0: 0xe1, 15: 0x1e}, Offset: 4096}

func lineageOf(p backlog.Position) backlog.Lineage { return backlog.Lineage{Current: p.History} }

// tinySnapshot writes a state of two entries in one shard.
func tinySnapshot(w io.Writer) error {
	sw, err := rdb.NewWriter(w, rdb.Header{
		Position:      position,
		Lineage:       backlog.Lineage{Current: position.History},
		Shards:        1,
		RecordVersion: rdb.RecordVersion,
	})
	if err != nil {
		return err
	}
	block := &rdb.Block{Shard: 0, First: true, Last: true, At: position.Offset}
	footer := rdb.Footer{Position: position}
	for _, kv := range [][2]string{{"color", "red"}, {"shape", "round"}} {
		key, value := kv[0], []byte(kv[1])
		record := make([]byte, rdb.EntrySize(len(key), len(value), 0))
		rdb.PutEntry(record, key, value, 0)
		block.Data = append(block.Data, record...)
		block.Count++
		block.Keys++
		footer.Keys++
		footer.Sum += rdb.EntrySum(key, value, 0)
	}
	if err := sw.WriteBlock(block); err != nil {
		return err
	}
	return sw.Close(footer)
}

// Keep a store's state in a file, and read it there without a store.
func Example() {
	dir, err := os.MkdirTemp("", "rdb")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "store.rdb")

	store := kv.New(nil)
	defer store.Close()
	store.Set("color", []byte("red"))
	snapshot, err := store.Snapshot()
	if err != nil {
		log.Fatal(err)
	}
	defer snapshot.Close()
	err = rdb.WriteFile(path, func(w io.Writer) error {
		_, err := snapshot.WriteTo(w)
		return err
	})
	if err != nil {
		log.Fatal(err)
	}

	file, err := os.Open(path)
	if err != nil {
		log.Fatal(err)
	}
	defer file.Close()
	r, err := rdb.NewReader(file)
	for err == nil {
		var block *rdb.Block
		if block, err = r.Next(); err != nil {
			break
		}
		for entry, err := range block.Entries() {
			fmt.Printf("%s = %s, %v\n", entry.Key, entry.Value, err)
		}
	}
	fmt.Println(err == io.EOF, r.Footer().Keys)
	// Output:
	// color = red, <nil>
	// true 1
}

func ExampleWriter() {
	var buf bytes.Buffer
	if err := tinySnapshot(&buf); err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%q, %d bytes\n", buf.Bytes()[:8], buf.Len())
	// Output: "EMBERRDB", 232 bytes
}

func ExampleReader() {
	var buf bytes.Buffer
	if err := tinySnapshot(&buf); err != nil {
		log.Fatal(err)
	}
	r, err := rdb.NewReader(&buf)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("a state at", r.Header().Position)
	for {
		block, err := r.Next()
		if err == io.EOF {
			break // and only now is what came before worth anything
		}
		if err != nil {
			log.Fatal(err)
		}
		for e, err := range block.Entries() {
			if err != nil {
				log.Fatal(err)
			}
			fmt.Printf("%s = %s\n", e.Key, e.Value)
		}
	}
	fmt.Println(r.Footer().Keys, "keys")
	// Output:
	// a state at e100000000000000000000000000001e-4096
	// color = red
	// shape = round
	// 2 keys
}

func ExampleReadError() {
	var buf bytes.Buffer
	if err := tinySnapshot(&buf); err != nil {
		log.Fatal(err)
	}
	stream := buf.Bytes()
	stream[150] ^= 1 // inside the block
	r, err := rdb.NewReader(bytes.NewReader(stream))
	if err != nil {
		log.Fatal(err)
	}
	_, err = r.Next()
	var re *rdb.ReadError
	if errors.As(err, &re) {
		fmt.Println(errors.Is(err, rdb.ErrChecksum), "in the part at byte", re.Offset)
	}
	// Output: true in the part at byte 118
}

func ExampleWriteFile() {
	dir, err := os.MkdirTemp("", "rdb")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "state.rdb")

	if err := rdb.WriteFile(path, tinySnapshot); err != nil {
		log.Fatal(err)
	}
	// A snapshot that fails half-way leaves the one before it in place.
	err = rdb.WriteFile(path, func(w io.Writer) error {
		io.WriteString(w, "half of a")
		return errors.New("out of ideas")
	})
	fmt.Println(err)
	b, err := os.ReadFile(path)
	fmt.Println(len(b), err)
	// Output:
	// rdb: write file: out of ideas
	// 232 <nil>
}

func ExampleEntry() {
	value := []byte("red")
	record := make([]byte, rdb.EntrySize(len("color"), len(value), 0))
	rdb.PutEntry(record, "color", value, 0)
	fmt.Printf("%q\n", record)

	e, size, err := rdb.CutEntry(record)
	fmt.Printf("%s = %s in %d bytes, %v\n", e.Key, e.Value, size, err)
	fmt.Println(e.Sum() == rdb.EntrySum("color", value, 0))
	// Output:
	// "\n\x01\x05colorred"
	// color = red in 11 bytes, <nil>
	// true
}

func ExampleHeader() {
	h := rdb.Header{
		Position:      position,
		Lineage:       backlog.Lineage{Current: position.History},
		Shards:        128,
		RecordVersion: rdb.RecordVersion,
	}
	body := rdb.AppendHeader(nil, h)
	got, err := rdb.ParseHeader(body)
	fmt.Println(len(body), "bytes:", got.Shards, "shards at", got.Position, err)

	h.Shards = 100
	fmt.Println(h.Validate())
	// Output:
	// 97 bytes: 128 shards at e100000000000000000000000000001e-4096 <nil>
	// rdb: malformed snapshot: 100 shards, want a power of two up to 1024
}

func ExampleBlock() {
	// An empty shard is a block too, or its absence could not be told from a loss.
	b := &rdb.Block{Shard: 5, First: true, Last: true, At: 4096}
	body := rdb.AppendBlock(nil, b)
	got, err := rdb.ParseBlock(body)
	fmt.Println(len(body), "bytes: shard", got.Shard, "has", got.Keys, "keys at", got.At, err)
	// Output: 24 bytes: shard 5 has 0 keys at 4096 <nil>
}

func ExampleFooter() {
	body := rdb.AppendFooter(nil, rdb.Footer{Position: position, Keys: 2})
	f, err := rdb.ParseFooter(body)
	fmt.Println(f.Keys, "keys at", f.Position, err)
	// Output: 2 keys at e100000000000000000000000000001e-4096 <nil>
}

func ExampleShardSet() {
	var done rdb.ShardSet
	done.Add(3)
	done.Add(1023)
	fmt.Println(done.Has(3), done.Has(4), done.Has(1023))
	// Output: true false true
}

// A diskDump is a BlockWriter that writes a machine's dump to a file or any other
// sink. The machine must rest meanwhile: a stream stands for one position.
type diskDump struct {
	w      io.Writer
	stream *rdb.Writer
	shards chan int
}

func (d *diskDump) Begin(h rdb.Header) (err error) {
	d.shards = make(chan int, h.Shards)
	for i := range h.Shards {
		d.shards <- i
	}
	close(d.shards)
	d.stream, err = rdb.NewWriter(d.w, h)
	return err
}

func (d *diskDump) Next() (shard int, ok bool) {
	shard, ok = <-d.shards
	return shard, ok
}

func (d *diskDump) WriteBlock(b *rdb.Block) error { return d.stream.WriteBlock(b) }

func (d *diskDump) End(f rdb.Footer) error { return d.stream.Close(f) }

// dumpNothing is what a machine without entries does to be dumped.
func dumpNothing(w rdb.BlockWriter) error {
	err := w.Begin(rdb.Header{
		Position:      position,
		Lineage:       backlog.Lineage{Current: position.History},
		Shards:        4,
		RecordVersion: rdb.RecordVersion,
	})
	if err != nil {
		return err
	}
	for shard, ok := w.Next(); ok; shard, ok = w.Next() {
		if err := w.WriteBlock(&rdb.Block{Shard: shard, First: true, Last: true, At: position.Offset}); err != nil {
			return err
		}
	}
	return w.End(rdb.Footer{Position: position})
}

func ExampleBlockWriter() {
	var buf bytes.Buffer
	if err := dumpNothing(&diskDump{w: &buf}); err != nil {
		log.Fatal(err)
	}
	got, err := read(&buf)
	fmt.Println(len(got.blocks), "blocks,", got.footer.Keys, "keys,", err)
	// Output: 4 blocks, 0 keys, <nil>
}
