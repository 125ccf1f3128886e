package sentinel

import (
	"testing"
	"time"

	"github.com/emberkv/ember/backlog"
)

// longestDelay is how long a peer can put a candidacy off by epochs that it tells of.
func longestDelay(p pace) time.Duration { return (1 + maxOverheard + maxRaised) * p.delay }

// TestRisingEpochsPutOffNobodyForLong: a sentinel whose states show a higher epoch each millisecond, and which
// answers each ask with a higher one, puts a candidacy off for a while. Then it is won with the votes of others,
// who have heard all that, too.
func TestRisingEpochsPutOffNobodyForLong(t *testing.T) {
	for seed := range uint64(50) {
		h, voter := newHustings(t, 3), newHustings(t, 3)
		h.seed, voter.voter.self = seed, sentinelID(1)
		h.voter = h.stand(h.scene)
		begun, rumour := h.now, uint64(10)
		elected, asked := uint64(0), 0
		for elected == 0 {
			if h.now.Sub(begun) > longestDelay(h.pace) {
				t.Fatalf("seed %d: nobody is elected after %v, and %d asks: %+v", seed, h.now.Sub(begun), asked, h.campaign)
			}
			rumour += 2
			h.voter, voter.voter = h.overheard(rumour, h.now), voter.overheard(rumour, h.now)
			out := h.tickAt(h.now)
			h.now = h.now.Add(time.Millisecond)
			voter.now = h.now
			if len(out.to) == 0 {
				continue
			}
			asked++
			rumour += 2
			h.voter, _ = h.answered(sentinelID(2), reply{To: out.ask.Epoch, Epoch: rumour, Verdict: lowerEpoch, Known: 3}, h.scene)
			var r reply
			voter.voter = voter.overheard(rumour, voter.now)
			voter.voter, r, _ = voter.asked(h.self, out.ask, voter.scene)
			h.voter, out = h.answered(sentinelID(1), r, h.scene)
			elected = out.elected
		}
		if voter.ballot.votedFor != h.self || voter.ballot.votedIn != elected {
			t.Errorf("seed %d: elected in %d, by %+v", seed, elected, voter.ballot)
		}
		if voter.ballot.epoch < rumour {
			t.Errorf("seed %d: by its vote the voter has forgotten epoch %d: %+v", seed, rumour, voter.ballot)
		}
	}
}

// TestHearsayLeapsSoFar: no word of a peer's brings the last epoch near, in which all elections end.
func TestHearsayLeapsSoFar(t *testing.T) {
	h := newHustings(t, 3)
	h.begin()
	h.voter, _ = h.answered(sentinelID(1), reply{To: h.ballot.votedIn, Epoch: backlog.MaxCounter, Verdict: lowerEpoch, Known: 3}, h.scene)
	if h.ballot.epoch > 3+maxLeap {
		t.Errorf("by an answer it has heard of epoch %d", h.ballot.epoch)
	}
	if r := h.give(2, backlog.MaxCounter); r.Verdict != lowerEpoch || h.ballot.votedIn != 3 {
		t.Errorf("asked in the last epoch: %+v, %+v", r, h.ballot)
	}
	if r := h.give(2, h.ballot.epoch+maxLeap); r.Verdict != granted {
		t.Errorf("asked in epoch %d: %v", r.To, r.Verdict)
	}

	v := newView(sentinelID(0), &Options{})
	v.foundPeer(sentinelID(1), "", "b:1", when(0))
	v.heardPeer(sentinelID(1), &state{Epoch: backlog.MaxCounter}, when(0))
	if v.epoch > maxLeap {
		t.Errorf("by a state it has heard of epoch %d", v.epoch)
	}
	v.heardPeer(sentinelID(1), &state{Epoch: v.epoch + 7}, when(0))
	if v.epoch != maxLeap+7 {
		t.Errorf("epoch %d, want %d", v.epoch, maxLeap+7)
	}
}

// TestNotYetKeepsCandidatesApart: those whom a candidate asks in vain in the same moment leave it the same time, and
// do not stand in the same moment afterwards. Nor do they wait for longer the more often it asks.
func TestNotYetKeepsCandidatesApart(t *testing.T) {
	begins := make(map[time.Time]bool)
	const voters = 8
	for i := range voters {
		h := newHustings(t, voters+1)
		h.voter = newVoter(sentinelID(0), ballot{epoch: 1}, time.Second, uint64(i))
		h.voter = h.stand(h.scene)
		until := h.now.Add(500 * time.Millisecond)
		for range 50 {
			h.promised = until.Sub(h.now)
			if r := h.give(1, 3); r.Verdict != notYet {
				t.Fatalf("%+v", r)
			}
			h.now = h.now.Add(10 * time.Millisecond)
		}
		if d := h.next().Sub(until); d < h.pace.delay || d > 2*h.pace.delay {
			t.Errorf("voter %d stands %v after whom it told to wait may have votes, want %v to %v", i, d, h.pace.delay, 2*h.pace.delay)
		}
		begins[h.next()] = true
	}
	if len(begins) < voters {
		t.Errorf("%d voters stand at %d different times", voters, len(begins))
	}
}
