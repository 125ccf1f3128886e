package sentinel_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/kv"
	"github.com/emberkv/ember/repl"
	"github.com/emberkv/ember/repl/repltest"
	"github.com/emberkv/ember/repl/sentinel"
)

// A public writes to a town all the time, wherever writes are taken, and holds it to its
// promises: that one node takes writes at a time, and in an epoch (P6), and that what a
// replica has acknowledged is never lost (P5).
type public struct {
	*town
	writers map[backlog.Epoch]string
	wrote   int
	refused int // steps in which nobody took a write

	mu    sync.Mutex
	acked []string // keys that a replica had as well
	wg    sync.WaitGroup
}

func newPublic(w *town) *public {
	return &public{town: w, writers: make(map[backlog.Epoch]string)}
}

// step has each node be asked to take a write, at one moment.
func (p *public) step() {
	p.t.Helper()
	var writer *repltest.Member[*kv.Store]
	for _, m := range p.Members() {
		key := fmt.Sprintf("key%d", p.wrote)
		if !m.Running() || m.Machine().Set(key, []byte(m.Name())) != nil {
			continue
		}
		if writer != nil {
			p.t.Fatalf("%s and %s both take writes\n%s", writer.Name(), m.Name(), p)
		}
		writer = m
		p.wrote++
		epoch := m.Machine().Log().Lineage().Epoch
		if was := p.writers[epoch]; was != "" && was != m.Name() {
			p.t.Fatalf("%s and %s both write in epoch %s\n%s", was, m.Name(), epoch, p)
		}
		p.writers[epoch] = m.Name()
		p.await(m, key)
	}
	if writer == nil {
		p.refused++
	}
}

// await waits, meanwhile, until a replica has what the member has just written.
func (p *public) await(m *repltest.Member[*kv.Store], key string) {
	master, err := m.Node().Master()
	if err != nil {
		return
	}
	at := m.Machine().Position()
	p.wg.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if n, err := master.Wait(ctx, at, 1); err == nil && n >= 1 {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.acked = append(p.acked, key)
		}
	})
}

// live lets time pass, in small steps.
func (p *public) live(d time.Duration) {
	p.t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(19*time.Millisecond + 7*time.Microsecond) {
		p.step()
	}
}

// recover waits until all is well again: one node writes, all others and the sentinels follow it, and all
// that was acknowledged is there.
func (p *public) recover(what string) {
	p.t.Helper()
	// An old master is put right after some seconds, as one that was cut off finds out.
	for deadline := time.Now().Add(60 * time.Second); !p.well(); {
		if time.Now().After(deadline) {
			p.t.Fatalf("%s: no recovery\n%s", what, p)
		}
		p.live(100 * time.Millisecond)
	}
	p.wg.Wait()
	p.WaitEqual()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range p.Members() {
		for _, key := range p.acked {
			if has, err := m.Machine().Has(key); !has || err != nil {
				p.t.Fatalf("%s: %s has lost %s, which was acknowledged\n%s", what, m.Name(), key, p)
			}
		}
	}
	p.acked = p.acked[:0]
}

// well reports whether the sentinels agree who the master is, it writes, and all others
// follow it.
func (p *public) well() bool {
	addr := p.guards[0].Master().Addr
	for _, s := range p.guards {
		st := s.Status()
		if st.Master.Addr != addr {
			return false
		}
		for _, n := range st.Nodes {
			if n.ID == st.Master.ID && n.Lease.Granted != len(p.guards) {
				return false
			}
		}
	}
	for _, m := range p.Members() {
		st := m.Node().Status()
		if m.Name() == addr {
			if st.Role != repl.RoleMaster {
				return false
			}
		} else if st.Upstream == nil || st.Upstream.State != repl.LinkStreaming {
			return false
		}
	}
	return addr != ""
}

// A ward is what is cut off: a host, a link, or a direction of one.
type ward struct {
	name string
	link *repltest.Link
}

func (w *town) wards() (list []ward) {
	hosts := []string{"a", "b", "c", "s1", "s2", "s3"}
	for i, h := range hosts {
		around := w.Network.Around(h)
		back := w.Network.Between(others(hosts, h), []string{h})
		list = append(list, ward{h, around}, ward{"all from " + h, around.OneWay()}, ward{"all to " + h, back.OneWay()})
		for _, g := range hosts[i+1:] {
			list = append(list, ward{h + "-" + g, w.Network.Link(h, g)},
				ward{h + ">" + g, w.Network.Link(h, g).OneWay()}, ward{g + ">" + h, w.Network.Link(g, h).OneWay()})
		}
	}
	return list
}

func others(hosts []string, but string) (list []string) {
	for _, h := range hosts {
		if h != but {
			list = append(list, h)
		}
	}
	return list
}

// Each host, each link and each direction is cut off in turn, in two ways: what is sent is
// lost, or it is late. One node writes at a time, and in an epoch, at every step; no write that
// was acknowledged is lost; and when the fault is over all is well again soon.
func TestPartitions(t *testing.T) {
	for _, kind := range []string{"lost", "late"} {
		for _, part := range []int{0, 1, 2, 3} {
			t.Run(fmt.Sprintf("%s %d", kind, part), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newTown(t, repltest.Star("a", "b", "c"), 3, sentinel.Options{DownAfter: 400 * time.Millisecond, MinHeard: 2})
					w.settle()
					p := newPublic(w)
					for i, ward := range w.wards() {
						if i%(4*thinning) == part {
							p.isolate(ward, kind)
						}
					}
				})
			})
		}
	}
}

// isolate has a fault happen, and checks that it is survived.
func (p *public) isolate(d ward, kind string) {
	p.t.Helper()
	if kind == "lost" {
		d.link.Blackhole()
	} else {
		d.link.Stall()
	}
	p.live(6 * p.downAfter())
	d.link.Heal()
	p.recover(kind + " " + d.name)
}

// A master that is cut off from the others, with one of three sentinels, stops writing before
// another begins; each side is written to as long as it takes writes.
func TestMinorityKeepsTheMaster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t, repltest.Star("a", "b", "c"), 3, sentinel.Options{MinHeard: 2})
		w.settle()
		p := newPublic(w)
		p.live(time.Second)
		w.Network.Between([]string{"a", "s1"}, []string{"b", "c", "s2", "s3"}).Blackhole()
		p.live(5 * time.Second)
		if len(p.writers) != 2 {
			t.Fatalf("%v have written\n%s", p.writers, w)
		}
		if n := p.refused; n > 80 { // of 19 ms
			t.Errorf("nobody has taken a write for %d steps\n%s", n, w)
		}
		w.Network.HealAll()
		p.recover("partition")
		if strings.Contains(fmt.Sprint(p.guards[0].Master().Addr), "a") {
			t.Errorf("the old master is master again\n%s", w)
		}
	})
}
