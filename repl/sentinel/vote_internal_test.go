package sentinel

import (
	"testing"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/repl"
)

// A hustings is a voter in the scene that it acts in.
type hustings struct {
	t *testing.T
	voter
	scene
}

// newHustings returns a voter among n sentinels, the first of them.
func newHustings(t *testing.T, n int) *hustings {
	h := &hustings{t: t, voter: newVoter(sentinelID(0), ballot{epoch: 1}, time.Second, 7)}
	h.scene = scene{now: when(0), reign: exploredReign(1), quorum: 1}
	for i := 1; i < n; i++ {
		h.peers = append(h.peers, sentinelID(uint8(i)))
	}
	return h
}

// campaign has the voter stand, and begin.
func (h *hustings) begin() outcome {
	h.t.Helper()
	h.voter = h.stand(h.scene)
	out := h.tickAt(h.next())
	if !out.save || out.ask.Epoch != h.ballot.epoch || h.ballot.votedFor != h.self {
		h.t.Fatalf("begins with %+v, as %+v", out, h.ballot)
	}
	return out
}

func (h *hustings) tickAt(at time.Time) (out outcome) {
	h.now = at
	h.voter, out = h.tick(h.scene)
	return out
}

// hear has the voter take in an answer of peer i.
func (h *hustings) hear(i uint8, v verdict, known int, wait time.Duration) (out outcome) {
	r := reply{To: h.ballot.votedIn, Epoch: h.ballot.votedIn, Verdict: v, Known: known, Wait: wait}
	h.voter, out = h.answered(sentinelID(i), r, h.scene)
	return out
}

// give has the voter answer peer i, who asks for a vote in epoch.
func (h *hustings) give(i uint8, epoch uint64) (r reply) {
	h.voter, r, _ = h.asked(sentinelID(i), ask{Epoch: epoch, Reign: h.reign}, h.scene)
	return r
}

func TestHowManyVotesMakeALeader(t *testing.T) {
	for _, c := range []struct{ sentinels, quorum, known, need int }{
		{1, 1, 1, 1},
		{2, 1, 2, 2},
		{3, 2, 3, 2},
		{3, 3, 3, 3}, // a quorum above the majority
		{5, 2, 5, 3},
		{5, 2, 7, 4}, // a voter knows more sentinels than the candidate
		{5, 2, 2, 3}, // or fewer
		{2, 5, 2, 0}, // which can never be
	} {
		h := newHustings(t, c.sentinels)
		h.quorum = c.quorum
		votes, elected := 1, h.begin().elected
		for i := 1; i < c.sentinels && elected == 0; i++ {
			elected = h.hear(uint8(i), granted, c.known, 0).elected
			h.hear(uint8(i), granted, c.known, 0) // told twice it is still one
			votes++
		}
		if elected == 0 {
			votes = 0
		}
		if votes != c.need {
			t.Errorf("%+v: elected with %d votes", c, votes)
		}
	}
}

func TestWhatIsNoVote(t *testing.T) {
	h := newHustings(t, 3)
	epoch := h.begin().ask.Epoch
	for _, v := range []verdict{taken, oldReign, notYet} {
		if h.hear(1, v, 3, time.Second).elected != 0 {
			t.Errorf("elected by %v", v)
		}
	}
	for _, r := range []struct {
		from uint8
		to   uint64
	}{{1, epoch - 1}, {1, epoch + 1}, {7, epoch}} {
		var out outcome
		h.voter, out = h.answered(sentinelID(r.from), reply{To: r.to, Epoch: epoch, Verdict: granted, Known: 3}, h.scene)
		if out.elected != 0 {
			t.Errorf("elected in %d by a vote of sentinel %d in %d", epoch, r.from, r.to)
		}
	}
	if h.hear(1, granted, 3, 0).elected != epoch { // it was asked again
		t.Error("not elected by a majority")
	}
	if out := h.hear(2, granted, 3, 0); out.elected != 0 {
		t.Error("elected twice")
	}
}

