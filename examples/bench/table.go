package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"
)

// Measures that a line can have. Latencies add a percentile to theirs.
const (
	rowRate          = "applied by all"
	rowCaughtUp      = "caught up after"
	rowClock         = "no write"
	rowBefore        = "write before"
	rowDuring        = "write during"
	rowAck           = "write to ack"
	rowVisible       = "write to visible"
	rowFromBreak     = "level, from the break"
	rowFromReturn    = "level, from the return"
	rowFirstWrite    = "first write after"
	rowResident      = "master resident before"
	rowWork          = "work a write, all nodes"
	rowPipelined     = "in pipelines of 128"
	rowPipelinedWork = "work a write in them"
	rowMasterPeak    = "master peak resident"
	rowReplicaPeak   = "replica peak resident"
)

// Units of rows.
const (
	perSecond    = "1/s"
	seconds      = "s"
	milliseconds = "ms"
	microseconds = "us"
	nanoseconds  = "ns"
	percent      = "%"
	megabytes    = "MB"
)

// A row is one measure of one line over all runs.
type row struct {
	Line    string  `json:"line"`
	Measure string  `json:"measure"`
	Unit    string  `json:"unit"`
	Median  float64 `json:"median"`
	Min     float64 `json:"min"`
	Max     float64 `json:"max"`
	Runs    int     `json:"runs"`

	// Reference was measured elsewhere, on ReferenceDate.
	Reference     float64 `json:"reference,omitempty"`
	ReferenceOf   string  `json:"reference_of,omitempty"`
	ReferenceDate string  `json:"reference_date,omitempty"`

	// What the peer did between these runs, if there was one.
	Peer       string  `json:"peer,omitempty"`
	PeerMedian float64 `json:"peer_median,omitempty"`
	PeerMin    float64 `json:"peer_min,omitempty"`
	PeerMax    float64 `json:"peer_max,omitempty"`
	Ratio      float64 `json:"ratio,omitempty"` // how many times better than the peer's median
}

// beside sets what a peer did beside r.
func (r *row) beside(name string, values []float64) {
	r.Peer = name
	r.PeerMedian, r.PeerMin, r.PeerMax = median(values), slices.Min(values), slices.Max(values)
	better, worse := r.PeerMedian, r.Median
	if r.Unit == perSecond {
		better, worse = worse, better
	}
	if worse > 0 {
		r.Ratio = better / worse
	}
}

// A series collects the rows of one line, run by run, in the order in which
// measures first come up.
type series struct {
	line       string
	comparable bool // of the sizes of reference, which may be shown then
	measures   []string
	units      map[string]string
	values     map[string][]float64
}

func newSeries(line string, comparable bool) *series {
	return &series{line: line, comparable: comparable, units: make(map[string]string), values: make(map[string][]float64)}
}

func (s *series) add(measure, unit string, value float64) {
	if !slices.Contains(s.measures, measure) {
		s.measures = append(s.measures, measure)
		s.units[measure] = unit
	}
	s.values[measure] = append(s.values[measure], value)
}

func (s *series) addLatency(measure string, l Latency) {
	s.add(measure+" p50", microseconds, l.P50)
	s.add(measure+" p99", microseconds, l.P99)
	s.add(measure+" p99.9", microseconds, l.P999)
	s.add(measure+" max", microseconds, l.Max)
}

// addMemory adds a size in bytes, unless it is 0: not known on this system.
func (s *series) addMemory(measure string, bytes int64) {
	if bytes > 0 {
		s.add(measure, megabytes, float64(bytes)/1e6)
	}
}

// addWork adds what each of so many writes has cost, unless that is 0: not known on this system.
func (s *series) addWork(measure string, worked time.Duration, writes int) {
	if worked > 0 {
		s.add(measure, microseconds, float64(worked)/float64(time.Microsecond)/float64(writes))
	}
}

func (s *series) rows() []row {
	rows := make([]row, 0, len(s.measures))
	for _, m := range s.measures {
		v := s.values[m]
		r := row{
			Line: s.line, Measure: m, Unit: s.units[m],
			Median: median(v), Min: slices.Min(v), Max: slices.Max(v), Runs: len(v),
		}
		if ref, ok := reference[s.line][m]; ok && s.comparable {
			r.Reference, r.ReferenceOf, r.ReferenceDate = ref, referenceName, referenceDate
		}
		rows = append(rows, r)
	}
	return rows
}

// A table prints rows as they come, so that a long run shows where it is.
type table struct {
	asJSON bool
	out    io.Writer
	peer   string // that is measured in the same run; empty for none, then there is the reference
	begun  bool
}

const (
	rowFormat  = "%-15s %-29s %12s %-4s %-23s %12s\n"
	peerFormat = "%-15s %-29s %12s %-4s %-23s %12s %-23s %8s\n"
)

// print prints the rows of s, beside those of peer with the same names, unless that is nil.
func (t *table) print(s, peer *series) error {
	for i, r := range s.rows() {
		if peer != nil && len(peer.values[r.Measure]) > 0 {
			r.beside(t.peer, peer.values[r.Measure])
		}
		if t.asJSON {
			if err := json.NewEncoder(t.out).Encode(r); err != nil {
				return err
			}
			continue
		}
		t.begin()
		if i > 0 {
			r.Line = ""
		}
		t.printRow(r)
	}
	return nil
}

func (t *table) begin() {
	switch {
	case t.begun:
	case t.peer != "":
		fmt.Fprintf(t.out, peerFormat, "", "", "ember", "", "", t.peer, "", "times")
		fmt.Fprintf(t.out, peerFormat, "", "", "median", "", "(least - greatest)", "median", "(least - greatest)", "better")
	default:
		fmt.Fprintf(t.out, rowFormat, "", "", "ember", "", "", referenceName)
		fmt.Fprintf(t.out, rowFormat, "", "", "median", "", "(least - greatest)", referenceDate)
	}
	t.begun = true
}

func (t *table) printRow(r row) {
	switch {
	case r.Peer != "":
		fmt.Fprintf(t.out, peerFormat, r.Line, r.Measure, figure(r.Median), r.Unit, spread(r.Min, r.Max),
			figure(r.PeerMedian), spread(r.PeerMin, r.PeerMax), figure(r.Ratio))
	case r.ReferenceOf != "" && t.peer == "":
		fmt.Fprintf(t.out, rowFormat, r.Line, r.Measure, figure(r.Median), r.Unit, spread(r.Min, r.Max), figure(r.Reference))
	default:
		fmt.Fprintf(t.out, rowFormat, r.Line, r.Measure, figure(r.Median), r.Unit, spread(r.Min, r.Max), "")
	}
}

func (t *table) close() error {
	if t.begun && t.peer == "" {
		fmt.Fprintf(t.out, "\n%s was measured on %s on a machine of this kind (2 cores), not in this run.\n", referenceName, referenceDate)
	}
	return nil
}

func spread(least, greatest float64) string {
	if least == greatest {
		return ""
	}
	return "(" + figure(least) + " - " + figure(greatest) + ")"
}

// figure prints v with three digits or more, and thousands apart.
func figure(v float64) string {
	switch {
	case v >= 1000:
		digits := strconv.FormatFloat(v, 'f', 0, 64)
		for i := len(digits) - 3; i > 0; i -= 3 {
			digits = digits[:i] + "," + digits[i:]
		}
		return digits
	case v >= 100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case v >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 2, 64)
}
