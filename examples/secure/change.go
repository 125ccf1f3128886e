package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/emberkv/ember/repl"
)

// A writer sets keys, one after the other, until it is stopped.
type writer struct {
	cancel context.CancelFunc
	done   sync.WaitGroup
	wrote  int
	err    error
}

func (m *member) startWriter(ctx context.Context, every time.Duration) *writer {
	ctx, cancel := context.WithCancel(ctx)
	w := &writer{cancel: cancel}
	w.done.Go(func() {
		ticks := time.NewTicker(every)
		defer ticks.Stop()
		for w.err == nil {
			select {
			case <-ticks.C:
			case <-ctx.Done():
				return
			}
			if w.err = m.set(fmt.Sprintf("account/%d", w.wrote), fmt.Sprint(w.wrote)); w.err == nil {
				w.wrote++
			}
		}
	})
	return w
}

// stop ends the writer and returns how many keys it has set.
func (w *writer) stop() (int, error) {
	w.cancel()
	w.done.Wait()
	return w.wrote, w.err
}

// change gives the group another secret, a node at a time, while the master takes writes. Two steps are
// needed: in the first every node learns the new one, in the second it forgets the old. So
// at every moment any two have one in common.
func (s *show) change() error {
	s.say("\nThe secret is changed, while the master takes writes.")
	old, newer := s.secret, repl.NewSecret()
	before := make(map[*member]int64)
	for _, m := range s.group {
		before[m] = m.lost.Load()
	}
	w := s.master().startWriter(s.ctx, time.Millisecond)
	for _, step := range []struct {
		what    string
		secrets []repl.Secret
	}{{"the new one and the old one", []repl.Secret{newer, old}}, {"the new one alone", []repl.Secret{newer}}} {
		for _, m := range s.group {
			if err := m.node.SetSecrets(step.secrets); err != nil {
				return err
			}
			time.Sleep(50 * time.Millisecond) // operators take longer
			s.say("  %s has %s; links lost: %d", m.name, step.what, s.lost(before))
		}
	}
	wrote, err := w.stop()
	if err != nil {
		return err
	}
	s.secret = newer
	if n := s.lost(before); n != 0 {
		return fmt.Errorf("%d links have ended", n)
	}
	last := wrote - 1
	for _, m := range s.group[1:] {
		if err := errors.Join(m.has(s.ctx, s.master(), fmt.Sprintf("account/%d", last), fmt.Sprint(last)), m.same(s.master())); err != nil {
			return err
		}
	}
	s.say("  %d keys were written meanwhile, and all are everywhere", wrote)
	return s.comeBack(old)
}

// lost returns how many links of the group have ended since.
func (s *show) lost(since map[*member]int64) (n int64) {
	for m, before := range since {
		n += m.lost.Load() - before
	}
	return n
}

// comeBack lets one come with the old secret, who is refused, and one with the new.
func (s *show) comeBack(old repl.Secret) error {
	transport, err := s.ours.transport("d")
	if err != nil {
		return err
	}
	if err := s.try(stranger{"one who has missed it", transport, []repl.Secret{old}}); err != nil {
		return err
	}
	late, err := newMember("d", transport, s.group[2].addr, s.secret)
	if err != nil {
		return err
	}
	defer late.close()
	if err := errors.Join(late.has(s.ctx, s.master(), "greeting", "hello"), late.same(s.master())); err != nil {
		return err
	}
	s.say("  one who has the new one gets everything, from %s", s.group[2].name)
	return nil
}