// A peer that asks for patience is asked again as soon as that is over, in the same
// epoch; those whose answer is final are not.
func TestWhoIsAskedAgain(t *testing.T) {
	h := newHustings(t, 5)
	out := h.begin()
	if len(out.to) != 4 {
		t.Fatalf("asks %v", out.to)
	}
	begun, epoch := h.now, out.ask.Epoch
	h.hear(1, taken, 5, 0)
	h.hear(2, granted, 5, 0)
	h.hear(3, notYet, 5, 7*time.Millisecond)
	if got := h.next().Sub(begun); got != 7*time.Millisecond {
		t.Fatalf("asks again after %v, want 7ms", got)
	}
	if out := h.tickAt(h.next()); len(out.to) != 2 || out.to[0] != sentinelID(3) || out.to[1] != sentinelID(4) || out.ask.Epoch != epoch {
		t.Errorf("asks %v again in epoch %d, want 3 and 4 in %d", out.to, out.ask.Epoch, epoch)
	}
	asks := 0
	for h.voter.campaign.stage == campaigning {
		if out := h.tickAt(h.next()); out.lost != 0 && out.lost != epoch {
			t.Errorf("lost in epoch %d", out.lost)
		}
		asks++
	}
	if d := h.now.Sub(begun); d < h.pace.base || d > 2*h.pace.base || asks > 20 {
		t.Errorf("lost after %v and %d asks", d, asks)
	}
}

// Elections that come to nothing take twice as long each time, up to a bound, and never the same.
func TestTimeoutsDouble(t *testing.T) {
	h := newHustings(t, 3)
	different := make(map[time.Duration]bool)
	for try := range 9 {
		h.begin()
		begun := h.now
		for h.voter.campaign.stage == campaigning {
			h.tickAt(h.next())
		}
		least := min(h.pace.base<<try, h.pace.cap/2)
		if d := h.now.Sub(begun); d < least || d > 2*least {
			t.Errorf("try %d took %v, want %v to %v", try, d, least, 2*least)
		} else {
			different[d] = true
		}
	}
	if len(different) < 5 {
		t.Errorf("only %d different timeouts", len(different))
	}
	h.voter = h.withdraw()
	h.begin()
	if h.tries != 0 {
		t.Errorf("%d tries after the master was heard again", h.tries)
	}
}

// Failovers that come to nothing are tried again after twice as long each time, too, though
// their leader was elected at once.
func TestRestsDouble(t *testing.T) {
	h := newHustings(t, 1)
	for try := range 9 {
		h.voter = h.stand(h.scene)
		var out outcome
		for begun := h.now; out.elected == 0; out = h.tickAt(h.next()) {
			if h.now.Sub(begun) > time.Minute {
				t.Fatal("not elected")
			}
		}
		h.voter = h.retire(h.scene)
		least := min(h.pace.base<<try, h.pace.cap/2)
		if d := h.rest.Sub(h.now); d < least || d > 2*least {
			t.Errorf("after failover %d it rests for %v, want %v to %v", try, d, least, 2*least)
		}
	}
	if h.voter = h.withdraw(); h.tries != 0 {
		t.Errorf("%d tries after the master was heard again", h.tries)
	}
}

func TestOneVoteAnEpoch(t *testing.T) {
	h := newHustings(t, 3)
	if r := h.give(1, 3); r.Verdict != granted || r.Known != 3 || r.Epoch != 3 {
		t.Fatalf("the first gets %+v", r)
	}
	for _, c := range []struct {
		from  uint8
		epoch uint64
		want  verdict
	}{
		{2, 3, taken},      // somebody else
		{1, 3, granted},    // the same again
		{1, 2, lowerEpoch}, // an epoch that is over
		{2, 4, notYet},     // the next, while the first may be about to promote
		{1, 4, granted},    // which the first may ask for
		{1, 3, lowerEpoch}, // and not come back
	} {
		if r := h.give(c.from, c.epoch); r.Verdict != c.want || r.To != c.epoch {
			t.Errorf("sentinel %d asks in epoch %d: %v, want %v", c.from, c.epoch, r.Verdict, c.want)
		}
	}
	h.now = h.loyal
	if r := h.give(2, 5); r.Verdict != granted {
		t.Errorf("later: %v", r.Verdict)
	}
	h.reign = exploredReign(9)
	if r, _, _ := h.asked(sentinelID(1), ask{Epoch: 20, Reign: exploredReign(8)}, h.scene); r.ballot.votedIn != 5 {
		t.Error("a vote to replace a master that was replaced already")
	}
}

