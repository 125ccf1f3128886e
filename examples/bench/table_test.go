package main

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
)

func sample(comparable bool) *series {
	s := newSeries("writes/1", comparable)
	for _, rate := range []float64{900_000, 1_234_567, 1_000_000} {
		s.add(rowRate, perSecond, rate)
		s.addMemory(rowMasterPeak, 58_000_000)
		s.addMemory(rowReplicaPeak, 0) // not known
	}
	return s
}

func TestTableAsText(t *testing.T) {
	var out bytes.Buffer
	tab := table{out: &out}
	if err := tab.print(sample(true), nil); err != nil {
		t.Fatal(err)
	}
	if err := tab.close(); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(out.String(), "\n")
	want := []string{"writes/1", "applied", "by", "all", "1,000,000", "1/s", "(900,000", "-", "1,234,567)", "445,700"}
	if got := strings.Fields(lines[2]); !slices.Equal(got, want) {
		t.Errorf("first row is %q, want %q", got, want)
	}
	want = []string{"master", "peak", "resident", "58.0", "MB"}
	if got := strings.Fields(lines[3]); !slices.Equal(got, want) {
		t.Errorf("second row is %q, want %q", got, want)
	}
	if strings.Contains(out.String(), rowReplicaPeak) {
		t.Error("a size that is not known is printed")
	}
	if !strings.Contains(out.String(), "not in this run") {
		t.Error("the table does not say where the reference is from")
	}
}

func TestTableAsJSON(t *testing.T) {
	var out bytes.Buffer
	tab := table{out: &out, asJSON: true}
	if err := tab.print(sample(true), nil); err != nil {
		t.Fatal(err)
	}
	dec := json.NewDecoder(&out)
	dec.DisallowUnknownFields()
	var r row
	if err := dec.Decode(&r); err != nil {
		t.Fatal(err)
	}
	want := row{
		Line: "writes/1", Measure: rowRate, Unit: perSecond, Median: 1_000_000, Min: 900_000, Max: 1_234_567, Runs: 3,
		Reference: 445_700, ReferenceOf: referenceName, ReferenceDate: referenceDate,
	}
	if r != want {
		t.Errorf("first object is %+v, want %+v", r, want)
	}
}

func TestTableBesideAPeer(t *testing.T) {
	ours, theirs := sample(true), newSeries("writes/1", true)
	for _, rate := range []float64{500_000, 400_000, 450_000} {
		theirs.add(rowRate, perSecond, rate)
		theirs.add(rowMasterPeak, megabytes, 87)
	}
	var out bytes.Buffer
	tab := table{out: &out, peer: "redis 1.2.3"}
	if err := tab.print(ours, theirs); err != nil {
		t.Fatal(err)
	}
	if err := tab.close(); err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{
		"ember redis 1.2.3 times",
		"median (least - greatest) median (least - greatest) better",
		"writes/1 applied by all 1,000,000 1/s (900,000 - 1,234,567) 450,000 (400,000 - 500,000) 2.22",
		"master peak resident 58.0 MB 87.0 1.50",
	} {
		if got := strings.Join(strings.Fields(strings.Split(out.String(), "\n")[i]), " "); got != want {
			t.Errorf("row %d is %q, want %q", i, got, want)
		}
	}
	if strings.Contains(out.String(), referenceName) {
		t.Error("a reference of another day is shown beside a peer of this one")
	}
}

// A row that only one of the two has would never be set beside the other's.
func TestPeersWhereThereIsSomethingToCompare(t *testing.T) {
	for _, l := range lines {
		kind, place, _ := strings.Cut(l.name, "/")
		alone := kind == "cost" || place == "memory" && kind != "disk" || place == "process"
		if alone != (l.peer == nil) {
			t.Errorf("line %s has a peer: %v", l.name, l.peer != nil)
		}
	}
}

func TestNoReferenceBesideOtherSizes(t *testing.T) {
	for _, r := range sample(false).rows() {
		if r.Reference != 0 || r.ReferenceOf != "" || r.ReferenceDate != "" {
			t.Errorf("row %q has a reference", r.Measure)
		}
	}
}

// Figures under a name that no line has would silently not be shown.
func TestReferenceNamesLines(t *testing.T) {
	for name := range maps.Keys(reference) {
		if !slices.ContainsFunc(lines, func(l line) bool { return l.name == name }) {
			t.Errorf("reference has figures for %q, which is no line", name)
		}
	}
}

func TestFigure(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0.00", 1.234: "1.23", 12.345: "12.3", 123.4: "123", 999.9: "1000", 1000: "1,000", 1234567: "1,234,567",
	} {
		if got := figure(v); got != want {
			t.Errorf("figure(%v) = %q, want %q", v, got, want)
		}
	}
}

func TestChoose(t *testing.T) {
	for only, want := range map[string]int{"": len(lines), "writes": 4, "writes/2,lag": 4, "sync/idle": 1} {
		if got, err := choose(only); err != nil || len(got) != want {
			t.Errorf("choose(%q) = %d lines, %v; want %d", only, len(got), err, want)
		}
	}
	if _, err := choose("writes,nothing"); err == nil || !strings.Contains(err.Error(), "sync/idle") {
		t.Errorf("choose of an unknown line: %v, want an error that names the known ones", err)
	}
}
