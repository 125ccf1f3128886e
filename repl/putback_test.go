package repl_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/kv"
	"github.com/emberkv/ember/repl"
	"github.com/emberkv/ember/repl/repltest"
)

// A backedUp is a master with a disk, of which there is a backup, and its replica.
type backedUp struct {
	t       *testing.T
	net     *repltest.Network
	super   repl.Supervision
	folder  string
	backup  string
	id      repl.NodeID
	store   *kv.Store
	node    *repl.Node
	replica *station
	lost    []string // keys that the replica has given up
}

// newBackedUp returns a group in which "early" was written before the backup, and "late" after it.
func newBackedUp(t *testing.T, super repl.Supervision) *backedUp {
	t.Helper()
	dir := t.TempDir()
	b := &backedUp{t: t, net: repltest.NewNetwork(1), super: super, folder: filepath.Join(dir, "folder"), backup: filepath.Join(dir, "backup"), id: repl.NodeID{0xa}}
	b.start(b.folder)
	b.write("early")
	b.stop()
	if err := os.CopyFS(b.backup, os.DirFS(b.folder)); err != nil {
		t.Fatal(err)
	}
	b.start(b.folder)
	host := b.net.Host("b")
	s := &station{Store: kv.New(&kv.Options{OnLostTail: func(tail kv.LostTail) {
		for e := range tail.Events {
			b.lost = append(b.lost, e.Key)
		}
	}})}
	r, err := repl.NewReplica(s, "a", seeded(t, &repl.Options{Name: "b", Transport: host, Supervision: super}))
	if err != nil {
		t.Fatal(err)
	}
	s.node = r.Node()
	t.Cleanup(func() { r.Close(); s.Close() })
	go s.node.Run(context.Background())
	b.replica = s
	if err := r.WaitSynced(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.write("late")
	if err := s.Wait(t.Context(), b.store.Position()); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *backedUp) start(folder string) {
	b.t.Helper()
	s, err := kv.Open(folder, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	host := b.net.Host("a")
	m, err := repl.NewMaster(s, seeded(b.t, &repl.Options{ID: b.id, Name: "a", Transport: host, Supervision: b.super}))
	if err != nil {
		b.t.Fatal(err)
	}
	serve(b.t, m.Node(), host, "a")
	go m.Node().Run(context.Background())
	b.store, b.node = s, m.Node()
	b.t.Cleanup(func() { m.Close(); s.Close() })
}

func (b *backedUp) stop() {
	b.node.Close()
	b.store.Close()
}

func (b *backedUp) lease() {
	if b.super.Fenced {
		renew(b.t, control(b.t, b.net.Host("s"), "a", 1), time.Hour, 1)
	}
}

func (b *backedUp) write(key string) {
	b.t.Helper()
	b.lease()
	if err := b.store.Set(key, []byte("value")); err != nil {
		b.t.Fatal(err)
	}
}

// TestMasterPutBackAwaitsItsLease: a fenced master comes back with an older folder. Until it is leased
// to, nobody gives up for it what it has lost; when it is, that is reported.
func TestMasterPutBackAwaitsItsLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBackedUp(t, repl.Supervision{Supervised: true, Fenced: true})
		b.stop()
		b.start(b.backup)
		time.Sleep(time.Minute)
		up := b.replica.node.Status().Upstream
		if ok, err := b.replica.Has("late"); !ok || err != nil || len(b.lost) > 0 {
			t.Errorf("the replica has lost %q, %v", b.lost, err)
		}
		r, err := b.replica.node.Replica()
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := r.WaitSynced(ctx); !errors.Is(err, repl.ErrBehind) {
			t.Errorf("the link is %v, as %v, want ErrBehind", up.State, err)
		}
		b.lease()
		if err := r.WaitSynced(t.Context()); err != nil {
			t.Fatal(err)
		}
		if ok, err := b.replica.Has("late"); ok || err != nil || len(b.lost) != 1 || b.lost[0] != "late" {
			t.Errorf("when the master has its lease: late is there %t, %v, reported %q", ok, err, b.lost)
		}
	})
}

// TestMasterPutBackBeginsAnew: one that nobody supervises goes on at once, but in a history of its own: a
// position of before is lost, and never that of another write.
func TestMasterPutBackBeginsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBackedUp(t, repl.Supervision{})
		late := b.store.Position()
		b.stop()
		b.start(b.backup)
		r, err := b.replica.node.Replica()
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute) // until the link is tried again
		if err := r.WaitSynced(t.Context()); err != nil {
			t.Fatal(err)
		}
		if len(b.lost) != 1 || b.lost[0] != "late" {
			t.Errorf("reported as lost: %q", b.lost)
		}
		for range 10 {
			b.write("another")
		}
		if err := b.replica.Wait(t.Context(), b.store.Position()); err != nil {
			t.Fatal(err)
		}
		if at := b.store.Position(); at.Offset <= late.Offset || at.History == late.History {
			t.Fatalf("the log is at %s, late was at %s", at, late)
		}
		for name, s := range map[string]*kv.Store{"the master": b.store, "the replica": b.replica.Store} {
			if err := s.Wait(t.Context(), late); !errors.Is(err, kv.ErrLost) {
				t.Errorf("%s at the position of what was lost: %v, want ErrLost", name, err)
			}
		}
	})
}

