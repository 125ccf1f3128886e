package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
)

// Measures that a line can have. Latencies add a percentile to theirs.
const (
	rowRate        = "applied by all"
	rowCaughtUp    = "caught up after"
	rowBefore      = "write before"
	rowDuring      = "write during"
	rowAck         = "write to ack"
	rowFromBreak   = "level, from the break"
	rowFromReturn  = "level, from the return"
	rowFirstWrite  = "first write after"
	rowResident    = "master resident before"
	rowMasterPeak  = "master peak resident"
	rowReplicaPeak = "replica peak resident"
)

// Units of rows.
const (
	perSecond    = "1/s"
	seconds      = "s"
	milliseconds = "ms"
	microseconds = "us"
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
	begun  bool
}

const rowFormat = "%-15s %-24s %12s %-4s %-23s %12s\n"

func (t *table) print(s *series) error {
	if !t.asJSON && !t.begun {
		fmt.Fprintf(t.out, rowFormat, "", "", "ember", "", "", referenceName)
		fmt.Fprintf(t.out, rowFormat, "", "", "median", "", "(least - greatest)", referenceDate)
		t.begun = true
	}
	for i, r := range s.rows() {
		if t.asJSON {
			if err := json.NewEncoder(t.out).Encode(r); err != nil {
				return err
			}
			continue
		}
		line, ref := r.Line, ""
		if i > 0 {
			line = ""
		}
		if r.ReferenceOf != "" {
			ref = figure(r.Reference)
		}
		fmt.Fprintf(t.out, rowFormat, line, r.Measure, figure(r.Median), r.Unit, spread(r), ref)
	}
	return nil
}

func (t *table) close() error {
	if t.begun {
		fmt.Fprintf(t.out, "\n%s was measured on %s on a machine of this kind (2 cores), not in this run.\n", referenceName, referenceDate)
	}
	return nil
}

func spread(r row) string {
	if r.Runs < 2 {
		return ""
	}
	return "(" + figure(r.Min) + " - " + figure(r.Max) + ")"
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
