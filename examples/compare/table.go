package main

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// A column of a table is a measure of lines with one name, apart from the store.
type column struct {
	bench string // name/key=value..., without keys and store
	unit  string
	title string
	scale float64 // of the unit that is printed
}

// A table is the columns that belong together.
type table struct {
	title   string
	columns []column
}

var tables = []table{
	{"Time of one operation, ns, by goroutines", []column{
		{"Get/goroutines=1", "ns/op", "get, 1", 1},
		{"Get/goroutines=2", "ns/op", "get, 2", 1},
		{"Overwrite/goroutines=1", "ns/op", "overwrite, 1", 1},
		{"Overwrite/goroutines=2", "ns/op", "overwrite, 2", 1},
		{"Mix/goroutines=1", "ns/op", "95/5, 1", 1},
		{"Mix/goroutines=2", "ns/op", "95/5, 2", 1},
		{"Insert/goroutines=1", "ns/op", "insert, 1", 1},
		{"Insert/goroutines=2", "ns/op", "insert, 2", 1},
		{"Delete/goroutines=1", "ns/op", "delete, 1", 1},
		{"Delete/goroutines=2", "ns/op", "delete, 2", 1},
		{"Scan/goroutines=1", "ns/op", "scan of 100, 1", 1},
		{"Scan/goroutines=2", "ns/op", "scan of 100, 2", 1},
		{"Transaction/goroutines=1", "ns/op", "transaction of 4, 1", 1},
		{"Transaction/goroutines=2", "ns/op", "transaction of 4, 2", 1},
		{"Get/goroutines=2", "misses-%", "misses of get, %", 1},
	}},
	{"Processor time of one operation by one goroutine, collections included, ns", []column{
		{"Get/goroutines=1", "cpu-ns/op", "get", 1},
		{"Mix/goroutines=1", "cpu-ns/op", "95/5", 1},
		{"Overwrite/goroutines=1", "cpu-ns/op", "overwrite", 1},
		{"Overwrite/goroutines=1", "gc-cpu-ns/op", "of it collections", 1},
		{"Insert/goroutines=1", "cpu-ns/op", "insert", 1},
		{"Delete/goroutines=1", "cpu-ns/op", "delete", 1},
		{"Scan/goroutines=1", "cpu-ns/op", "scan of 100", 1},
		{"Transaction/goroutines=1", "cpu-ns/op", "transaction of 4", 1},
	}},
	{"Memory, bytes a key, and one collection, ms", []column{
		{"Memory/gogc=100", "heap-B/key", "heap", 1},
		{"Memory/gogc=100", "resident-B/key", "resident", 1},
		{"Memory/gogc=100", "peak-B/key", "peak of the load", 1},
		{"Memory/gogc=25", "peak-B/key", "at GOGC 25", 1},
		{"Memory/gogc=100", "churned-heap-B/key", "heap, overwritten", 1},
		{"Memory/gogc=100", "churned-peak-B/key", "peak of overwriting", 1},
		{"Memory/gogc=25", "churned-peak-B/key", "at GOGC 25", 1},
		{"Collection/gogc=100", "ns/op", "collection", 1e-6},
		{"Collection/gogc=100", "cpu-ns/op", "on both processors", 1e-6},
		{"Collection/gogc=100", "pause-ns/op", "pause", 1e-6},
	}},
	{"Hit ratio of a cache, % of the reads", []column{
		{"Hits/trace=zipf/same=heap", "hits-%", "same heap: zipf", 1},
		{"Hits/trace=scan/same=heap", "hits-%", "scan", 1},
		{"Hits/trace=shift/same=heap", "hits-%", "shift", 1},
		{"Hits/trace=zipf/same=heap", "kept-keys", "keys kept", 1},
		{"Hits/trace=zipf/same=heap", "heap-MiB", "heap, MiB", 1},
		{"Hits/trace=zipf/same=keys", "hits-%", "same keys: zipf", 1},
		{"Hits/trace=scan/same=keys", "hits-%", "scan", 1},
		{"Hits/trace=shift/same=keys", "hits-%", "shift", 1},
		{"Hits/trace=zipf/same=keys", "kept-keys", "keys kept", 1},
		{"Hits/trace=zipf/same=keys", "heap-MiB", "heap, MiB", 1},
	}},
}

