package kv_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/emberkv/ember/kv"
)

// A health check asks whether the disk takes what is written and how much is in no snapshot
// yet, and hands the status on as JSON.
func ExampleDiskStatus() {
	dir, _ := os.MkdirTemp("", "ember")
	defer os.RemoveAll(dir)
	s, err := kv.Open(dir, &kv.Options{Durability: kv.Durability{Fsync: kv.FsyncAlways}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	s.Set("user:1", []byte("Ada"))
	d, _ := s.Disk() // false for a store in memory
	fmt.Println("healthy:", d.Failing == "" && d.SaveErr == "", "unsaved:", d.Unsaved)

	s.Save(context.Background())
	d, _ = s.Disk()
	fmt.Println("unsaved:", d.Unsaved, "snapshots:", d.Snapshots, d.Saved == s.Position())

	text, _ := json.Marshal(d)
	var told kv.DiskStatus // whoever watches over the node
	err = json.Unmarshal(text, &told)
	fmt.Println(told == d, err)
	// Output:
	// healthy: true unsaved: 1
	// unsaved: 0 snapshots: 2 true
	// true <nil>
}

// A folder that is as small as can be: short files, none that a restart does not need, and
// snapshots when the program says so.
func ExampleDurability() {
	dir, _ := os.MkdirTemp("", "ember")
	defer os.RemoveAll(dir)
	s, err := kv.Open(dir, &kv.Options{Durability: kv.Durability{
		Fsync:        kv.FsyncAlways,
		SegmentBytes: 4 << 10,
		KeepBytes:    -1, // so a follower is served from memory alone
		SavePoints:   []kv.SavePoint{},
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	for range 9 {
		s.Set("page", make([]byte, 2000))
	}
	d, _ := s.Disk()
	fmt.Println("files of the journal:", d.Segments)
	s.Save(context.Background())
	s.Save(context.Background()) // the one before is kept, too, to go back to
	d, _ = s.Disk()
	fmt.Println("files of the journal:", d.Segments)
	// Output:
	// files of the journal: 5
	// files of the journal: 1
}

// The policy as a flag of the program. What is set under FsyncAlways is on disk when Set
// returns.
func ExampleFsync() {
	dir, _ := os.MkdirTemp("", "ember")
	defer os.RemoveAll(dir)
	opts := &kv.Options{}
	flags := flag.NewFlagSet("server", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.TextVar(&opts.Fsync, "fsync", kv.FsyncEverySecond, "when writes are synced: everysec, always or never")
	fmt.Println(flags.Parse([]string{"-fsync=sometimes"}))
	fmt.Println(flags.Parse([]string{"-fsync=always"}), opts.Fsync)

	s, err := kv.Open(dir, opts)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	s.Set("user:1", []byte("Ada"))
	fmt.Println(s.Synced() == s.Position())
	// Output:
	// invalid value "sometimes" for flag -fsync: kv: invalid argument: Fsync is "sometimes", want one of everysec, always and never
	// <nil> always
	// true
}

// A program follows its snapshots, and gives one up half-way: the one before stays.
func ExampleSaveProgress() {
	dir, _ := os.MkdirTemp("", "ember")
	defer os.RemoveAll(dir)
	ctx, giveUp := context.WithCancel(context.Background())
	opts := &kv.Options{}
	opts.OnSave = func(p kv.SaveProgress) {
		switch {
		case p.Err != nil:
			fmt.Println("given up:", errors.Is(p.Err, context.Canceled))
		case p.Done:
			fmt.Println("saved up to", p.Position.Offset)
		case p.Position.Offset > 0: // p.Bytes are written, of about p.Total
			giveUp()
		}
	}
	s, err := kv.Open(dir, opts) // saves the empty store that it makes
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	s.Set("k", []byte("v"))
	s.Save(ctx)
	s.Save(context.Background())
	// Output:
	// saved up to 0
	// given up: true
	// saved up to 5
}
