package repl_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/repl"
	"github.com/emberkv/ember/repl/repltest"
)

// renew polls twice: for a report, and with a grant that answers it.
func renew(t testing.TB, c *repl.Control, lease time.Duration, need int) *repl.Report {
	t.Helper()
	r := poll(t, c, nil)
	return poll(t, c, &repl.Poll{Grant: &repl.Grant{Stamp: r.Stamp, Lease: lease, Need: need}})
}

// refused fails unless m refuses a write for want of a lease, for as many grants, of so many.
func refused(t testing.TB, m *member, want repl.LeaseError) {
	t.Helper()
	_, err := m.put("k", "v")
	var lease *repl.LeaseError
	if !errors.Is(err, repl.ErrNoLease) || !errors.As(err, &lease) || *lease != want {
		t.Fatalf("a write: %v, want %+v", err, want)
	}
}

// taken fails unless m takes a write.
func taken(t testing.TB, m *member) {
	t.Helper()
	if _, err := m.put("k", "v"); err != nil {
		t.Fatalf("a write: %v", err)
	}
}

const second1 = time.Second

// TestLease: a supervised master writes freely until a majority has granted once; from then on as
// long as a majority's grants last, each counted from its report, and again when they are renewed.
func TestLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := repl.NewMemory()
		a := newMember(t, net, "a", "", supervised)
		one, two, three := control(t, net, "a", 1), control(t, net, "a", 2), control(t, net, "a", 3)
		taken(t, a)
		for range 3 { // one sentinel is one sentinel
			if r := renew(t, one, second1, 2); r.Lease != (repl.LeaseReport{Granted: 1, Need: 2}) {
				t.Errorf("of one grant: %+v", r.Lease)
			}
		}
		time.Sleep(2 * time.Second)
		taken(t, a)
		renew(t, one, second1, 2)
		time.Sleep(400 * time.Millisecond)
		if r := renew(t, two, second1, 2); r.Lease != (repl.LeaseReport{Armed: true, Remaining: 600 * time.Millisecond, Granted: 2, Need: 2}) {
			t.Errorf("of two grants: %+v", r.Lease)
		}
		time.Sleep(600 * time.Millisecond)
		taken(t, a) // at its last instant
		time.Sleep(time.Nanosecond)
		refused(t, a, repl.LeaseError{Granted: 2, Need: 2, RunOut: true})
		if s := a.node.Status().Supervision; !s.Lease.Armed || s.Lease.Remaining != 0 || s.Lease.Granted != 1 || len(s.Askers) != 3 {
			t.Errorf("the status: %+v", s)
		}
		renew(t, three, second1, 2) // with two's, which lasts for 400 ms
		taken(t, a)
		time.Sleep(500 * time.Millisecond)
		refused(t, a, repl.LeaseError{Granted: 2, Need: 2, RunOut: true})
		renew(t, one, second1, 3) // it knows of more sentinels
		refused(t, a, repl.LeaseError{Granted: 2, Need: 3, RunOut: true})
		a.node.Disarm()
		taken(t, a)
		renew(t, one, second1, 2)
		renew(t, two, second1, 2)
		time.Sleep(2 * time.Second)
		refused(t, a, repl.LeaseError{Granted: 2, Need: 2, RunOut: true})
	})
}

// TestFenced: a fenced master takes nothing before its first lease; one that is promoted does so if
// it was watched, and only then.
func TestFenced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := repl.NewMemory()
		a := newMember(t, net, "a", "", fenced)
		refused(t, a, repl.LeaseError{})
		c := control(t, net, "a", 1)
		renew(t, c, second1, 1)
		taken(t, a)
		b := newMember(t, net, "b", "a", supervised)
		level(t, a, b)
		b.promote(t)
		taken(t, b) // nobody has ever watched it

		d := newMember(t, net, "d", "b", supervised)
		level(t, b, d)
		cd := control(t, net, "d", 1)
		poll(t, cd, nil)
		d.promote(t)
		refused(t, d, repl.LeaseError{})
		renew(t, cd, second1, 1)
		taken(t, d)

		free := newMember(t, net, "free", "d")
		level(t, d, free)
		poll(t, control(t, net, "free", 1), nil)
		free.promote(t)
		taken(t, free) // it is not supervised
		if _, err := repl.NewMaster(newLedger(nil), &repl.Options{Supervision: repl.Supervision{Fenced: true}}); !errors.Is(err, repl.ErrOption) {
			t.Errorf("fenced and not supervised: %v", err)
		}
	})
}