// While a promise to the master binds there is no vote, and no candidacy.
func TestPromisesComeBeforeVotes(t *testing.T) {
	h := newHustings(t, 3)
	h.promised = 300 * time.Millisecond
	if r := h.give(1, 3); r.Verdict != notYet || r.Wait != h.promised || r.Epoch != 1 || h.ballot.epoch != 1 {
		t.Errorf("%+v, epoch %d", r, h.ballot.epoch)
	}
	h.voter = h.stand(h.scene)
	if d := h.next().Sub(h.now); d < h.promised || d > h.promised+h.pace.delay {
		t.Errorf("stands after %v", d)
	}
	if out := h.tickAt(h.next()); out.save || h.ballot.epoch != 1 { // the promise was given again meanwhile
		t.Errorf("stands though a promise binds: %+v", out)
	}
	h.promised = 0
	if out := h.tickAt(h.next()); !out.save || h.ballot.votedIn != 3 {
		t.Errorf("does not stand: %+v", out)
	}
}

// After a vote a lease is for the master of that epoch, or one above it, however much later.
func TestVotesComeBeforeGrants(t *testing.T) {
	h := newHustings(t, 3)
	if !h.mayGrant(1) {
		t.Error("no grant before any vote")
	}
	h.give(1, 3)
	for epoch, may := range map[uint64]bool{1: false, 2: false, 3: true, 4: true} {
		if got := h.mayGrant(epoch); got != may {
			t.Errorf("after the vote a master of epoch %d gets a grant: %v", epoch, got)
		}
	}
	h.now = h.loyal
	h.begin()
	if h.mayGrant(1) {
		t.Error("a candidate grants a lease to the master that it wants to replace")
	}
}

// A candidate that is told of a higher epoch begins anew above it, without waiting.
func TestLowEpochsAreMadeUpFor(t *testing.T) {
	h := newHustings(t, 3)
	h.begin()
	told := h.now
	h.voter, _ = h.answered(sentinelID(1), reply{To: h.ballot.votedIn, Epoch: 40, Verdict: lowerEpoch, Known: 3}, h.scene)
	out := h.tickAt(h.next())
	if d := h.now.Sub(told); out.ask.Epoch != 41 || d > h.pace.delay {
		t.Errorf("asks in epoch %d after %v", out.ask.Epoch, d)
	}
}

// A step whose outcome could not be saved is not taken, and so may be taken in another way.
func TestUnsavedVotesWereNotGiven(t *testing.T) {
	h := newHustings(t, 3)
	before := h.voter
	next, r, out := h.asked(sentinelID(1), ask{Epoch: 3, Reign: h.reign}, h.scene)
	if r.Verdict != granted || !out.save || before.ballot.votedIn != 0 || next.ballot.votedIn != 3 {
		t.Fatalf("%+v, %+v: before %+v, after %+v", r, out, before.ballot, next.ballot)
	}
	if r := h.give(2, 3); r.Verdict != granted { // from the voter as it was before
		t.Errorf("%v", r.Verdict)
	}
}

func TestEpochsEnd(t *testing.T) {
	h := newHustings(t, 1)
	h.voter = h.heard(backlog.MaxCounter + 5)
	h.voter = h.stand(h.scene)
	if !h.next().IsZero() || h.ballot.epoch != backlog.MaxCounter {
		t.Errorf("stands after epoch %d", h.ballot.epoch)
	}
}

func TestPromisesByTheClock(t *testing.T) {
	p := newPromise(time.Second, when(0))
	if _, ok := p.grant(id(1), when(999*time.Millisecond)); ok {
		t.Error("a grant before what was promised before the start is over")
	}
	p, ok := p.grant(id(1), when(time.Second))
	if !ok || p.remaining(when(time.Second)) != time.Second {
		t.Fatalf("no grant after it, or %+v", p)
	}
	if p, ok = p.grant(id(1), when(1500*time.Millisecond)); !ok || p.remaining(when(2*time.Second)) != 500*time.Millisecond {
		t.Errorf("not renewed: %+v", p)
	}
	if q, ok := p.grant(id(2), when(2*time.Second)); ok || q != p {
		t.Error("a grant to another while a promise binds")
	}
	if _, ok := p.released(id(2)).grant(id(2), when(2*time.Second)); ok {
		t.Error("released by another")
	}
	if _, ok := p.released(id(1)).grant(id(2), when(2*time.Second)); !ok {
		t.Error("not released")
	}
	if q := newPromise(time.Second, when(0)); q.released(repl.NodeID{}) != q {
		t.Error("a promise of before the start is released by nobody")
	}
	if _, ok := newPromise(time.Second, when(-time.Hour)).grant(repl.NodeID{}, when(0)); ok {
		t.Error("a grant to nobody")
	}
}

