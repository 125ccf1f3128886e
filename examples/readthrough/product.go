package main

import (
	"context"
	"fmt"
	"time"

	"github.com/emberkv/ember/kv"
)

const (
	products = 5000                  // that there are
	takes    = 20 * time.Millisecond // what the source takes for one
)

// A product is what the service is asked for.
type product struct {
	ID    int
	Name  string
	Cents int
}

// fetch is the slow source: think of a database on another continent. It returns
// kv.ErrNotFound for a product that there is not.
func fetch(ctx context.Context, id int) (product, error) {
	wait := time.NewTimer(takes)
	defer wait.Stop()
	select {
	case <-wait.C:
	case <-ctx.Done():
		return product{}, ctx.Err()
	}
	if id < 0 || id >= products {
		return product{}, fmt.Errorf("product %d: %w", id, kv.ErrNotFound)
	}
	return product{ID: id, Name: fmt.Sprintf("Product No. %d", id), Cents: 100 + id*37%9900}, nil
}
