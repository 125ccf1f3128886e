package backlog_test

import (
	"errors"
	"fmt"
	"math"

	"github.com/emberkv/ember/backlog"
)

// A tape is an Archive that has the log from its beginning. It is not written to any more,
// so whoever wants may read it.
type tape struct{ bytes []byte }

func (t *tape) First() (int64, bool) { return 0, len(t.bytes) > 0 }

func (t *tape) Open(offset int64) (backlog.Past, error) {
	if offset > int64(len(t.bytes)) {
		return nil, backlog.ErrTrimmed
	}
	return &tapeReader{rest: t.bytes[offset:], sum: backlog.Sum{}.Add(t.bytes[:offset])}, nil
}

// A tapeReader is a Past that hands out a record at a time.
type tapeReader struct {
	rest []byte
	sum  backlog.Sum
}

func (r *tapeReader) Sum() backlog.Sum { return r.sum }

func (r *tapeReader) Next() ([]byte, error) {
	if len(r.rest) == 0 {
		return nil, backlog.ErrAhead // the log has what follows
	}
	_, rest, err := backlog.CutRecord(r.rest)
	if err != nil {
		return nil, err
	}
	record := r.rest[:len(r.rest)-len(rest)]
	r.rest = rest
	return append([]byte(nil), record...), nil // the caller's
}

func (r *tapeReader) Close() error { return nil }

// A follower that is far behind is given from the archive what the log does not hold any
// more, and the rest from the log.
func ExampleArchive() {
	l, t := backlog.NewLog(&backlog.Options{MaxBytes: 1000}), &tape{}
	record := backlog.AppendRecord(nil, make([]byte, 99))
	for range 50 {
		if _, err := l.Append(record); err != nil {
			fmt.Println(err)
			return
		}
		t.bytes = append(t.bytes, record...)
	}
	_, refusal := l.Continue(l.Lineage(), 1000)
	fmt.Println(refusal)

	l.EndReader().SetArchive(t)
	w := l.Window()
	fmt.Println("in memory from", w.First, "in all from", w.Archived)
	r, refusal := l.Continue(l.Lineage(), 1000)
	if refusal != backlog.Accepted {
		fmt.Println(refusal)
		return
	}
	defer r.Close()
	for r.Offset() < l.End() {
		if _, err := r.Next(math.MaxInt64); err != nil {
			fmt.Println(err)
			return
		}
	}
	fmt.Println("read up to", r.Offset())
	// Output:
	// trimmed
	// in memory from 4000 in all from 0
	// read up to 5000
}

// What the log asks of a Past: whether the follower has the same bytes up to where it
// begins, and then records, until there are no more.
func ExamplePast() {
	t := &tape{}
	for _, write := range []string{"a=1", "b=2", "a=3"} {
		t.bytes = backlog.AppendRecord(t.bytes, []byte(write))
	}
	past, err := t.Open(4)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer past.Close()
	fmt.Println(past.Sum() == backlog.Sum{}.Add(backlog.AppendRecord(nil, []byte("a=1"))))
	for {
		records, err := past.Next()
		if err != nil {
			fmt.Println(errors.Is(err, backlog.ErrAhead))
			return
		}
		payload, _, _ := backlog.CutRecord(records)
		fmt.Printf("%s\n", payload)
	}
	// Output:
	// true
	// b=2
	// a=3
	// true
}
