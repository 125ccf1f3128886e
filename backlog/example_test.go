package backlog_test

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/emberkv/ember/backlog"
)

// A store appends a record for each write, and whoever follows it reads the log
// from an offset of its own.
func Example() {
	l := backlog.NewLog(nil)
	for _, write := range []string{"a=1", "b=2", "a=3"} {
		if _, err := l.Append(backlog.AppendRecord(nil, []byte(write))); err != nil {
			fmt.Println(err)
		}
	}
	r, err := l.NewReader(0)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer r.Close()
	records, _ := r.Next(l.End())
	for len(records) > 0 {
		var payload []byte
		payload, records, _ = backlog.CutRecord(records)
		fmt.Printf("%s\n", payload)
	}
	fmt.Println("the log ends at", r.Offset())
	// Output:
	// a=1
	// b=2
	// a=3
	// the log ends at 12
}

// A replica appends what it received at the very same position; anything else
// is refused.
func ExampleLog_AppendAt() {
	master := backlog.NewLog(nil)
	replica := backlog.NewLogAt(master.Lineage(), 0, nil)

	at := master.Position()
	records := backlog.AppendRecord(nil, []byte("a=1"))
	master.Append(records)
	fmt.Println(replica.AppendAt(at, records), replica.Position() == master.Position())
	fmt.Println(errors.Is(replica.AppendAt(at, records), backlog.ErrPosition))
	// Output:
	// <nil> true
	// true
}

// When a replica is promoted it begins a history of its own where it stands.
func ExampleLog_Fork() {
	l := backlog.NewLog(nil)
	l.Append(backlog.AppendRecord(nil, []byte("a=1")))
	before := l.Position()
	after := l.Fork(backlog.NewHistory())
	fmt.Println(before.Offset == after.Offset, before.History == after.History)
	fmt.Println(l.Lineage().Knows(before.History))
	// Output:
	// true false
	// true
}

// The window is bounded by bytes; what it has given up can only be had by a full
// copy.
func ExampleOptions() {
	l := backlog.NewLog(&backlog.Options{MaxBytes: 1000})
	record := backlog.AppendRecord(nil, make([]byte, 99))
	for range 50 {
		l.Append(record)
	}
	_, err := l.NewReader(0)
	fmt.Println(err)
	// Output:
	// backlog: offset is no longer held
}

func ExampleWindow() {
	l := backlog.NewLog(&backlog.Options{MaxBytes: 1000})
	record := backlog.AppendRecord(nil, make([]byte, 99))
	for range 50 {
		l.Append(record)
	}
	w := l.Window()
	fmt.Printf("%d to %d, at most %d bytes\n", w.First, w.End, w.Max)
	// Output:
	// 4000 to 5000, at most 1000 bytes
}

// A follower takes what is there, and sleeps until there is more.
func ExampleReader() {
	l := backlog.NewLog(nil)
	r, _ := l.NewReader(l.End())
	defer r.Close()
	go l.Append(backlog.AppendRecord(nil, []byte("hello")))

	for {
		records, err := r.Next(math.MaxInt64)
		switch {
		case errors.Is(err, backlog.ErrTrimmed), errors.Is(err, backlog.ErrReset):
			fmt.Println("start over with a full copy")
			return
		case records != nil:
			payload, _, _ := backlog.CutRecord(records)
			fmt.Printf("%s\n", payload)
			return
		}
		if err := r.Wait(context.Background()); err != nil {
			return
		}
	}
	// Output:
	// hello
}

// Ready takes part in a select, beside heartbeats and time-outs.
func ExampleReader_Ready() {
	l := backlog.NewLog(nil)
	r, _ := l.NewReader(0)
	defer r.Close()
	quit := make(chan struct{})
	close(quit)
	select {
	case <-r.Ready():
		fmt.Println("there is something to read")
	case <-quit:
		fmt.Println("nothing came")
	}
	// Output:
	// nothing came
}

// A history has a text form of 32 digits.
func ExampleHistory() {
	h, err := backlog.ParseHistory("00112233445566778899aabbccddeeff")
	fmt.Println(h, err, h.IsZero())
	fmt.Println(backlog.NewHistory() == h)
	// Output:
	// 00112233445566778899aabbccddeeff <nil> false
	// false
}