// TestStamps: a grant is good for a report of the same link, once, the newest of those that it may
// answer, and of the same tenure as a master.
func TestStamps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := repl.NewMemory()
		a := newMember(t, net, "a", "", fenced)
		b := newMember(t, net, "b", "a")
		level(t, a, b)
		one, two := control(t, net, "a", 1), control(t, net, "a", 2)
		grant := func(c *repl.Control, stamp uint64) {
			poll(t, c, &repl.Poll{Grant: &repl.Grant{Stamp: stamp, Lease: second1, Need: 1}})
		}
		for range 5 {
			poll(t, one, nil)
		}
		old, of := poll(t, one, nil).Stamp, poll(t, one, nil).Stamp
		grant(two, of)
		grant(one, of+1000)
		grant(one, 0)
		refused(t, a, repl.LeaseError{})
		grant(one, of)
		taken(t, a)
		time.Sleep(2 * time.Second)
		grant(one, of)  // once more
		grant(one, old) // older than one that is used
		refused(t, a, repl.LeaseError{Granted: 1, Need: 1, RunOut: true})

		late := poll(t, one, nil).Stamp
		time.Sleep(900 * time.Millisecond)
		grant(one, late)
		taken(t, a)
		time.Sleep(101 * time.Millisecond)
		refused(t, a, repl.LeaseError{Granted: 1, Need: 1, RunOut: true}) // it counts from the report

		// A grant to a master that is none any more, and then is again.
		before := poll(t, one, nil).Stamp
		renew(t, two, time.Minute, 1)
		taken(t, a)
		a.follow(t, "b")
		between := poll(t, one, nil).Stamp
		grant(one, between)
		a.promote(t)
		grant(one, before)
		grant(one, between)
		refused(t, a, repl.LeaseError{})
		renew(t, one, second1, 1)
		taken(t, a)
		for range 200 { // more than there is room for
			poll(t, two, nil)
		}
		grant(two, 2)
		renew(t, two, second1, 1)
		taken(t, a)
	})
}

// TestLeaseCountsFromTheReport: with any delay on the way, a lease ends no later than that long after
// the report that it answers was sent.
func TestLeaseCountsFromTheReport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := repltest.NewNetwork(1)
		defer net.Close()
		net.SetDelay(200*time.Millisecond, 0)
		a := newMember(t, net.Host("a"), "a", "", fenced)
		c := control(t, net.Host("s"), "a", 1)
		begun := time.Now()
		r := poll(t, c, nil) // sent after 200 ms, here after 400
		sent := begun.Add(200 * time.Millisecond)
		go c.Poll(t.Context(), &repl.Poll{Grant: &repl.Grant{Stamp: r.Stamp, Lease: second1, Need: 1}})
		time.Sleep(201 * time.Millisecond)
		taken(t, a)
		time.Sleep(time.Until(sent.Add(second1)) + 2*time.Millisecond)
		refused(t, a, repl.LeaseError{Granted: 1, Need: 1, RunOut: true})
	})
}

