package main

import (
	"testing"
	"time"
)

func TestSummarizeTakesTheNearestRank(t *testing.T) {
	samples := make([]time.Duration, 0, 2000)
	for i := range 2000 { // out of order, so that a summary that does not sort shows
		samples = append(samples, time.Duration((i*7)%2000+1)*time.Microsecond)
	}
	want := Latency{P50: 1000, P99: 1980, P999: 1998, Max: 2000}
	if got := summarize(samples); got != want {
		t.Errorf("summarize of 1 to 2000 us = %+v, want %+v", got, want)
	}
	if got := summarize(nil); got != (Latency{}) {
		t.Errorf("summarize of nothing = %+v, want zeros", got)
	}
	one := []time.Duration{3 * time.Microsecond}
	if got := summarize(one); got != (Latency{3, 3, 3, 3}) {
		t.Errorf("summarize of one sample = %+v, want it everywhere", got)
	}
}

func TestMedianIsAMeasuredValue(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   float64
	}{
		{[]float64{5}, 5},
		{[]float64{9, 1}, 1},
		{[]float64{9, 1, 4}, 4},
		{[]float64{9, 1, 4, 7}, 4},
	} {
		if got := median(c.values); got != c.want {
			t.Errorf("median(%v) = %v, want %v", c.values, got, c.want)
		}
	}
}

func TestOpenLoopWindowGoesByTheInstantDue(t *testing.T) {
	o := &openLoop{began: time.Unix(100, 0), interval: time.Millisecond}
	for i := range 100 {
		o.mu.latencies = append(o.mu.latencies, time.Duration(i))
	}
	at := func(ms int) time.Time { return o.began.Add(time.Duration(ms) * time.Millisecond) }
	for _, c := range []struct{ from, to, first, n int }{
		{10, 20, 10, 10},
		{-5, 3, 0, 3},
		{95, 500, 95, 5},
		{500, 600, 0, 0},
		{20, 10, 0, 0},
	} {
		got := o.window(at(c.from), at(c.to))
		if len(got) != c.n || c.n > 0 && got[0] != time.Duration(c.first) {
			t.Errorf("window(%d, %d) = %v, want %d from %d on", c.from, c.to, got, c.n, c.first)
		}
	}
}
