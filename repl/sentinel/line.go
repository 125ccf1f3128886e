package sentinel

import (
	"context"
	"slices"
	"time"

	"github.com/emberkv/ember/repl"
)

// maxAsked is how many questions are under way on one line. With it a round trip as long
// as DownAfter leaves no gaps between answers.
const maxAsked = 16

// A line is a control link that is kept up to one address: dialled, and dialled again
// whenever it is lost. Who answers there is known when it stands. All but run belongs to the
// desk.
type line struct {
	addr string
	stop context.CancelFunc
	ctl  *repl.Control // nil while the line is down

	id       repl.NodeID // of the one that answers, or has answered last
	sentinel bool        // it is one
	failed   string      // why it was lost, or could not be dialled, last
	rivals   rivals      // how often another link of this sentinel's id took its place

	nextAt  time.Time  // when the next poll or exchange is due
	asked   []question // that are not answered, oldest first
	numbers uint64     // of questions so far

	heard uint64 // the number of the poll that the newest report answers
	stamp uint64 // of that report, while no grant has answered it; 0 for none
}

// A question is a poll or a call under way.
type question struct {
	number uint64
	at     time.Time // when it was sent
}

// maxPause is how long an address is left alone at which nobody has answered for long, or somebody
// else.
const maxPause = time.Second

// run keeps the line up until ctx ends.
func (l *line) run(ctx context.Context, d *desk) {
	for worked := time.Now(); ctx.Err() == nil; {
		ctl, err := repl.DialControl(ctx, l.addr, d.control.Load())
		if err == nil {
			up := time.Now()
			d.post(func(now time.Time) { d.lineUp(l, ctl, now) })
			l.watch(ctx, d, ctl)
			ctl.Close()
			err = ctl.Err()
			if time.Since(up) > d.opts.pollEvery() { // or else it was refused, at one end
				worked = time.Now()
			}
		}
		d.post(func(now time.Time) { d.lineDown(l, ctl, err, now) })
		pause := time.NewTimer(max(d.opts.pollEvery(), min(time.Since(worked)/8, maxPause)))
		select {
		case <-pause.C:
		case <-ctx.Done():
		}
		pause.Stop()
	}
}

// watch returns when the link is lost or ctx ends. Until then it has the node asked as soon as that
// says that there are news.
func (l *line) watch(ctx context.Context, d *desk, ctl *repl.Control) {
	for {
		select {
		case <-ctl.News():
			d.post(func(now time.Time) { l.nextAt = now })
		case <-ctl.Done():
			return
		case <-ctx.Done():
			return
		}
	}
}

// ask notes that something is asked, if so little is under way that it may be. It returns
// the question's number, or 0.
func (l *line) ask(now time.Time) uint64 {
	if l == nil || l.ctl == nil || len(l.asked) >= maxAsked {
		return 0
	}
	l.numbers++
	l.asked = append(l.asked, question{l.numbers, now})
	return l.numbers
}

// answered notes that a question is answered.
func (l *line) answered(number uint64) {
	l.asked = slices.DeleteFunc(l.asked, func(q question) bool { return q.number == number })
}

// oldest returns when the oldest question was asked that is not answered, or zero.
func (l *line) oldest() time.Time {
	if len(l.asked) == 0 {
		return time.Time{}
	}
	return l.asked[0].at
}
