package kv

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/rdb"
)

const (
	// syncEvery is how old something written gets before it is synced, under
	// FsyncEverySecond.
	syncEvery = time.Second

	// gatherFor is how long the journal lets records gather before it writes again, unless
	// somebody waits for the disk: a write costs as much for one record as for hundreds.
	// It is also what followers of a store that writes are behind the more.
	gatherFor = time.Millisecond

	// reuniteMost is for how long, as a part of what the last sync took, and reuniteTurns for
	// how many turns of others, those who have waited for one sync may write again before
	// the next begins: else the first that is back has it for itself, and the others wait
	// for two.
	reuniteMost  = 8
	reuniteTurns = 1000

	// batchBytes is about how much is written at once.
	batchBytes = 1 << 20

	// retryFirst and retryMost are the pauses between attempts to write a journal that
	// failed.
	retryFirst = 50 * time.Millisecond
	retryMost  = time.Second
)

// A journal writes the store's log to files. It is one more reader of the log, on a
// goroutine of its own, run.
//
// It holds the log back from being trimmed past what is on disk, and bounds what
// followers are given of the store's own writes by what is written, or synced under
// FsyncAlways. What another node wrote is handed on at once: that node has it, so it is not
// lost with this one, and a disk that fails ends with nobody but the node that it belongs to.
type journal struct {
	store  *Store
	folder *folder
	opts   Durability

	writing   // how far it has come: run's alone
	published // what all others see of that

	mu struct {
		sync.Mutex
		changed chan struct{} // closed when anything of published changes; nil when nobody waits
		waiting int           // how many were given it
		woken   int           // how many the last one that was closed was given to
		err     error         // of the end
	}

	requests chan struct{} // somebody wants a sync
	captures chan *capture // from those who save
	saving   chan struct{} // holds a token while somebody saves
	lastSave atomic.Int64  // Unix nanoseconds
	savedAt  atomic.Int64  // records at the last save

	ctx     context.Context // ends when the journal is to end
	cancel  context.CancelFunc
	done    chan struct{}
	wg      sync.WaitGroup
	closing sync.Once
}

func newJournal(s *Store, f *folder, opts Durability) *journal {
	j := &journal{
		store: s, folder: f, opts: opts,
		requests: make(chan struct{}, 1), captures: make(chan *capture), saving: make(chan struct{}, 1),
		done: make(chan struct{}),
	}
	j.archive.Store(newArchive(f))
	j.ctx, j.cancel = context.WithCancel(context.Background())
	return j
}

// begin starts the journal at the log's end, which is on disk up to there, in a new file.
func (j *journal) begin() error {
	log := j.store.log
	end := log.End()
	r, err := log.NewReader(end)
	if err != nil {
		return err
	}
	j.reader = r
	j.written, j.onDisk = end, end
	if j.file, err = j.create(end); err != nil {
		return err
	}
	j.publish()
	j.reader.SetArchive(j.archive.Load())
	log.SetStoreGate(j.gate)
	go j.run()
	j.wg.Go(j.schedule)
	return nil
}

// run is the journal's goroutine.
func (j *journal) run() {
	defer close(j.done)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		j.step()
		if !j.wait(timer) {
			break
		}
	}
	err := j.finish()
	j.reader.Close()
	j.mu.Lock()
	j.mu.err = err
	j.mu.Unlock()
	j.tell()
}

// step writes what there is, and syncs what is due.
func (j *journal) step() {
	if j.file == nil {
		if time.Now().Before(j.retryAt) {
			return
		}
		if err := j.reopen(); err != nil {
			j.cope(err)
			return
		}
	}
	err := j.write()
	if err == nil {
		err = j.syncIfDue()
	}
	if err != nil {
		j.cope(err)
	}
}

// cope does what an error asks for: the log was replaced, or the disk fails.
func (j *journal) cope(err error) {
	if errors.Is(err, backlog.ErrReset) || errors.Is(err, backlog.ErrTrimmed) {
		if err = j.reset(); err == nil {
			return
		}
	}
	j.fail(err)
}

