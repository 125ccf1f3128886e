package sentinel

import (
	"testing"
	"time"
)

// assembly returns all voters of a group of n, who have begun a campaign at one moment if
// they are among the first stand.
func assembly(t *testing.T, n, stand int) []*hustings {
	all := make([]*hustings, n)
	for i := range all {
		h := newHustings(t, n)
		h.voter = newVoter(sentinelID(uint8(i)), ballot{epoch: 1}, time.Second, uint64(i))
		h.peers = nil
		for j := range n {
			if j != i {
				h.peers = append(h.peers, sentinelID(uint8(j)))
			}
		}
		if i < stand {
			h.begin()
		}
		h.now = when(time.Second)
		h.campaign.ends = h.now.Add(h.pace.base)
		all[i] = h
	}
	return all
}

// canvass has one of them ask another, as parsed from the wire.
func canvass(t *testing.T, all []*hustings, asks, answers int) outcome {
	t.Helper()
	r, err := parseReply(all[answers].give(uint8(asks), 3).append(nil))
	if err != nil {
		t.Fatal(err)
	}
	h := all[asks]
	var out outcome
	h.voter, out = h.answered(sentinelID(uint8(answers)), r, h.scene)
	return out
}

// TestSplitVotesEndAtOnce: when so many stand at one moment that none of them can be elected, those who hear
// of it do not wait for the end of the election, and stand anew at different times.
func TestSplitVotesEndAtOnce(t *testing.T) {
	for _, c := range []struct{ sentinels, stand, answers int }{
		{2, 2, 1}, {3, 3, 2}, {4, 3, 2}, {5, 4, 3}, {5, 5, 3}, {7, 5, 4},
	} {
		all := assembly(t, c.sentinels, c.stand)
		begins := make(map[time.Time]bool)
		for i, h := range all[:c.stand] {
			for n, heard := 0, 0; heard < c.answers; n++ {
				if n == i {
					continue
				}
				if heard++; h.campaign.stage != campaigning {
					t.Fatalf("%+v: %d has lost after %d answers", c, i, heard-1)
				}
				out := canvass(t, all, i, n)
				if last := heard == c.answers; (out.lost == 3) != last || out.elected != 0 || out.save {
					t.Fatalf("%+v: answer %d to %d: %+v", c, heard, i, out)
				}
			}
			h.voter = h.stand(h.scene)
			d := h.next().Sub(h.now)
			if begins[h.next()] = true; d > 3*h.pace.delay || h.tries != 1 {
				t.Errorf("%+v: %d stands again after %v, of %d tries", c, i, d, h.tries)
			}
		}
		if len(begins) < c.stand {
			t.Errorf("%+v: they stand again at %d different times", c, len(begins))
		}
	}
}

// TestRivalsMayBeElected: as long as another may have a majority, whoever has lost leaves it
// alone until the end of the election.
func TestRivalsMayBeElected(t *testing.T) {
	for _, c := range []struct{ sentinels, stand int }{{3, 2}, {4, 2}, {5, 2}, {5, 3}, {7, 4}} {
		all := assembly(t, c.sentinels, c.stand)
		for i := c.stand; i < c.sentinels; i++ { // all others are for the first
			canvass(t, all, 0, i)
		}
		if all[0].campaign.stage == campaigning && c.sentinels-c.stand+1 > c.sentinels/2 {
			t.Errorf("%+v: not elected by a majority", c)
		}
		for i := range c.sentinels {
			if i == 1 {
				continue
			}
			if out := canvass(t, all, 1, i); out.lost != 0 || all[1].campaign.stage != campaigning {
				t.Errorf("%+v: has lost after the answer of %d", c, i)
			}
		}
	}
}

// TestSplitsRestLonger: elections that are split again and again are so after longer and longer rests, up to a bound.
func TestSplitsRestLonger(t *testing.T) {
	h := newHustings(t, 2)
	for try := range 20 {
		h.begin()
		h.hear(1, taken, 2, time.Second)
		if h.campaign.stage != idle || h.tries != try+1 {
			t.Fatalf("try %d: stage %d, %d tries", try, h.campaign.stage, h.tries)
		}
		if d, most := h.rest.Sub(h.now), min(h.pace.delay<<(try+1), h.pace.cap/2); d < 0 || d > most {
			t.Errorf("try %d: it rests for %v, of at most %v", try, d, most)
		}
	}
	if h.rest.Sub(h.now) > h.pace.cap/2 {
		t.Errorf("it rests for %v", h.rest.Sub(h.now))
	}
}

// TestOverheardEpochsAreLeftAlone: one that hears of an epoch before it is asked for its vote in it does not begin
// the next at once, whenever it wanted to; one that it has to leave alone for longer is left alone for longer.
func TestOverheardEpochsAreLeftAlone(t *testing.T) {
	h := newHustings(t, 3)
	h.voter = h.stand(h.scene)
	h.now = h.next()
	h.voter = h.overheard(5, h.now)
	if out := h.tickAt(h.now); out.save || h.ballot.epoch != 5 {
		t.Fatalf("begins with %+v, %+v", out, h.ballot)
	}
	if d := h.next().Sub(h.now); d != h.pace.delay {
		t.Errorf("waits for %v, want %v", d, h.pace.delay)
	}
	if r := h.give(1, 5); r.Verdict != granted {
		t.Errorf("whoever has begun it gets %v", r.Verdict)
	}

	other := newHustings(t, 3)
	other.voter = other.stand(other.scene)
	spread := other.next().Sub(other.now)
	other.voter = other.overheard(5, other.now)
	if d := other.next().Sub(other.now); d != other.pace.delay+spread {
		t.Errorf("who would have waited for %v more waits for %v: all would begin together", spread, d)
	}

	idle := newHustings(t, 3)
	idle.voter = idle.overheard(5, idle.now)
	idle.voter = idle.stand(idle.scene)
	if d := idle.next().Sub(idle.now); d < idle.pace.delay {
		t.Errorf("stands after %v for what it hears together with the epoch, want %v", d, idle.pace.delay)
	}

	h.voter = h.stand(h.scene)
	begins := h.next()
	h.voter = h.overheard(6, h.now)
	if h.next() != begins || begins.Before(h.loyal) {
		t.Errorf("begins at %v, before %v", h.next(), begins)
	}
	h.voter = h.demand(toOust, h.scene)
	begins = h.next()
	if h.voter = h.overheard(7, h.now); h.next() != begins {
		t.Error("what a program demands is put off")
	}
}

// TestVotesEndWants: whoever has got the vote does not want it any more, so that the master that comes of it is leased to.
func TestVotesEndWants(t *testing.T) {
	h := newHustings(t, 3)
	h.promised = 100 * time.Millisecond
	if r := h.give(1, 3); r.Verdict != notYet || !h.wanted.After(h.now.Add(h.promised)) {
		t.Fatalf("%+v, wanted until %v", r, h.wanted)
	}
	h.promised = 0
	if r := h.give(1, 3); r.Verdict != granted || !h.wanted.IsZero() {
		t.Errorf("%+v, wanted until %v", r, h.wanted)
	}
	if r := h.give(2, 4); r.Verdict != notYet || !h.wanted.After(h.now) {
		t.Errorf("another gets %+v, wanted until %v", r, h.wanted)
	}
}
