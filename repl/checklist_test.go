package repl_test

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestChecklist: testdata/checklist.md has every row, and each names a test. That the tests are
// there is looked at in internal/borders.
func TestChecklist(t *testing.T) {
	text, err := os.ReadFile("testdata/checklist.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := make(map[string]string)
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(line, "|")
		if len(cells) > 3 && strings.Trim(cells[1], " -") != "" {
			rows[strings.TrimSpace(cells[1])] = cells[len(cells)-2]
		}
	}
	var want []string
	for i := range 13 {
		want = append(want, fmt.Sprint("N", i+1))
	}
	for i := range 11 {
		want = append(want, fmt.Sprint("P", i+1))
	}
	want = append(want, "D9", "D10", "D11", "D12", "D14", "Wait", "Bounds")
	for _, name := range want {
		if !regexp.MustCompile(`\b(Test|Fuzz)[A-Z]\w+`).MatchString(rows[name]) {
			t.Errorf("row %s names no test: %q", name, rows[name])
		}
	}
	if len(rows) != len(want) {
		t.Errorf("%d rows, want %d", len(rows), len(want))
	}
}
