package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"
)

const (
	clientsEach = 8                    // of each node
	thinks      = 2 * time.Millisecond // a client, between an answer and the next question
	skew        = 1.1                  // of the zipf distribution in which products are asked for
)

// A load is what some clients are to ask for, and for how long.
type load struct {
	urls []string // up to the product's number; each has as many clients
	ends time.Duration
	seed uint64 // of what is asked for: the same one asks for the same
}

// run asks until the end, and returns how long each answer took. The first that is not right
// is an error.
func (l load) run(ctx context.Context) ([]time.Duration, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	transport := &http.Transport{MaxIdleConnsPerHost: clientsEach}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	deadline := time.Now().Add(l.ends)
	took := make([][]time.Duration, len(l.urls)*clientsEach)
	var wg sync.WaitGroup
	for i := range took {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(l.seed, uint64(i)))
			zipf := rand.NewZipf(r, skew, 1, products-1)
			for time.Now().Before(deadline) && ctx.Err() == nil {
				d, err := ask(ctx, client, l.urls[i%len(l.urls)], int(zipf.Uint64()))
				if err != nil {
					cancel(err) // and nobody goes on
					return
				}
				took[i] = append(took[i], d)
				time.Sleep(thinks)
			}
		})
	}
	wg.Wait()
	return slices.Concat(took...), context.Cause(ctx)
}

// ask asks for a product and checks what it gets.
func ask(ctx context.Context, client *http.Client, url string, id int) (time.Duration, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprint(url, id), nil)
	if err != nil {
		return 0, err
	}
	begun := time.Now()
	answer, err := client.Do(r)
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("%s%d answers %s", url, id, answer.Status)
	}
	var p product
	if err := json.NewDecoder(answer.Body).Decode(&p); err != nil {
		return 0, err
	}
	if p.ID != id || p.Name == "" {
		return 0, fmt.Errorf("%s%d is %+v", url, id, p)
	}
	return time.Since(begun), nil
}

// percentile returns the smallest of the sorted durations that is not below so many percent
// of them, and 0 when there are none.
func percentile(sorted []time.Duration, percent int) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[max((percent*len(sorted)+99)/100, 1)-1]
}