// wait blocks until there is something to do. It returns false when the journal is to end.
func (j *journal) wait(timer *time.Timer) bool {
	var ready <-chan struct{}
	var synced chan error
	if j.file != nil {
		ready = j.reader.Ready()
	}
	if j.sync != nil {
		synced = j.sync.done
	}
	timer.Reset(j.untilDue())
	select {
	case <-ready:
		return j.gatherSome(timer)
	case <-timer.C:
	case <-j.requests:
		j.wanted = true
	case err := <-synced:
		j.endSync(err)
	case <-j.base.ready():
		j.endBase()
	case c := <-j.captures:
		j.capture(c)
	case <-j.ctx.Done():
		return false
	}
	return true
}

// gatherSome waits until the last write is gatherFor ago, unless there is a hurry.
func (j *journal) gatherSome(timer *time.Timer) bool {
	left := gatherFor - time.Since(j.wrote)
	if j.opts.Fsync == FsyncAlways || j.wanted || left <= 0 {
		return true
	}
	timer.Reset(left)
	select {
	case <-timer.C:
	case <-j.requests:
		j.wanted = true
	case <-j.ctx.Done():
		return false
	}
	return true
}

// untilDue returns how long nothing is due.
func (j *journal) untilDue() time.Duration {
	switch {
	case j.file == nil:
		return max(time.Until(j.retryAt), 0)
	case j.opts.Fsync == FsyncEverySecond && j.sync == nil && !j.allSynced():
		return max(time.Until(j.file.unsynced.Add(syncEvery)), 0)
	}
	return time.Hour
}

// finish brings what the log has to the disk, and says that all of it is there.
func (j *journal) finish() error {
	j.wg.Wait() // those who save have noticed
	if j.sync != nil {
		j.endSync(<-j.sync.done)
	}
	err := j.finishWriting()
	if j.file != nil {
		if cerr := j.file.out.Close(); err == nil {
			err = cerr
		}
	}
	if err != nil {
		return err
	}
	// Of the history that the journal is in: if another one was begun since, nothing of it is here.
	return j.folder.writeStop(rdb.Stop{Generation: j.gen, Position: backlog.Position{History: j.history, Offset: j.onDisk}})
}

func (j *journal) finishWriting() error {
	if j.file == nil {
		if err := j.reopen(); err != nil {
			return err
		}
	}
	if err := j.write(); err != nil {
		return err
	}
	if err := j.syncNow(); err != nil {
		return err
	}
	if j.base == nil {
		return nil
	}
	<-j.base.done
	return j.endBase()
}

// close ends the journal after the last write of its store, and returns why not all of it
// is on disk.
func (j *journal) close() error {
	j.cancel()
	<-j.done
	j.closing.Do(func() {
		j.saving <- struct{}{} // for good: whoever saves has ended, and nobody will any more
		j.folder.close()
	})
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.mu.err
}

// notice returns when the journal knows of every log that has been adopted, so that it
// does not find out when the store has no contents any more.
func (j *journal) notice() {
	if c, err := j.captured(context.Background()); err == nil && c.snap != nil {
		c.snap.Close()
	}
}

// tell wakes all who wait for the journal.
func (j *journal) tell() {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.mu.changed != nil {
		close(j.mu.changed)
		j.mu.changed = nil
	}
	j.mu.woken, j.mu.waiting = j.mu.waiting, 0
}

// watch returns a channel that is closed at the next change.
func (j *journal) watch() <-chan struct{} {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.mu.changed == nil {
		j.mu.changed = make(chan struct{})
	}
	j.mu.waiting++
	return j.mu.changed
}

// ask asks for a sync.
func (j *journal) ask() {
	select {
	case j.requests <- struct{}{}:
	default:
	}
}

// next returns the name of another file.
func (j *journal) next(gen uint64) rdb.Segment {
	return rdb.Segment{Generation: gen, Sequence: j.seq.Add(1)}
}
