package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"time"

	"github.com/emberkv/ember/kv"
)

// A show is the story: two processes, and what became of them.
type show struct {
	config
	ctx context.Context
	out io.Writer

	addr            string // where the master listens
	master, replica *process
	copies          []string // why full copies were made, of replicas that are no more
	restarts        int
}

func (s *show) printf(format string, args ...any) { fmt.Fprintf(s.out, format+"\n", args...) }

func (s *show) start() (err error) {
	if s.addr, err = lastingAddr(); err != nil {
		return err
	}
	if err := s.startMaster(0); err != nil {
		return err
	}
	s.printf("A master writes, fsync %s, and a replica follows.", s.fsync)
	if err := s.startReplica(0); err != nil {
		return err
	}
	return s.await(1) // a replica that is killed before it has anything begins anew
}

// await waits until the replica has so many keys on disk.
func (s *show) await(keys int) error {
	for s.replica.keptKeys() < keys {
		select {
		case <-time.After(5 * time.Millisecond):
		case <-s.replica.read:
			return errors.New("the replica has ended")
		case <-s.ctx.Done():
			return fmt.Errorf("the replica has %d keys of %d: %w", s.replica.keptKeys(), keys, s.ctx.Err())
		}
	}
	return nil
}

func (s *show) masterDir() string  { return filepath.Join(s.dir, "master") }
func (s *show) replicaDir() string { return filepath.Join(s.dir, "replica") }

// startMaster starts the master, which must have so many keys.
func (s *show) startMaster(kept int) (err error) {
	p, keys, err := startProcess(s.ctx, "-dir", s.masterDir(), "-repl", s.addr, "-fsync", s.fsync.String())
	if err != nil {
		return err
	}
	s.master = p
	return s.came("master", keys, kept)
}

func (s *show) startReplica(kept int) (err error) {
	p, keys, err := startProcess(s.ctx, "-dir", s.replicaDir(), "-follow", s.addr, "-fsync", s.fsync.String())
	if err != nil {
		return err
	}
	s.replica = p
	return s.came("replica", keys, kept)
}

// came compares what a process has with what it had.
func (s *show) came(who string, keys, kept int) error {
	if s.restarts > 0 {
		s.printf("  the %-7s is back with %7d keys, %d had been on disk for certain", who, keys, kept)
	}
	if keys < kept {
		return fmt.Errorf("the %s has lost %d keys of %d", who, kept-keys, kept)
	}
	return nil
}

// kill kills one of the two again and again.
func (s *show) kill() error {
	for range s.kills {
		select {
		case <-time.After(time.Duration(rand.Int64N(int64(s.life)))):
		case <-s.ctx.Done():
			return s.ctx.Err()
		}
		s.restarts++
		var err error
		if rand.IntN(2) == 0 {
			p := s.master
			s.master = nil
			err = s.startMaster(p.kill())
		} else {
			p := s.replica
			s.replica = nil
			kept := p.kill()
			s.copies = append(s.copies, p.copies...)
			err = s.startReplica(kept)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// compare lets both come to rest, and looks at what they have on disk.
func (s *show) compare() error {
	if err := s.master.tell("enough"); err != nil {
		return err
	}
	var at string
	select {
	case at = <-s.master.done:
	case <-s.master.read:
		return errors.New("the master has ended")
	}
	if err := s.replica.tell(at); err != nil {
		return err
	}
	if err := s.await(s.master.keptKeys()); err != nil {
		return err
	}
	if err := s.close(); err != nil {
		return err
	}
	if len(s.copies) > 1 {
		return fmt.Errorf("full copies because of %q, where the replica's first is all that was needed", s.copies)
	}
	m, err := look(s.masterDir())
	if err != nil {
		return err
	}
	r, err := look(s.replicaDir())
	if err != nil {
		return err
	}
	if m != r {
		return fmt.Errorf("the two differ: %+v and %+v", m, r)
	}
	s.printf("Both have the same %d keys at %s. Full copies: %d.", m.Keys, m.Position, len(s.copies))
	return nil
}

func (p *process) keptKeys() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.kept
}

// look opens a folder and checks that the store in it was closed and has the items that it
// should.
func look(dir string) (kv.Digest, error) {
	store, err := kv.Open(dir, nil)
	if err != nil {
		return kv.Digest{}, err
	}
	defer store.Close()
	if r := store.Recovered(); !r.Clean {
		return kv.Digest{}, fmt.Errorf("%s was not closed: %+v", dir, r)
	}
	for i := range store.Len() {
		if v, err := store.Get(itemKey(i)); err != nil || string(v) != string(itemValue(i)) {
			return kv.Digest{}, fmt.Errorf("%s in %s: %q, %w", itemKey(i), dir, v, err)
		}
	}
	return store.Digest()
}

// close ends the processes, in the order in which they need each other.
func (s *show) close() (err error) {
	for _, p := range []**process{&s.replica, &s.master} {
		if *p != nil {
			err = errors.Join(err, (*p).stop())
			if p == &s.replica {
				s.copies = append(s.copies, (*p).copies...)
			}
			*p = nil
		}
	}
	return err
}