// A position travels as text: as a header, a cookie or a field of JSON.
func ExamplePosition() {
	p, err := backlog.ParsePosition("00112233445566778899aabbccddeeff-1024")
	fmt.Println(p.Offset, err)
	fmt.Println(p)
	_, err = backlog.ParsePosition("1024")
	fmt.Println(errors.Is(err, backlog.ErrText))
	// Output:
	// 1024 <nil>
	// 00112233445566778899aabbccddeeff-1024
	// true
}

// Two nodes were promoted at the same time. They hold the same records up to
// where the first of them left the history that both were in.
func ExampleLineage_Common() {
	old := backlog.Lineage{Current: backlog.NewHistory()}
	a := old.Fork(backlog.NewHistory(), 1000)
	b := old.Fork(backlog.NewHistory(), 1200)
	common, ok := a.Common(5000, b, 6000)
	fmt.Println(common, ok)
	// Output:
	// 1000 true
}

func ExampleLineage() {
	l := backlog.NewLog(nil)
	l.Append(backlog.AppendRecord(nil, make([]byte, 99)))
	l.Fork(backlog.NewHistory())
	l.Append(backlog.AppendRecord(nil, make([]byte, 99)))

	b, _ := l.Lineage().AppendBinary(nil)
	lineage, _, err := backlog.CutLineage(b, l.End())
	fmt.Println(len(b), err)
	fmt.Println(lineage.At(50).Current == lineage.Earlier[0].History)
	// Output:
	// 65 <nil>
	// true
}

func ExampleFork() {
	l := backlog.NewLog(nil)
	l.Append(backlog.AppendRecord(nil, make([]byte, 99)))
	first := l.Position().History
	l.Fork(backlog.NewHistory())
	f := l.Lineage().Earlier[0]
	fmt.Println(f.History == first, f.End)
	// Output:
	// true 100
}

// The old master comes back with a record that nobody else has.
func ExampleRefusal() {
	old := backlog.NewLog(nil)
	old.Append(backlog.AppendRecord(nil, []byte("a=1")))
	promoted := backlog.NewLogAt(old.Lineage(), old.End(), nil)
	promoted.Fork(backlog.NewHistory())
	_, refusal := promoted.Continue(old.Lineage(), old.End())
	fmt.Println(refusal)

	old.Append(backlog.AppendRecord(nil, []byte("a=2")))
	_, refusal = promoted.Continue(old.Lineage(), old.End())
	fmt.Println(refusal)
	// Output:
	// accepted
	// ahead of the fork
}

// A gate says who may write, and its error is the writer's.
func ExampleGate() {
	l := backlog.NewLog(nil)
	readOnly := errors.New("this node is a replica")
	l.SetGate(func() error { return readOnly })
	_, err := l.Append(backlog.AppendRecord(nil, []byte("a=1")))
	fmt.Println(err)
	// Output:
	// this node is a replica
}

// While a gate holds writes up, they wait outside all locks.
func ExamplePausedError() {
	l := backlog.NewLog(nil)
	resume := make(chan struct{})
	l.SetGate(func() error { return &backlog.PausedError{Resume: resume} })
	_, err := l.Append(backlog.AppendRecord(nil, []byte("a=1")))
	go func() {
		l.SetGate(nil)
		close(resume)
	}()
	var paused *backlog.PausedError
	if errors.As(err, &paused) {
		<-paused.Resume
		_, err = l.Append(backlog.AppendRecord(nil, []byte("a=1")))
	}
	fmt.Println(err, l.End())
	// Output:
	// <nil> 4
}

// A settler lets a write wait until others have it, outside all locks.
func ExampleSettler() {
	l := backlog.NewLog(nil)
	l.SetSettler(func(end int64) error {
		fmt.Println("waiting for acknowledgements of", end)
		return nil
	})
	settle := l.Settler() // before the write: whoever sets another one later knows nothing of it
	end, _ := l.Append(backlog.AppendRecord(nil, []byte("a=1")))
	fmt.Println(settle(end))
	// Output:
	// waiting for acknowledgements of 4
	// <nil>
}
