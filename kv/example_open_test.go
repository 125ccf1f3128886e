package kv_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/emberkv/ember/kv"
	"github.com/emberkv/ember/rdb"
)

// A store that a folder keeps goes on where it was closed.
func ExampleOpen() {
	dir, _ := os.MkdirTemp("", "ember")
	defer os.RemoveAll(dir)

	s, err := kv.Open(dir, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	s.Set("user:1", []byte("Ada"))
	before := s.Position()
	s.Close() // the error says whether all of it is on disk

	s, _ = kv.Open(dir, nil)
	defer s.Close()
	name, err := s.Get("user:1")
	fmt.Println(string(name), err, s.Position() == before)
	// Output: Ada <nil> true
}

// Under any policy, a program can wait until something is on disk.
func ExampleStore_Durable() {
	dir, _ := os.MkdirTemp("", "ember")
	defer os.RemoveAll(dir)
	s, _ := kv.Open(dir, &kv.Options{Durability: kv.Durability{Fsync: kv.FsyncNever}})
	defer s.Close()

	s.Set("invoice:7", []byte("paid"))
	err := s.Durable(context.Background(), s.Position())
	fmt.Println(err, s.Synced() == s.Position())
	// Output: <nil> true
}

// The journal's file is given up for a snapshot every hour in which there was a write, or
// after a minute with ten thousand.
func ExampleSavePoint() {
	opts := &kv.Options{Durability: kv.Durability{
		Fsync:           kv.FsyncAlways,
		SavePoints:      []kv.SavePoint{{After: time.Hour, Records: 1}, {After: time.Minute, Records: 10_000}},
		SaveCompression: rdb.S2,
	}}
	dir, _ := os.MkdirTemp("", "ember")
	defer os.RemoveAll(dir)
	s, err := kv.Open(dir, opts)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(s.Close())
	// Output: <nil>
}

func ExampleStore_Save() {
	dir, _ := os.MkdirTemp("", "ember")
	defer os.RemoveAll(dir)
	opts := &kv.Options{}
	opts.OnSave = func(p kv.SaveProgress) {
		if p.Done {
			fmt.Println("saved", p.Bytes > 0)
		}
	}
	s, _ := kv.Open(dir, opts) // saves the empty store that it makes
	defer s.Close()
	s.Set("k", []byte("v"))
	pos, err := s.Save(context.Background())
	fmt.Println(pos == s.Position(), err)
	// Output:
	// saved true
	// saved true
	// true <nil>
}

// What Open has found.
func ExampleRecovered() {
	dir, _ := os.MkdirTemp("", "ember")
	defer os.RemoveAll(dir)
	s, _ := kv.Open(dir, nil)
	s.Set("k", []byte("v"))
	s.Close()

	s, _ = kv.Open(dir, nil)
	defer s.Close()
	r := s.Recovered()
	fmt.Println("clean:", r.Clean, "forked:", r.Forked, "bytes of journal:", r.Journal)
	// Output: clean: true forked: false bytes of journal: 5
}

// A damaged folder is refused, and the error says where the damage is.
func ExampleCorruptError() {
	dir, _ := os.MkdirTemp("", "ember")
	defer os.RemoveAll(dir)
	s, _ := kv.Open(dir, nil)
	s.Set("k", []byte("v"))
	s.Close()
	names, _ := filepath.Glob(filepath.Join(dir, "snapshot-*"))
	b, _ := os.ReadFile(names[0])
	b[20] ^= 1
	os.WriteFile(names[0], b, 0o600)

	_, err := kv.Open(dir, nil)
	var damage *kv.CorruptError
	fmt.Println(errors.As(err, &damage), errors.Is(err, kv.ErrCorrupt), damage.Offset)
	// Output: true true 12
}

// What a program does with a write that stands but is not on disk.
func ExampleNotDurableError() {
	write := func(s *kv.Store) error {
		err := s.Set("k", []byte("v"))
		if late := (*kv.NotDurableError)(nil); errors.As(err, &late) {
			// It was written, here. Wait until the disk has it, or answer that it may be lost.
			return s.Durable(context.Background(), late.Position)
		}
		return err // nil, or nothing was written: try again after an ErrDisk
	}
	s := kv.New(nil)
	defer s.Close()
	fmt.Println(write(s))
	// Output: <nil>
}

// See how a store stands to its disk: as a status to marshal, or as lines for whoever reads
// Redis' INFO.
func ExampleStore_Disk() {
	dir, err := os.MkdirTemp("", "ember")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	s, err := kv.Open(dir, &kv.Options{Durability: kv.Durability{Fsync: kv.FsyncAlways}})
	if err != nil {
		panic(err)
	}
	defer s.Close()
	s.Set("user:1", []byte("Ada"))
	d, _ := s.Disk()
	fmt.Println(d.Fsync, d.Unsaved, d.Waiting, d.Synced == s.Position())
	for line := range strings.Lines(d.Info()) {
		if strings.HasPrefix(line, "aof_last_write_status") {
			fmt.Print(line)
		}
	}
	// Output:
	// always 1 0 true
	// aof_last_write_status:ok
}