// TestHandoverOfALease: a node that takes over waits for its own lease, the sentinels hear of it at
// once, and the old master's is void.
func TestHandoverOfALease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := repl.NewMemory()
		a := newMember(t, net, "a", "", supervised)
		b := newMember(t, net, "b", "a", supervised)
		level(t, a, b)
		ca, cb := control(t, net, "a", 1), control(t, net, "b", 1)
		renew(t, ca, time.Minute, 1)
		poll(t, cb, nil)
		taken(t, a)
		if err := ca.Order(t.Context(), &repl.Order{Kind: repl.OrderHandover, To: b.node.ID()}); err != nil {
			t.Fatal(err)
		}
		refused(t, b, repl.LeaseError{})
		<-cb.News()
		if r := renew(t, cb, second1, 1); r.Role != repl.RoleMaster {
			t.Errorf("b says %+v", r)
		}
		taken(t, b)
		a.promote(t) // by hand, in spite of all
		refused(t, a, repl.LeaseError{})
	})
}

// TestHandoverBesideTheSentinels: a node that takes over from a master that writes by a lease needs one too,
// though no sentinel has ever reached it; one that is not supervised could not get one, and does not take
// over.
func TestHandoverBesideTheSentinels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := repl.NewMemory()
		a := newMember(t, net, "a", "", supervised)
		b := newMember(t, net, "b", "a", supervised)
		free := newMember(t, net, "free", "a")
		level(t, a, b)
		level(t, a, free)
		ca := control(t, net, "a", 1)
		renew(t, ca, time.Hour, 1)
		taken(t, a)
		to := func(m *member) error {
			return ca.Order(t.Context(), &repl.Order{Kind: repl.OrderHandover, To: m.node.ID()})
		}
		if err := to(free); err == nil {
			t.Error("the unsupervised one took over")
		}
		taken(t, a)
		if err := to(b); err != nil {
			t.Fatal(err)
		}
		refused(t, b, repl.LeaseError{})
		renew(t, control(t, net, "b", 1), second1, 1)
		taken(t, b)
	})
}

// TestHandoverNeedsTheLease: a master whose lease has run out, before the handover or while the replica is asked,
// has nothing to hand on: the sentinels may have another promoted by then.
func TestHandoverNeedsTheLease(t *testing.T) {
	for name, c := range map[string]struct {
		delay, lease, pause time.Duration
		step                repl.HandoverStep
	}{
		"before": {0, second1, 2 * time.Second, repl.StepNear},
		"while":  {400 * time.Millisecond, 2 * time.Second, 0, repl.StepPrepare},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				net := repltest.NewNetwork(1)
				defer net.Close()
				a := newMember(t, net.Host("a"), "a", "", supervised)
				b := newMember(t, net.Host("b"), "b", "a", supervised)
				level(t, a, b)
				sentinel := control(t, net.Host("s"), "a", 1)
				net.Link("a", "b").SetDelay(c.delay, 0)
				time.Sleep(5 * time.Second) // for heartbeats that were sent without
				renew(t, sentinel, c.lease, 1)
				time.Sleep(max(c.pause, c.lease-c.delay))
				m, err := a.node.Master()
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				_, err = m.Handover(ctx, "b")
				var failed *repl.HandoverError
				if !errors.As(err, &failed) || failed.Step != c.step || !errors.Is(err, repl.ErrNoLease) {
					t.Errorf("%v", err)
				}
				err = sentinel.Order(t.Context(), &repl.Order{Kind: repl.OrderHandover, To: b.node.ID()})
				if !errors.Is(err, repl.ErrNoLease) {
					t.Errorf("a sentinel is told %v", err)
				}
				renew(t, sentinel, time.Minute, 1)
				taken(t, a)
				if _, err := m.Handover(ctx, "b"); err != nil {
					t.Errorf("with a lease: %v", err)
				}
			})
		})
	}
}

