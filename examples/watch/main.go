// Command watch shows a live view of a replica's contents: the scores of a game, by
// team and by player, kept up to date by kv.Store.Watch alone while a master takes
// writes.
//
//	go run ./examples/watch
//
// The view goes on through a link that is cut, a restart and a promotion, from the position
// that it was at; told that it was away for too long, it begins anew. All the while
// every move is a transaction that it sees whole or not at all. In the end it is
// compared with the contents; the program exits with 1 when anything differs.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/kv"
	"github.com/emberkv/ember/repl"
)

func main() {
	flag.Parse() // there are none: -help says so, and what is misspelt is refused
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := run(ctx, os.Stdout, time.Second, logBytes); err != nil {
		fmt.Fprintln(os.Stderr, "watch:", err)
		os.Exit(1)
	}
}

// logBytes is how far the logs reach back: not far, so that it can be shown what
// happens to whoever comes too late.
const logBytes = 1 << 20

// A show is a master, a replica, the link between them, and the watcher of the replica.
type show struct {
	ctx    context.Context
	out    io.Writer
	phase  time.Duration // how long what is live is shown
	window int64         // of the logs, in bytes

	master, copy *kv.Store
	from         *repl.Master
	to           *repl.Replica
	link         *cuttable
	watcher      *watcher
}

func run(ctx context.Context, out io.Writer, phase time.Duration, window int64) error {
	s := &show{
		ctx: ctx, out: out, phase: phase, window: window, link: newCuttable(),
		master: kv.New(&kv.Options{LogBytes: window}),
		copy:   kv.New(&kv.Options{LogBytes: window}),
	}
	defer s.close()
	if err := s.attach(); err != nil {
		return err
	}
	for _, part := range []func() error{s.live, s.cut, s.restart, s.late, s.promote} {
		if err := part(); err != nil {
			return err
		}
		if err := s.compare(); err != nil {
			return err
		}
	}
	return nil
}

func (s *show) say(format string, args ...any) { fmt.Fprintf(s.out, format+"\n", args...) }

// attach lets the replica follow the master, over TCP.
func (s *show) attach() (err error) {
	if err = deal(s.master); err != nil {
		return err
	}
	if s.from, err = repl.NewMaster(s.master, &repl.Options{Name: "master"}); err != nil {
		return err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go s.from.Serve(ln)
	s.to, err = repl.NewReplica(s.copy, ln.Addr().String(), &repl.Options{Name: "replica", Transport: s.link})
	if err != nil {
		return err
	}
	go s.to.Run(s.ctx)
	s.watcher = newWatcher(s.copy)
	return s.to.WaitSynced(s.ctx)
}

// live shows the view at work.
func (s *show) live() error {
	s.say("1. Watch the replica while the master takes writes")
	s.watcher.start()
	w := play(s.master, 1)
	defer w.stop()
	for range 4 {
		if err := s.pause(s.phase / 4); err != nil {
			return err
		}
		s.show()
	}
	return s.end(w)
}

// cut takes the link away and gives it back.
func (s *show) cut() error {
	s.say("\n2. Cut the link for a while: the view stands still, and goes on where it was")
	w := play(s.master, 2)
	defer w.stop()
	s.link.cut()
	if err := s.pause(s.phase / 2); err != nil {
		return err
	}
	s.show()
	s.say("   the replica is %d bytes of log behind", s.master.Position().Offset-s.copy.Position().Offset)
	s.link.heal()
	if err := s.pause(s.phase / 2); err != nil {
		return err
	}
	if err := s.end(w); err != nil {
		return err
	}
	return s.wantResets()
}

// restart stops the watcher for a while.
func (s *show) restart() error {
	s.say("\n3. Stop the watcher, and start it again from the position that it was at")
	if err := s.watcher.stop(); err != nil {
		return err
	}
	w := play(s.master, 3)
	defer w.stop()
	if err := s.pause(s.phase / 2); err != nil {
		return err
	}
	s.watcher.start()
	if err := s.end(w); err != nil {
		return err
	}
	return s.wantResets()
}

// late stops the watcher for longer than the log reaches back.
func (s *show) late() error {
	s.say("\n4. Stop it for longer than the log reaches back")
	if err := s.watcher.stop(); err != nil {
		return err
	}
	w := play(s.master, 4)
	defer w.stop()
	fast := newWriter(s.master, 5)
	for end := s.master.Position().Offset + 2*s.window; s.master.Position().Offset < end; {
		if err := fast.move(1000); err != nil {
			return err
		}
	}
	if err := s.copy.Wait(s.ctx, s.master.Position()); err != nil {
		return err
	}
	s.watcher.start()
	if err := s.end(w); err != nil {
		return err
	}
	return s.wantResets(backlog.Trimmed)
}

// promote makes the replica the master, as when the old one is gone.
func (s *show) promote() error {
	s.say("\n5. Promote the replica: its log goes on, in a new history, and so does the view")
	s.from.Close()
	s.master.Close()
	promoted, err := s.to.Promote(s.ctx)
	if err != nil {
		return err
	}
	s.from, s.master = promoted, s.copy
	w := play(s.master, 6)
	defer w.stop()
	if err := s.pause(s.phase / 2); err != nil {
		return err
	}
	if err := s.end(w); err != nil {
		return err
	}
	return s.wantResets(backlog.Trimmed) // the one before
}

// end stops the writer and waits until the view has all that it wrote.
func (s *show) end(w *writer) error {
	moves, err := w.stop()
	if err != nil {
		return err
	}
	if err := s.copy.Wait(s.ctx, s.master.Position()); err != nil {
		return err
	}
	if err := s.watcher.wait(s.ctx); err != nil {
		return err
	}
	s.show()
	s.watcher.look(func(_ *view, c counts) {
		s.say("   %d moves were made; the watcher was handed %d events, %d of them until it was level; resets: %v",
			moves, c.events, c.late, c.resets)
	})
	return nil
}

// wantResets fails unless these were the resets since the watcher's start.
func (s *show) wantResets(want ...backlog.Refusal) (err error) {
	s.watcher.look(func(_ *view, c counts) {
		if !slices.Equal(c.resets, want) {
			err = fmt.Errorf("resets %v, want %v", c.resets, want)
		}
	})
	return err
}

// compare fails unless the view says what both stores have.
func (s *show) compare() (err error) {
	s.watcher.look(func(v *view, _ counts) {
		for _, store := range []*kv.Store{s.copy, s.master} {
			if err == nil {
				err = v.compare(store)
			}
		}
	})
	if err == nil {
		s.say("   the view, the replica and the master are equal")
	}
	return err
}

func (s *show) show() {
	s.watcher.look(func(v *view, _ counts) { s.say("   %v", v) })
}

// pause waits, at most until the program has taken too long.
func (s *show) pause(d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-s.ctx.Done():
		return s.ctx.Err()
	}
}

func (s *show) close() {
	if s.watcher != nil {
		s.watcher.stop()
	}
	if s.to != nil {
		s.to.Close()
	}
	if s.from != nil {
		s.from.Close()
	}
	s.copy.Close()
	s.master.Close()
}
