package backlog_test

import (
	"errors"
	"testing"
	"testing/synctest"

	"github.com/emberkv/ember/backlog"
)

// fill appends n records of size bytes.
func fill(t testing.TB, l *backlog.Log, n, size int) {
	t.Helper()
	for range n {
		if _, err := l.Append(backlog.AppendRecord(nil, make([]byte, size))); err != nil {
			t.Fatal(err)
		}
	}
}

func TestHoldOutlastsTheWindow(t *testing.T) {
	l := backlog.NewLog(&backlog.Options{MaxBytes: 64 << 10})
	fill(t, l, 10, 999)
	held := l.End()
	journal, err := l.NewReader(held)
	if err != nil {
		t.Fatal(err)
	}
	journal.Hold(held)
	fill(t, l, 1000, 999)
	r, err := l.NewReader(held)
	if err != nil {
		t.Fatalf("a held offset: %v", err)
	}
	if b, err := r.Next(l.End()); err != nil || len(b) == 0 {
		t.Fatalf("read %d bytes, %v", len(b), err)
	}
	l.Release()
	fill(t, l, 10, 999)
	if _, err := l.NewReader(held); !errors.Is(err, backlog.ErrTrimmed) {
		t.Errorf("after Release: %v", err)
	}
}

func TestBoundReadersGoAsFarAsTheLogShares(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := backlog.NewLog(nil)
		bound, _ := l.NewReader(0)
		bound.Bind()
		defer bound.Close()
		free, _ := l.NewReader(0)
		free.Share(0)
		fill(t, l, 2, 9)
		if b, err := free.Next(l.End()); err != nil || len(b) != 20 {
			t.Errorf("a free reader got %d bytes, %v", len(b), err)
		}
		if b, err := bound.Next(l.End()); err != nil || len(b) != 0 {
			t.Errorf("a bound reader got %d bytes, %v", len(b), err)
		}
		ready := bound.Ready()
		fill(t, l, 1, 9)
		synctest.Wait()
		select {
		case <-ready:
			t.Error("woken for what is not shared")
		default:
		}
		free.Share(20)
		<-ready
		if b, err := bound.Next(l.End()); err != nil || len(b) != 20 || l.Shared() != 20 {
			t.Errorf("a bound reader got %d bytes, %v, of %d", len(b), err, l.Shared())
		}
	})
}

// TestReceivedIsShared: what came from another node is no secret of this one's journal.
func TestReceivedIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := backlog.NewLogAt(backlog.Lineage{Current: backlog.NewHistory()}, 100, nil)
		journal, bound := l.EndReader(), l.EndReader()
		journal.Share(100)
		bound.Bind()
		defer bound.Close()
		ready := bound.Ready()
		if err := l.AppendAt(l.Position(), backlog.AppendRecord(nil, make([]byte, 9))); err != nil {
			t.Fatal(err)
		}
		<-ready
		fill(t, l, 1, 9) // its own
		if b, err := bound.Next(l.End()); err != nil || len(b) != 10 || l.Shared() != 110 {
			t.Errorf("a bound reader got %d bytes, %v, of %d that are shared", len(b), err, l.Shared())
		}
		if err := l.AppendAt(l.Position(), nil); err != nil || l.Shared() != 110 {
			t.Errorf("nothing was received: %v, %d are shared", err, l.Shared())
		}
	})
}

func TestAdoptSharesNothing(t *testing.T) {
	l, other := backlog.NewLog(nil), backlog.NewLog(nil)
	fill(t, l, 1, 9)
	fill(t, other, 5, 9)
	r, _ := l.NewReader(l.End())
	r.Share(l.End())
	l.Adopt(other)
	if r.Share(5); l.Shared() != 0 {
		t.Errorf("shares %d of what no journal has", l.Shared())
	}
}

func TestOrigin(t *testing.T) {
	l := backlog.NewLog(nil)
	if _, own := l.Origin(); !own {
		t.Error("a new log's history is not its own")
	}
	fill(t, l, 1, 9)
	f := backlog.NewLogAt(l.Lineage(), l.End(), nil)
	if _, own := f.Origin(); own {
		t.Error("a history that is continued is its own")
	}
	f.ForkFirst()
	before := f.Position()
	fill(t, f, 1, 9)
	lin, own := f.Origin()
	if !own || lin.Current == before.History || lin.Earlier[0] != (backlog.Fork{History: before.History, End: before.Offset}) {
		t.Errorf("after its first append: own %t, %v", own, lin)
	}
	fill(t, f, 1, 9)
	if got := f.Lineage().Current; got != lin.Current {
		t.Error("it forked twice")
	}
	l.Fork(backlog.NewHistory())
	g := backlog.NewLogAt(f.Lineage().At(before.Offset), before.Offset, nil)
	g.Claim()
	if err := g.Extend(l.Lineage()); err != nil {
		t.Fatal(err)
	}
	if _, own := g.Origin(); own {
		t.Error("a history that was taken over is its own")
	}
}

func TestBothGatesAreAsked(t *testing.T) {
	l := backlog.NewLog(nil)
	role, disk := errors.New("role"), errors.New("disk")
	var roleErr, diskErr error
	l.SetGate(func() error { return roleErr })
	l.SetStoreGate(func() error { return diskErr })
	for _, c := range []struct{ role, disk, want error }{
		{nil, nil, nil}, {role, nil, role}, {nil, disk, disk}, {role, disk, role},
	} {
		roleErr, diskErr = c.role, c.disk
		if _, err := l.Append(backlog.AppendRecord(nil, []byte("x"))); err != c.want || l.Refusing() != c.want {
			t.Errorf("got %v and %v, want %v", err, l.Refusing(), c.want)
		}
	}
}