// TestMachineOfALapsedMaster: a program that makes a new node for the machine of an old one whose lease
// has run out goes on in the same history.
func TestMachineOfALapsedMaster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := repl.NewMemory()
		a := newMember(t, net, "a", "", fenced)
		renew(t, control(t, net, "a", 1), second1, 1)
		taken(t, a)
		a.node.Close()
		taken(t, a)
		time.Sleep(2 * time.Second)
		refused(t, a, repl.LeaseError{Granted: 1, Need: 1, RunOut: true})
		history := a.Log().Position().History
		again := newMemberOf(t, net, "b", "", a.ledger)
		taken(t, again)
		if a.Log().Position().History != history {
			t.Error("it has begun a new history")
		}
	})
}

// A grantor is a sentinel as far as leases are concerned, with a clock of its own.
type grantor struct {
	clock   float64 // how fast it goes: 1.1 is 10 % too fast
	nodes   []*repl.Control
	promise time.Time // to grant to nobody but the node to before this
	to      int
}

// What the sentinels of the test grant, and for how long they keep their word, each by its own clock.
const (
	granted = 800 * time.Millisecond
	keeps   = 1000 * time.Millisecond
)

// slower returns how long d is by a clock that goes so fast.
func slower(d time.Duration, clock float64) time.Duration { return time.Duration(float64(d) / clock) }

// run grants to one node or the other until ctx ends, and changes its mind whenever its
// word allows. Mostly all sentinels want the same, or nobody would ever have a lease.
func (g *grantor) run(ctx context.Context, minds *rand.Rand, clocks []float64) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Duration(minds.IntN(60)) * time.Millisecond):
		}
		to := int(time.Now().UnixMilli()/2500) % 2
		if minds.IntN(10) == 0 {
			to = minds.IntN(2)
		}
		r, err := g.nodes[to].Poll(ctx, nil)
		now := time.Now()
		if err != nil || to != g.to && now.Before(g.promise) {
			continue
		}
		g.to, g.promise = to, now.Add(slower(keeps, g.clock))
		g.nodes[to].Poll(ctx, &repl.Poll{Grant: &repl.Grant{Stamp: r.Stamp, Lease: slower(granted, clocks[to]), Need: 2}})
	}
}

// TestLeasesDoNotOverlap: sentinels that change their minds as often as their word allows, whose clocks,
// and whose nodes' clocks, are wrong by up to 10 % either way, never let two nodes write at once. A
// node's clock that is slow by a factor is one for which a lease is longer by it.
func TestLeasesDoNotOverlap(t *testing.T) {
	for seed, wrong := range [][2]float64{{0.9, 1.1}, {1, 1}, {1.1, 0.9}} {
		t.Run(fmt.Sprint(wrong), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { overlap(t, uint64(seed), wrong[0], wrong[1]) })
		})
	}
}

// overlap tries it with nodes and sentinels of which at least one has each of these clocks.
func overlap(t *testing.T, seed uint64, nodeClock, sentinelClock float64) {
	rng := rand.New(rand.NewPCG(seed, 9))
	net := repltest.NewNetwork(seed)
	defer net.Close()
	net.SetDelay(time.Millisecond, 5*time.Millisecond)
	nodes := []*member{newMember(t, net.Host("a"), "a", "", fenced), newMember(t, net.Host("b"), "b", "", fenced)}
	clocks := []float64{nodeClock, 1}
	for i := range byte(3) {
		host := net.Host(fmt.Sprint("s", i))
		g := &grantor{clock: sentinelClock, nodes: []*repl.Control{control(t, host, "a", i), control(t, host, "b", i)}}
		if i == 2 {
			g.clock = 1
		}
		minds := rand.New(rand.NewPCG(seed, rng.Uint64()))
		go g.run(t.Context(), minds, clocks)
	}
	var held [2]int
	for range 6_000 {
		time.Sleep(2 * time.Millisecond)
		open := 0
		for i, m := range nodes {
			if m.Log().Refusing() == nil {
				held[i]++
				open++
			}
		}
		if open > 1 {
			t.Fatal("both take writes")
		}
	}
	if held[0] < 1000 || held[1] < 1000 {
		t.Errorf("of 6,000 looks a could write at %d and b at %d", held[0], held[1])
	}
}