// TestFollowerSaysThatTheMasterWasPutBack, again and again: each would begin a history, and the ends of the real
// ones would be forgotten over them.
func TestFollowerSaysThatTheMasterWasPutBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, a := repl.NewMemory(), newLedger(nil)
		fill(t, a, "k", 20)
		master(t, a, net, "a", nil)
		began := a.Log().Lineage()
		for i := range byte(10) {
			who := someone(9 + i).at(a)
			who.end += 1000
			follow(t, net, "a", who).drain()
		}
		if now := a.Log().Lineage(); len(now.Earlier) != len(began.Earlier)+1 || now.Epoch.Counter != began.Epoch.Counter+1 {
			t.Errorf("the lineage was %+v, is %+v", began, now)
		}
		if _, err := a.put("k", "v"); err != nil {
			t.Errorf("the master: %v", err)
		}
	})
}

// TestStartedAsAReplica: a node that was promoted is started again as it was set up at first, to follow the first
// master, which is back, too. It has not given up its epoch by that: the first master, to whom nobody has
// given the right to write, steps down.
func TestStartedAsAReplica(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, a, b := repl.NewMemory(), newLedger(nil), newLedger(nil)
		options := func(id byte) *repl.Options {
			return &repl.Options{ID: repl.NodeID{id}, Supervision: repl.Supervision{Supervised: true, Fenced: true}}
		}
		m := master(t, a, net, "a", options(1))
		m.Node().Disarm()
		r := replica(t, b, net, "a", options(2))
		fill(t, a, "k", 10)
		if err := r.WaitSynced(t.Context()); err != nil {
			t.Fatal(err)
		}
		m.Close()
		promoted, err := r.Promote(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		promoted.Node().Disarm()
		fill(t, b, "late", 10)
		promoted.Close()

		epoch := a.Log().Lineage().Epoch
		first := master(t, a, net, "a", options(1))
		replica(t, b, net, "a", options(2))
		time.Sleep(time.Minute)
		if role := first.Node().Role(); role != repl.RoleReplica || a.Log().Lineage().Epoch != epoch {
			t.Errorf("the first master is a %v, of epoch %s, was of %s", role, a.Log().Lineage().Epoch, epoch)
		}
		if b.Len() != 20 {
			t.Errorf("the other has %d keys, want 20", b.Len())
		}
	})
}

// TestMasterPutBackIsBusy with a handover when its follower comes: it puts that off, and begins anew later.
func TestMasterPutBackIsBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBackedUp(t, repl.Supervision{})
		late := b.store.Position()
		b.stop()
		b.net.Link("a", "b").Refuse()
		b.start(b.backup)
		c := kv.New(nil)
		r, err := repl.NewReplica(c, "a", seeded(t, &repl.Options{Name: "c", Announce: "c", Transport: b.net.Host("c")}))
		if err != nil {
			t.Fatal(err)
		}
		serve(t, r.Node(), b.net.Host("c"), "c")
		t.Cleanup(func() { r.Close(); c.Close() })
		go r.Node().Run(context.Background())
		if err := r.WaitSynced(t.Context()); err != nil {
			t.Fatal(err)
		}
		b.net.Link("a", "c").Stall()
		m, err := b.node.Master()
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() {
			ctx, cancel := context.WithTimeout(t.Context(), 2500*time.Millisecond)
			defer cancel()
			_, err := m.Handover(ctx, "c")
			done <- err
		}()
		time.Sleep(10 * time.Millisecond)
		b.net.Link("a", "b").Heal()
		time.Sleep(900 * time.Millisecond)
		if len(done) > 0 {
			t.Fatalf("the handover is over: %v", <-done)
		}
		if err := <-done; err == nil {
			t.Fatal("the handover was carried out")
		}
		time.Sleep(time.Minute)
		for range 10 {
			b.write("another")
		}
		time.Sleep(time.Minute)
		for name, s := range map[string]*kv.Store{"the master": b.store, "the replica": b.replica.Store} {
			if err := s.Wait(t.Context(), late); !errors.Is(err, kv.ErrLost) {
				t.Errorf("%s at the position of what was lost: %v, want ErrLost", name, err)
			}
		}
	})
}
