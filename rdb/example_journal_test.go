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

// A leftover is what a store leaves in its folder when it is closed.
type leftover struct {
	name    string // of the journal's only file
	journal []byte
	marker  []byte           // that it was closed
	at      backlog.Position // where it stood
}

// leave makes a store in a folder, lets write write to it and closes it.
func leave(write func(*kv.Store) error) (l leftover) {
	dir, err := os.MkdirTemp("", "rdb")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	s, err := kv.Open(dir, nil)
	if err != nil {
		log.Fatal(err)
	}
	err = write(s)
	l.at = s.Position()
	if err := errors.Join(err, s.Close()); err != nil {
		log.Fatal(err)
	}
	names, err := filepath.Glob(filepath.Join(dir, "journal-*.log"))
	if err != nil || len(names) != 1 {
		log.Fatal(names, err)
	}
	l.name = filepath.Base(names[0])
	if l.journal, err = os.ReadFile(names[0]); err != nil {
		log.Fatal(err)
	}
	if l.marker, err = os.ReadFile(filepath.Join(dir, "stopped")); err != nil {
		log.Fatal(err)
	}
	return l
}

// The name of a journal's file is part of its checksums: a file under another's name is found
// out.
func ExampleSegment() {
	l := leave(func(s *kv.Store) error { return s.Set("color", []byte("red")) })
	var name rdb.Segment
	if _, err := fmt.Sscanf(l.name, "journal-%x-%x.log", &name.Generation, &name.Sequence); err != nil {
		log.Fatal(err)
	}
	r, err := rdb.NewSegmentReader(bytes.NewReader(l.journal), name)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("a journal from offset", r.Header().Base)

	name.Sequence++
	_, err = rdb.NewSegmentReader(bytes.NewReader(l.journal), name)
	fmt.Println(errors.Is(err, rdb.ErrChecksum))
	// Output:
	// a journal from offset 0
	// true
}

// A file of a journal begins where the one before has ended. Its header has all that a log
// needs to go on from there.
func ExampleSegmentHeader() {
	before := backlog.NewLog(nil)
	if _, err := before.Append(backlog.AppendRecord(nil, []byte("a=1"))); err != nil {
		log.Fatal(err)
	}
	sum, err := before.Sum(before.End())
	if err != nil {
		log.Fatal(err)
	}
	lineage, own := before.Origin()
	name := rdb.Segment{Generation: 1, Sequence: 2}
	file := name.AppendHeader(nil, rdb.SegmentHeader{
		Base: before.End(), Synced: before.End(), Sum: sum,
		Origin: rdb.Origin{Lineage: lineage, Own: own}, RecordVersion: rdb.RecordVersion,
	})

	r, err := rdb.NewSegmentReader(bytes.NewReader(file), name)
	if err != nil {
		log.Fatal(err)
	}
	h := r.Header()
	after := backlog.NewLogAt(h.Origin.Lineage, h.Base, nil)
	err = after.SetSum(h.Base, h.Sum)
	fmt.Println(after.Position() == before.Position(), err)
	// Output: true <nil>
}

// What was written to a store, read from its journal without one.
func ExampleFrame() {
	l := leave(func(s *kv.Store) error {
		return errors.Join(s.Set("color", []byte("red")), s.Set("shape", []byte("round")))
	})
	r, err := rdb.NewSegmentReader(bytes.NewReader(l.journal), rdb.Segment{Generation: 1, Sequence: 2})
	if err != nil {
		log.Fatal(err)
	}
	for {
		f, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			log.Fatal(err)
		}
		for at := 0; f.Kind == rdb.FrameRecords && at < len(f.Body); {
			e, size, err := rdb.CutEntry(f.Body[at:]) // other records than puts are package kv's
			if err != nil {
				log.Fatal(err)
			}
			fmt.Printf("%d: %s = %s\n", f.Offset+int64(at), e.Key, e.Value)
			at += size
		}
	}
	// Output:
	// 0: color = red
	// 11: shape = round
}

// A store that was promoted between two writes. Its header, the first frame, is not among
// those that Next returns; marks may stand anywhere.
func ExampleFrameKind() {
	l := leave(func(s *kv.Store) error {
		err := s.Set("color", []byte("red"))
		s.Log().Fork(backlog.NewHistory())
		return errors.Join(err, s.Set("shape", []byte("round")))
	})
	r, err := rdb.NewSegmentReader(bytes.NewReader(l.journal), rdb.Segment{Generation: 1, Sequence: 2})
	for err == nil {
		var f rdb.Frame
		if f, err = r.Next(); err != nil {
			break
		}
		switch f.Kind {
		case rdb.FrameRecords:
			fmt.Println("records from", f.Offset)
		case rdb.FrameLineage:
			var o rdb.Origin
			o, err = rdb.ParseOrigin(f.Body, f.Offset)
			fmt.Println("another history from", f.Offset, "after", len(o.Lineage.Earlier))
		}
	}
	fmt.Println(err)
	// Output:
	// records from 0
	// another history from 11 after 1
	// records from 11
	// EOF
}

// After a crash a master begins a new history, since it may have told others of more than its
// disk has. A replica goes on in the one that it follows.
func ExampleOrigin() {
	master := backlog.NewLog(nil)
	replica := backlog.NewLogAt(master.Lineage(), 0, nil)
	for _, l := range []*backlog.Log{master, replica} {
		lineage, own := l.Origin()
		body := rdb.AppendOrigin(nil, rdb.Origin{Lineage: lineage, Own: own}) // into the journal

		o, err := rdb.ParseOrigin(body, l.End())
		if err != nil {
			log.Fatal(err)
		}
		again := backlog.NewLogAt(o.Lineage, l.End(), nil)
		if o.Own {
			again.Fork(backlog.NewHistory())
		}
		fmt.Println(again.Position() == l.Position())
	}
	// Output:
	// false
	// true
}

// A folder with a marker is that of a store that was closed, at the very position that the
// marker says.
func ExampleStop() {
	l := leave(func(s *kv.Store) error { return s.Set("color", []byte("red")) })
	stop, err := rdb.ParseStop(l.marker)
	fmt.Println(stop.Position == l.at, stop.Position.Offset, err)

	l.marker[30] ^= 1
	_, err = rdb.ParseStop(l.marker)
	fmt.Println(errors.Is(err, rdb.ErrChecksum))
	// Output:
	// true 11 <nil>
	// true
}
