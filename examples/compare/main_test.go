package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// TestMain lets the test's executable be the processes that the command starts.
func TestMain(m *testing.M) {
	if slices.Contains(os.Args, "-"+childFlag) {
		main()
		return
	}
	os.Exit(m.Run())
}

// TestShort runs the whole command, processes and all, and reads what it prints.
func TestShort(t *testing.T) {
	var out bytes.Buffer
	if err := run([]string{"-short", "-keys", "1000"}, &out); err != nil {
		t.Fatal(err)
	}
	r := make(results)
	for l := range strings.Lines(out.String()) {
		r.add(l)
	}
	for _, p := range stores() {
		for _, bench := range []string{"Get", "Mix", "Overwrite", "Insert", "Delete"} {
			for g := 1; g <= 2; g++ {
				name := fmt.Sprintf("%s/goroutines=%d", bench, g)
				if got := r[cell{"1000", p.name, name, "ns/op"}]; len(got) != 1 || got[0] <= 0 {
					t.Errorf("%s of %s: %v ns/op", name, p.name, got)
				}
			}
		}
		for _, gogc := range gogcs {
			name := fmt.Sprintf("Memory/gogc=%d", gogc)
			if got := r[cell{"1000", p.name, name, "heap-B/key"}]; len(got) != 1 || got[0] < 10 {
				t.Errorf("%s of %s: %v heap-B/key", name, p.name, got)
			}
		}
	}
	for _, p := range peers {
		for _, kind := range traceKinds {
			for _, l := range limits {
				name := fmt.Sprintf("Hits/trace=%s/same=%s", kind.name, l.name)
				got := r[cell{fmt.Sprint(minHitKeys), p.name, name, "hits-%"}]
				if p.bounded != nil && (len(got) != 1 || got[0] < 5 || got[0] > 95) {
					t.Errorf("%s of %s: %v%% hits", name, p.name, got)
				}
			}
		}
	}
}

// A lossy store forgets every other key.
type lossy struct {
	store
	sets *int
}

func (l lossy) Set(key, value []byte) error {
	if *l.sets++; *l.sets%2 == 0 {
		return nil
	}
	return l.store.Set(key, value)
}

func TestMissingKeysOfAnExactStoreAreAnError(t *testing.T) {
	c, err := newConfig(config{keys: 1000, goroutines: 1}, true, "Get")
	if err != nil {
		t.Fatal(err)
	}
	p := peer{name: "lossy", exact: true, open: func(keys int) (store, error) {
		s, err := openSharded(keys)
		return lossy{s, new(int)}, err
	}}
	var out bytes.Buffer
	if err := speed(&out, p, c); !errors.Is(err, errWrong) {
		t.Errorf("got %v", err)
	}
	p.exact = false
	out.Reset()
	if err := speed(&out, p, c); err != nil {
		t.Fatal(err)
	}
	r := make(results)
	for l := range strings.Lines(out.String()) {
		r.add(l)
	}
	if got := r[cell{"1000", "lossy", "Get/goroutines=1", "misses-%"}]; len(got) != 1 || got[0] < 30 || got[0] > 70 {
		t.Errorf("misses of half the keys: %v", got)
	}
}

func TestBadArguments(t *testing.T) {
	for _, args := range [][]string{
		{"-stores", "redis"}, {"-only", "Put"}, {"-keys", "150"}, {"-keys", "-100"}, {"-keys", "1e20"}, {"-keys", "100.5"}, {"-runs", "-1"}, {"-nothing"},
	} {
		var out bytes.Buffer
		if err := run(args, &out); err == nil {
			t.Errorf("%v: no error", args)
		}
	}
}