// A failover on demand takes votes like any other, but at once, and from those who have promised something
// to the master.
func TestDemandsTakeVotes(t *testing.T) {
	h := newHustings(t, 3)
	h.promised = time.Second
	h.voter = h.voter.demand(toOust, h.scene)
	out := h.tickAt(h.now)
	if !out.save || out.aim != toOust || !out.ask.Anyway || len(out.to) != 2 || out.elected != 0 {
		t.Fatalf("begins with %+v", out)
	}
	epoch := out.ask.Epoch
	if out := h.hear(1, granted, 3, 0); out.elected != epoch || out.aim != toOust {
		t.Errorf("not elected by a majority: %+v", out)
	}

	other := newHustings(t, 3)
	other.promised = time.Second
	for anyway, want := range map[bool]verdict{false: notYet, true: granted} {
		if _, r, _ := other.asked(sentinelID(1), ask{Epoch: 3, Reign: other.reign, Anyway: anyway}, other.scene); r.Verdict != want {
			t.Errorf("anyway %v: %v, want %v", anyway, r.Verdict, want)
		}
	}
	other.give(2, 3)
	other.promised = 0
	other.give(2, 3)
	if _, r, _ := other.asked(sentinelID(1), ask{Epoch: 4, Reign: other.reign, Anyway: true}, other.scene); r.Verdict != notYet {
		t.Errorf("while another may be about to promote: %v", r.Verdict)
	}

	// It is not tried again: whoever has demanded it decides.
	h.voter = h.voter.demand(toOust, h.scene)
	h.tickAt(h.now)
	var lost outcome
	for lost.lost == 0 {
		lost = h.tickAt(h.next())
	}
	if lost.aim != toOust || h.campaign.stage != idle {
		t.Errorf("lost: %+v, in stage %v", lost, h.campaign.stage)
	}
	h.voter = h.voter.demand(toOust, h.scene) // but a low epoch is made up for
	h.tickAt(h.now)
	h.voter, _ = h.answered(sentinelID(1), reply{To: h.ballot.votedIn, Epoch: 40, Verdict: lowerEpoch, Known: 3}, h.scene)
	if out := h.tickAt(h.next()); out.ask.Epoch != 41 || out.aim != toOust {
		t.Errorf("asks %+v, for %v", out.ask, out.aim)
	}
}

// The epoch above that of the master is the one that it may begin by handing over: nobody is elected in it.
func TestHandoverHasAnEpoch(t *testing.T) {
	h := newHustings(t, 3)
	if r := h.give(1, 2); r.Verdict != lowerEpoch || h.ballot.votedIn != 0 {
		t.Errorf("%+v, %+v", r, h.ballot)
	}
	if out := h.begin(); out.ask.Epoch != 3 {
		t.Errorf("asks in epoch %d", out.ask.Epoch)
	}
}

// A vote counts as long as who gave it is one of the sentinels.
func TestVotesOfTheRemoved(t *testing.T) {
	h := newHustings(t, 5)
	epoch := h.begin().ask.Epoch
	h.hear(1, granted, 5, 0)
	h.peers = h.peers[1:] // s1 is removed: there are four, of which three make a majority
	if out := h.hear(2, granted, 4, 0); out.elected != 0 {
		t.Error("elected by a vote of one who is no sentinel any more")
	}
	if out := h.hear(3, granted, 4, 0); out.elected != epoch {
		t.Error("not elected by a majority")
	}
}

// Votes that come when the reign that they are to end has ended elect nobody: the master that has begun
// the next one is not down.
func TestVotesForAnEndThatHasCome(t *testing.T) {
	for _, a := range []aim{toReplace, toOust, toRaise} {
		h := newHustings(t, 3)
		h.voter = h.demand(a, h.scene)
		h.tickAt(h.next())
		if h.campaign.stage != campaigning {
			t.Fatalf("aim %d: no campaign: %+v", a, h.campaign)
		}
		h.reign = exploredReign(2)
		if out := h.hear(1, granted, 3, 0); out.elected != 0 || h.campaign.stage != idle {
			t.Errorf("aim %d: %+v, in stage %d", a, out, h.campaign.stage)
		}
	}
}
