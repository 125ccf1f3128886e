package backlog_test

import (
	"fmt"

	"github.com/emberkv/ember/backlog"
)

// A backup sums what it reads, record by record, and compares that with the log's own sum.
func ExampleSum() {
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
	var sum backlog.Sum // of the log from offset 0 on
	for r.Offset() < l.End() {
		record, err := r.Next(r.Offset() + 4)
		if err != nil {
			fmt.Println(err)
			return
		}
		sum = sum.Add(record)
	}
	whole, err := l.Sum(l.End())
	fmt.Println(sum == whole, err)
	// Output: true <nil>
}

// What a log says of three followers at offset 4, and what their upstream then does.
func ExampleConfirmation() {
	l := backlog.NewLog(nil)
	if _, err := l.Append(backlog.AppendRecord(nil, []byte("a=1"))); err != nil {
		fmt.Println(err)
	}
	for _, theirs := range []backlog.Sum{
		backlog.Sum{}.Add(backlog.AppendRecord(nil, []byte("a=1"))),
		backlog.Sum{}.Add(backlog.AppendRecord(nil, []byte("a=2"))),
		{From: 4}, // of one that does not know what was before
	} {
		switch l.Confirm(4, theirs) {
		case backlog.Confirmed:
			fmt.Println("goes on with the log")
		case backlog.Differs:
			fmt.Println("gives it a full copy")
		case backlog.Unknown:
			fmt.Println("believes the lineage")
		}
	}
	// Output:
	// goes on with the log
	// gives it a full copy
	// believes the lineage
}
