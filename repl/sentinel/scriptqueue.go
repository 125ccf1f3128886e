package sentinel

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// A scriptQueue runs scripts, some at once and the others in the order in which they were
// added, and again those that ask for it. It has one goroutine, and one for each script that
// runs. Its methods may be called concurrently and, except close, do not wait for scripts.
type scriptQueue struct {
	scripts Scripts
	log     *slog.Logger
	event   func(kind EventKind, text string) // EventScriptError and EventScriptTimeout

	ctx  context.Context // ends with close
	end  context.CancelFunc
	wake chan struct{} // something may be due, or another may be run
	wg   sync.WaitGroup

	mu struct {
		sync.Mutex
		jobs    []*scriptJob // at most maxScripts, the oldest first
		running int          // of them, at most maxScriptsRunning
	}
}

// A scriptJob is a script that is to be run, with its arguments. Its fields below args are
// guarded by the queue's lock.
type scriptJob struct {
	path    string
	args    []string
	runs    int       // that have begun
	running bool      //
	at      time.Time // when the run began, or when the next one is due
}

// A ScriptStatus is a script that runs or waits to be run.
type ScriptStatus struct {
	Path    string    `json:"path"`
	Args    []string  `json:"args"`
	Runs    int       `json:"runs"` // that have begun
	Running bool      `json:"running"`
	At      time.Time `json:"at"` // when the run began, or when the next one is due
}

// newScriptQueue returns a queue for scripts, whose options are normalized. It calls event,
// from any of its goroutines, for a script that has failed for good or was killed.
// The caller must call close.
func newScriptQueue(s Scripts, log *slog.Logger, event func(EventKind, string)) *scriptQueue {
	q := &scriptQueue{scripts: s, log: log, event: event, wake: make(chan struct{}, 1)}
	q.ctx, q.end = context.WithCancel(context.Background())
	q.wg.Go(q.run)
	return q
}

// add lets a script be run.
func (q *scriptQueue) add(path string, args ...string) {
	q.mu.Lock()
	var dropped *scriptJob
	if len(q.mu.jobs) == maxScripts {
		// There is one: fewer may run at once.
		i := slices.IndexFunc(q.mu.jobs, func(j *scriptJob) bool { return !j.running })
		dropped = q.mu.jobs[i]
		q.mu.jobs = slices.Delete(q.mu.jobs, i, i+1)
	}
	q.mu.jobs = append(q.mu.jobs, &scriptJob{path: path, args: args, at: time.Now()})
	q.mu.Unlock()
	if dropped != nil {
		q.log.Warn("too many scripts; one is given up", "script", dropped.path, "args", dropped.args)
	}
	q.poke()
}

// status returns the scripts that run or wait, the oldest first.
func (q *scriptQueue) status() []ScriptStatus {
	q.mu.Lock()
	defer q.mu.Unlock()
	all := make([]ScriptStatus, 0, len(q.mu.jobs))
	for _, j := range q.mu.jobs {
		all = append(all, ScriptStatus{Path: j.path, Args: j.args, Runs: j.runs, Running: j.running, At: j.at})
	}
	return all
}

// close kills the scripts that run and forgets the others. It may be called twice.
func (q *scriptQueue) close() {
	q.end()
	q.wg.Wait()
}

func (q *scriptQueue) poke() {
	select {
	case q.wake <- struct{}{}:
	default: // it will look, and find this, too
	}
}

// run starts what is due until the queue is closed.
func (q *scriptQueue) run() {
	timer := time.NewTimer(soonest)
	defer timer.Stop()
	for q.ctx.Err() == nil {
		if pause, waits := q.startDue(time.Now()); waits {
			timer.Reset(pause)
		} else {
			timer.Stop()
		}
		select {
		case <-timer.C:
		case <-q.wake:
		case <-q.ctx.Done():
		}
	}
}

// startDue starts the scripts that may run at now. It returns the time until the next is
// due, if there is one and it could be run.
func (q *scriptQueue) startDue(now time.Time) (pause time.Duration, waits bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, j := range q.mu.jobs {
		if q.mu.running == maxScriptsRunning {
			return 0, false // the end of one of them wakes
		}
		if j.running {
			continue
		}
		if left := j.at.Sub(now); left > 0 {
			if !waits || left < pause {
				pause, waits = left, true
			}
			continue
		}
		j.running, j.at = true, now
		j.runs++
		q.mu.running++
		q.wg.Go(func() { q.execute(j) })
	}
	return pause, waits
}

// execute runs a script once and decides what becomes of it.
func (q *scriptQueue) execute(j *scriptJob) {
	end := runScript(q.ctx, q.scripts.ScriptTimeout, j.path, j.args)
	if q.ctx.Err() != nil {
		return // killed, or forgotten
	}
	q.mu.Lock()
	runs := j.runs
	again := end.again() && runs < maxScriptRuns
	if again {
		j.running, j.at = false, time.Now().Add(q.scripts.ScriptRetry<<(runs-1))
	} else {
		i := slices.Index(q.mu.jobs, j)
		q.mu.jobs = slices.Delete(q.mu.jobs, i, i+1)
	}
	q.mu.running--
	q.mu.Unlock()
	q.poke()
	q.report(j, end, runs, again)
}

// report says what has become of a script, unless all is well.
func (q *scriptQueue) report(j *scriptJob, end scriptEnd, runs int, again bool) {
	log := q.log.With("script", j.path, "args", j.args, "run", runs, "end", end.String(), "printed", end.printed)
	if end.timedOut {
		q.event(EventScriptTimeout, j.path+" "+end.pidText())
	}
	switch {
	case again:
		log.Info("script will be run again")
	case !end.ok():
		log.Warn("script has failed")
		q.event(EventScriptError, j.path+" "+end.codes())
	}
}
