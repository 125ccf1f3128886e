package sentinel

import (
	"fmt"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/repl"
)

// A phase is how far a failover has come.
//
//	         begin                            the view has the new reign
//	none ----------> select ---------> promote ------------------------> reconf ----> none
//	                   | ^ |              ^                                (no way back)
//	         on demand | | | somebody     |
//	                   v | v has more     |
//	             stepDown -> catchUp -----+        and from each before reconf: abort
//
// A master that is back when it comes to the choice is chosen, and stays what it is, in the new epoch.
type phase uint8

const (
	phaseNone     phase = iota
	phaseSelect         // hears all nodes, and chooses one
	phaseStepDown       // on demand: the master is told to step down, or its lease is waited for
	phaseCatchUp        // the chosen one is to get what another has more
	phasePromote        // it is told to become the master, until a report says that it is
	phaseReconf         // the others are told to follow it
)

var phases = [...]string{"none", "select-slave", "step-down", "catch-up", "promote", "reconf-slaves"}

// String returns the phase in a word.
func (p phase) String() string { return phases[p] }

// Bounds in time of the steps of a failover, beside Options.FailoverTimeout and DownAfter.
const (
	reconfTimeout = 10 * time.Second      // for one replica to follow the new master
	lookAgain     = 10 * time.Millisecond // at least, from one look at the nodes to the next while one is waited for
)

// A failover leads the group from one master to the next, on behalf of a sentinel that was
// elected for it, or told to by its program. It has no clock, goroutine or link: each input
// goes to a method, with the time and what the sentinel knows, and what is to be done comes back. All inputs
// of the desk may go to step, as it looks at the view alone. What happens is told through the view.
//
// Up to the promotion it can end without having changed anything, and does so as soon as there is a
// reason. When the view has a reign of the chosen node in this failover's epoch, that is the point of no
// return. Should this sentinel die, others either see the new reign themselves, and correct the
// rest, or elect another leader in a higher epoch.
type failover struct {
	opts  *Options
	phase phase
	since time.Time // when the phase began
	begun time.Time

	epoch    uint64
	demanded bool
	old      Reign // which it is to end, or in phaseReconf the new one

	promotion // until there is a new master
	following // in phaseReconf

	lookAt  time.Time // when to ask all nodes anew
	numbers uint64    // of errands
	out     todo
}

// A todo is what a step of a failover asks the desk to do, in this order.
type todo struct {
	look   bool     // ask all nodes for reports, now
	orders []errand // their results go to result
	retire bool     // it came to nothing: the voter is to rest before the next
	again  bool     // the chosen one may have been promoted: another can be in a new epoch only, which is to be voted for
	done   bool     // who has demanded it is to be told err: it has promoted a node, or comes to nothing
	err    error
}

// An errand is an order on its way to a node.
type errand struct {
	number uint64 // of the errand, for result
	to     repl.NodeID
	order  *repl.Order
}

func newFailover(opts *Options) *failover { return &failover{opts: opts} }

// leads reports whether a failover is under way that has not promoted anybody yet. Meanwhile nobody
// is granted a lease, and no vote is asked for.
func (f *failover) leads() bool { return f.phase > phaseNone && f.phase < phaseReconf }

// busy reports whether nodes are being told whom to follow: others should not correct them.
func (f *failover) busy() bool { return f.phase != phaseNone }

// begin leads a failover in epoch, as the leader that was elected in it.
func (f *failover) begin(now time.Time, v *view, epoch uint64) todo {
	f.start(now, v, epoch, EventElectedLeader)
	return f.run(now, v)
}

// demand leads a failover that the program wants, whether or not the master is down, as the leader
// that was elected in epoch.
func (f *failover) demand(now time.Time, v *view, epoch uint64) todo {
	f.start(now, v, epoch, EventElectedLeader)
	f.demanded = true
	if f.writes(v) { // one that has stepped down already may be the only one that is left
		f.not = []repl.NodeID{f.old.ID}
	}
	return f.run(now, v)
}

// hopeless returns an [ErrNoGoodSlave] if nobody could be promoted in place of the master, by
// what is known of them.
func (f *failover) hopeless(now time.Time, v *view) error {
	c := contest{now: now, epoch: backlog.MaxCounter, not: []repl.NodeID{v.reign.ID}, view: v}
	if best, refused := c.choose(); best == nil {
		return fmt.Errorf("%w: %s", ErrNoGoodSlave, refused)
	}
	return nil
}