// A cell is a measure of one store.
type cell struct{ keys, store, bench, unit string }

// results are the figures of all runs.
type results map[cell][]float64

// printTables reads lines and prints the medians of all runs as Markdown, a table for
// each number of keys.
func printTables(out io.Writer, in io.Reader) error {
	found := make(results)
	var keys []string
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		if k := found.add(lines.Text()); k != "" && !slices.Contains(keys, k) {
			keys = append(keys, k)
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	for _, k := range keys {
		for _, t := range tables {
			if err := found.print(out, k, t); err != nil {
				return err
			}
		}
	}
	return nil
}

// add takes in a line and returns how many keys it is about, or "" when it is none.
func (r results) add(line string) (keys string) {
	rest, ok := strings.CutPrefix(line, "Benchmark")
	fields := strings.Fields(rest)
	if !ok || len(fields) < 4 {
		return ""
	}
	name := fields[0]
	if i := strings.LastIndexByte(name, '-'); i >= 0 {
		name = name[:i] // the number of processors
	}
	var c cell
	for part := range strings.SplitSeq(name, "/") {
		if v, ok := strings.CutPrefix(part, "keys="); ok {
			c.keys = v
		} else if v, ok := strings.CutPrefix(part, "store="); ok {
			c.store = v
		} else {
			c.bench += "/" + part
		}
	}
	c.bench = strings.TrimPrefix(c.bench, "/")
	for i := 2; i+1 < len(fields); i += 2 {
		v, err := strconv.ParseFloat(fields[i], 64)
		if err != nil {
			return ""
		}
		c.unit = fields[i+1]
		r[c] = append(r[c], v)
	}
	return c.keys
}

// print prints one table, without the stores and the columns of which nothing is known.
func (r results) print(out io.Writer, keys string, t table) error {
	var columns []column
	for _, col := range t.columns {
		if slices.ContainsFunc(peers, func(p peer) bool { return len(r[cell{keys, p.name, col.bench, col.unit}]) > 0 }) {
			columns = append(columns, col)
		}
	}
	if len(columns) == 0 {
		return nil
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %s keys\n\n| store |", t.title, thousands(keys))
	for _, col := range columns {
		fmt.Fprintf(&b, " %s |", col.title)
	}
	b.WriteString("\n|---|" + strings.Repeat("---:|", len(columns)) + "\n")
	for _, p := range peers {
		var row strings.Builder
		known := false
		for _, col := range columns {
			values := r[cell{keys, p.name, col.bench, col.unit}]
			known = known || len(values) > 0
			fmt.Fprintf(&row, " %s |", show(values, col.scale))
		}
		if known {
			fmt.Fprintf(&b, "| %s |%s\n", p.name, row.String())
		}
	}
	b.WriteByte('\n')
	_, err := io.WriteString(out, b.String())
	return err
}

// show returns the median of values with three digits.
func show(values []float64, scale float64) string {
	if len(values) == 0 {
		return "–"
	}
	values = slices.Clone(values)
	slices.Sort(values)
	m := values[len(values)/2]
	if len(values)%2 == 0 {
		m = (m + values[len(values)/2-1]) / 2
	}
	switch m *= scale; {
	case m >= 100 || m == 0:
		return thousands(strconv.FormatFloat(m, 'f', 0, 64))
	case m >= 10:
		return strconv.FormatFloat(m, 'f', 1, 64)
	}
	return strconv.FormatFloat(m, 'f', 2, 64)
}

// thousands sets the thousands of a whole number apart.
func thousands(digits string) string {
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}
