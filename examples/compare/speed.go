package main

import (
	"fmt"
	"io"
	"runtime"
)

// A meter measures the operations of one store, and prints a line for each run.
type meter struct {
	*workload
	out  io.Writer
	aged bool // see age
}

// speed measures the operations of a peer.
func speed(out io.Writer, p peer, c *config) error {
	l := newWorkload(p, c)
	if err := l.open(); err != nil {
		return err
	}
	defer l.Close()
	m := &meter{workload: l, out: out}
	if err := m.measure("Load", len(l.workers), l.load); err != nil {
		return err
	}
	for _, part := range []struct {
		name    string
		measure func() error
	}{
		{"Get", func() error { return m.timed("Get", l.get) }},
		{"Mix", func() error { return m.timed("Mix", l.mix) }},
		{"Scan", m.scans},
		{"Overwrite", m.overwrites},
		{"Transaction", m.transactions},
		{"Insert", m.inserts},
	} {
		if !c.wants(part.name) {
			continue
		}
		runtime.GC() // what the part before it has left is not its own
		if err := part.measure(); err != nil {
			return fmt.Errorf("%s: %s: %w", p.name, part.name, err)
		}
	}
	return nil
}

// measure runs op once and prints what it cost.
func (m *meter) measure(name string, goroutines int, op func() (span, error)) error {
	if _, err := m.misses(); err != nil { // of calibration
		return err
	}
	before := readCounters()
	s, err := op()
	if err != nil {
		return err
	}
	cost := readCounters().minus(before)
	misses, err := m.misses()
	if err != nil {
		return err
	}
	n := float64(s.n)
	figures := []figure{
		{float64(s.took) / n, "ns/op"},
		{float64(cost.bytes) / n, "B/op"},
		{float64(cost.objects) / n, "allocs/op"},
		{float64(cost.working) / n, "cpu-ns/op"},
		{float64(cost.collecting) / n, "gc-cpu-ns/op"},
	}
	if !m.peer.exact {
		figures = append(figures, figure{100 * float64(misses) / n, "misses-%"})
	}
	return printLine(m.out, m.line(name, goroutines), s.n, figures)
}

// line returns the name of a line.
func (m *meter) line(name string, goroutines int) string {
	return fmt.Sprintf("%s/keys=%d/goroutines=%d/store=%s", name, m.config.keys, goroutines, m.peer.name)
}

// goroutines returns the numbers of goroutines that operations are measured with.
func (m *meter) goroutines() []int {
	if len(m.workers) == 1 {
		return []int{1}
	}
	return []int{1, len(m.workers)}
}

// timed measures an operation that leaves the store as it is, each run for a certain
// time.
func (m *meter) timed(name string, op operation) error {
	for _, g := range m.goroutines() {
		n, err := m.calibrate(g, op)
		if err != nil {
			return err
		}
		for range m.config.runs {
			if err := m.measure(name, g, func() (span, error) { return m.run(g, n, op) }); err != nil {
				return err
			}
		}
	}
	return nil
}

// calibrate returns how many operations take the time of a run.
func (m *meter) calibrate(goroutines int, op operation) (n int, err error) {
	for n = 2000; n < 1<<28; {
		s, err := m.run(goroutines, n, op)
		if err != nil || s.took >= m.config.time/4 {
			return n, err
		}
		n = int(float64(n) * min(10, float64(m.config.time)/float64(max(s.took, 1))))
	}
	return n, nil
}

// scans are measured where keys are in order.
func (m *meter) scans() error {
	if _, ok := m.store.(ranger); !ok {
		return nil
	}
	return m.timed("Scan", m.scan)
}

// transactions are measured where there are some, in the steady state too.
func (m *meter) transactions() error {
	if _, ok := m.store.(transactor); !ok {
		return nil
	}
	if err := m.age(); err != nil {
		return err
	}
	return m.timed("Transaction", m.transact)
}

// age brings the store into the steady state, if it is not there yet: it has been overwritten
// so often that the heap has grown to what collections leave it, and is not made of memory that
// the process has never had, which costs a virtual machine more than the operation itself.
func (m *meter) age() error {
	if m.aged {
		return nil
	}
	m.aged = true
	return m.churn()
}

// overwrites are measured in the steady state, and for so long that all that they
// cause is part of it: each run overwrites as many keys as there are, within the limit.
func (m *meter) overwrites() error {
	if err := m.age(); err != nil {
		return err
	}
	for _, g := range m.goroutines() {
		for range m.config.runs {
			err := m.measure("Overwrite", g, func() (span, error) {
				return m.runLimited(g, m.config.keys, m.overwrite)
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// inserts measures new keys, and their deletion, in the steady state too. What has to grow for
// them has grown in a first run that is not counted.
func (m *meter) inserts() error {
	if err := m.age(); err != nil {
		return err
	}
	n := max(min(insertKeys, m.config.keys/4), 1)
	for _, g := range m.goroutines() {
		insert := func() (span, error) { return m.run(g, n, m.insert(m.config.order(n, insertSeed))) }
		remove := func() (span, error) { return m.run(g, n, m.remove(m.config.order(n, deleteSeed))) }
		for i := range m.config.runs + 1 {
			var err error
			if i == 0 {
				if _, err = insert(); err == nil {
					_, err = remove()
				}
			} else if err = m.measure("Insert", g, insert); err == nil {
				err = m.measure("Delete", g, remove)
			}
			if err != nil {
				return err
			}
			m.fresh += n
		}
	}
	return nil
}