func (f *failover) start(now time.Time, v *view, epoch uint64, kind EventKind) {
	if f.phase == phaseReconf {
		f.finish(v, EventFailoverEndTimeout, "the next failover begins")
	}
	*f = failover{opts: f.opts, out: f.out, numbers: f.numbers, begun: now, epoch: epoch, old: v.reign}
	f.out.done = false
	f.enter(now, phaseSelect)
	f.event(v, kind, f.old.instance(), "")
	f.event(v, EventStateSelectSlave, f.old.instance(), "")
}

// step does what is due after any change of the view, and at next.
func (f *failover) step(now time.Time, v *view) todo {
	if f.phase == phaseNone {
		return todo{}
	}
	return f.run(now, v)
}

// result takes in what became of an errand; nil if the node has carried it out.
func (f *failover) result(now time.Time, v *view, number uint64, err error) todo {
	switch {
	case f.phase == phaseNone:
		return todo{}
	case f.task.number == number:
		f.task.result(now, err)
	default:
		for _, t := range f.turns {
			if t.task.number == number {
				t.task.result(now, err)
			}
		}
	}
	return f.run(now, v)
}

// cancel ends the failover, whatever its phase, because the group is forgotten.
func (f *failover) cancel() todo {
	if f.leads() {
		f.over(ErrAborted)
	}
	f.phase = phaseNone
	return f.take()
}

// next returns when step wants to be called, if nothing happens before; zero for never.
func (f *failover) next() time.Time {
	switch f.phase {
	case phaseNone:
		return time.Time{}
	case phaseReconf:
		return f.nextTurn()
	case phaseSelect:
		return f.since.Add(f.opts.DownAfter)
	}
	return earlier(f.lookAt, f.begun.Add(f.opts.FailoverTimeout))
}

// run goes through the phases until one waits.
func (f *failover) run(now time.Time, v *view) todo {
	for before := phaseNone; before != f.phase && f.phase != phaseNone; {
		before = f.phase
		if f.phase == phaseReconf {
			f.reconf(now, v)
			continue
		}
		switch {
		case f.isMaster(v) && f.stays:
			f.over(ErrMasterBack)
			continue
		case f.isMaster(v):
			f.promoted(now, v)
			continue
		case v.reign.Epoch != f.old.Epoch:
			f.over(ErrSuperseded)
			continue
		case !now.Before(f.begun.Add(f.opts.FailoverTimeout)):
			f.abort(v, EventAbortSlaveTimeout, v.nodes[f.chosen], ErrTimeout)
			continue
		}
		switch f.phase {
		case phaseSelect:
			f.choose(now, v)
		case phaseStepDown:
			f.stepDown(now, v)
		case phaseCatchUp:
			f.catchUp(now, v)
		case phasePromote:
			f.promote(now, v)
		}
	}
	return f.take()
}

func (f *failover) take() todo {
	out := f.out
	f.out = todo{}
	return out
}

// enter goes over to another phase.
func (f *failover) enter(now time.Time, p phase) {
	f.phase, f.since, f.task = p, now, task{}
	f.look(now)
}

// look asks all nodes for reports, now, and says when to do so again.
func (f *failover) look(now time.Time) {
	f.out.look = true
	f.lookAt = now.Add(max(lookAgain, f.opts.DownAfter/16))
}

// over ends a failover before its promotion.
func (f *failover) over(err error) {
	f.phase = phaseNone
	f.out.done, f.out.err = true, err
}

// abort ends it because of something that another attempt may overcome.
func (f *failover) abort(v *view, kind EventKind, about *node, err error) {
	i := f.old.instance()
	if about != nil && kind == EventAbortSlaveTimeout {
		i = v.instance(about)
	}
	f.event(v, kind, i, err.Error())
	v.told[len(v.told)-1].Err = err
	f.over(err)
	f.out.retire = true
}

// event has an event told.
func (f *failover) event(v *view, kind EventKind, about Instance, text string) {
	v.tell(kind, about, text)
	v.told[len(v.told)-1].Epoch = f.epoch
}
