package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"github.com/emberkv/ember/kv"
)

// The game: the points of all players together are always the same.
const (
	players     = 200
	totalPoints = players * 100
	movesEvery  = 2 * time.Millisecond // ten at once
)

var teams = []string{"blue", "green", "red"}

// A writer moves points between players, who leave and come back, a few at a time until
// it is stopped.
type writer struct {
	store *kv.Store
	rand  *rand.Rand
	moves int

	once sync.Once
	quit chan struct{}
	done chan struct{}
	err  error
}

// deal gives every player as many points.
func deal(s *kv.Store) error {
	for i := range players {
		if err := s.Set(player(i), []byte("100")); err != nil {
			return err
		}
	}
	return nil
}

func player(i int) string { return fmt.Sprintf("%s%s/%03d", prefix, teams[i%len(teams)], i) }

func newWriter(s *kv.Store, seed uint64) *writer {
	return &writer{store: s, rand: rand.New(rand.NewPCG(seed, 0)), quit: make(chan struct{}), done: make(chan struct{})}
}

// play starts a writer.
func play(s *kv.Store, seed uint64) *writer {
	w := newWriter(s, seed)
	go w.run()
	return w
}

func (w *writer) run() {
	defer close(w.done)
	tick := time.NewTicker(movesEvery)
	defer tick.Stop()
	for {
		if w.err = w.move(10); w.err != nil {
			return
		}
		select {
		case <-tick.C:
		case <-w.quit:
			return
		}
	}
}

// stop ends the writer and returns how many moves it made. It may be called twice.
func (w *writer) stop() (int, error) {
	w.once.Do(func() { close(w.quit) })
	<-w.done
	return w.moves, w.err
}

// move makes n moves, each a transaction: one player gives points to another. The one
// that gives all leaves the table.
func (w *writer) move(n int) error {
	for range n {
		from, to := player(w.rand.IntN(players)), player(w.rand.IntN(players))
		if from == to {
			continue
		}
		share := 1 + w.rand.Int64N(4)
		err := w.store.Update(func(tx *kv.Tx) error {
			has, err := points(tx, from)
			if err != nil || has == 0 {
				return err
			}
			gives := max(has/share, 1)
			if _, err := tx.Add(to, gives); err != nil {
				return err
			}
			if gives == has {
				_, err = tx.Delete(from)
				return err
			}
			return tx.Set(from, strconv.AppendInt(nil, has-gives, 10))
		})
		if err != nil {
			return err
		}
		w.moves++
	}
	return nil
}

// points returns a player's points, 0 for one who is not at the table.
func points(tx *kv.Tx, key string) (int64, error) {
	value, err := tx.Get(key)
	if errors.Is(err, kv.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(string(value), 10, 64)
}
