package main

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
)

// A figure is one measure of a line.
type figure struct {
	value float64
	unit  string
}

// printLine prints a line as go test -bench does, which benchstat reads.
func printLine(out io.Writer, name string, n int, figures []figure) error {
	var b strings.Builder
	fmt.Fprintf(&b, "Benchmark%s-%d\t%8d", name, runtime.GOMAXPROCS(0), n)
	for _, f := range figures {
		digits := 1
		if f.value < 10 {
			digits = 3
		}
		fmt.Fprintf(&b, "\t%s %s", strconv.FormatFloat(f.value, 'f', digits, 64), f.unit)
	}
	b.WriteByte('\n')
	_, err := io.WriteString(out, b.String())
	return err
}

// printHeader prints the lines that say what was measured where, which benchstat
// repeats.
func printHeader(out io.Writer, chosen []peer, c *config) error {
	fmt.Fprintf(out, "goos: %s\ngoarch: %s\ncpu: %s\ngo: %s\norder: %s\n",
		runtime.GOOS, runtime.GOARCH, processor(), runtime.Version(), c.orderName())
	info, _ := debug.ReadBuildInfo()
	for _, p := range chosen {
		if p.module == "" || info == nil {
			continue
		}
		for _, m := range info.Deps {
			if m.Path == p.module {
				fmt.Fprintf(out, "%s: %s\n", p.name, m.Version)
			}
		}
	}
	_, err := fmt.Fprintln(out)
	return err
}

// processor returns the name of the machine's processor, as far as Linux says it.
func processor() string {
	info, _ := os.ReadFile("/proc/cpuinfo")
	for l := range strings.Lines(string(info)) {
		if name, value, ok := strings.Cut(l, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}
