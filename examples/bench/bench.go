package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

// Sizes for which there is a reference.
const (
	defaultKeys       = 5_000_000
	defaultValueBytes = 100
)

// A bench holds what the command line says, and the table.
type bench struct {
	short      bool
	keys       int // of a full sync
	valueBytes int
	runs       int
	profiles   string // folder, or empty
	peer       *peer  // nil for none
	table      table
}

// lineTimeout ends a line that hangs, so that an unattended run fails instead.
const lineTimeout = 10 * time.Minute

func (b *bench) run(ctx context.Context, only string) error {
	chosen, err := choose(only)
	if err != nil {
		return err
	}
	if err := b.normalize(); err != nil {
		return err
	}
	for _, l := range chosen {
		ctx, cancel := context.WithTimeout(ctx, lineTimeout)
		err := b.measure(ctx, l)
		cancel()
		if err != nil {
			return fmt.Errorf("%s: %w", l.name, err)
		}
	}
	return b.table.close()
}

// measure measures a line and prints it. With a peer, the two take turns, run by run,
// so that both have the same neighbours on the machine.
func (b *bench) measure(ctx context.Context, l line) error {
	s := b.newSeries(l.name)
	if b.peer == nil || l.peer == nil {
		if err := l.measure(ctx, b, s); err != nil {
			return err
		}
		return b.table.print(s, nil)
	}
	theirs, once := b.newSeries(l.name), *b
	once.runs = 1
	for range b.runs {
		if err := l.measure(ctx, &once, s); err != nil {
			return err
		}
		if err := l.peer(ctx, &once, theirs); err != nil {
			return fmt.Errorf("%s: %w", b.peer.name, err)
		}
	}
	return b.table.print(s, theirs)
}

// normalize fills in the defaults, which depend on -short.
func (b *bench) normalize() error {
	if b.keys == 0 {
		b.keys = b.pick(defaultKeys, 100_000)
	}
	if b.runs == 0 {
		b.runs = b.pick(5, 1)
	}
	if b.keys < 0 || b.runs < 0 || b.valueBytes < 0 {
		return errors.New("-n, -runs and -value must not be negative")
	}
	if b.profiles != "" {
		return os.MkdirAll(b.profiles, 0o755)
	}
	return nil
}

// pick returns the size that belongs to -short or to its absence.
func (b *bench) pick(full, short int) int {
	if b.short {
		return short
	}
	return full
}

// newSeries returns an empty series for a line. Figures of other sizes are not
// set beside those of the reference.
func (b *bench) newSeries(line string) *series {
	return newSeries(line, !b.short && b.valueBytes == defaultValueBytes && b.keys == defaultKeys)
}
