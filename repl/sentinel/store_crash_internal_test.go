package sentinel

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"

	"github.com/emberkv/ember/internal/faultfs"
	"github.com/emberkv/ember/repl"
)

const statePath = "sentinel/state"

// voteIn has a sentinel that finds what is on the disk save a vote in epoch.
func voteIn(files *faultfs.FS, epoch uint64) error {
	store, err := openFileStore(files, statePath)
	if err != nil {
		return err
	}
	defer store.Close()
	m, err := recall(store, "shop", id(10))
	if err != nil {
		return err
	}
	m.ballot = ballot{epoch: epoch, votedIn: epoch, votedFor: id(11)}
	return store.Save(m.append(nil))
}

// recalled returns the vote that a disk has.
func recalled(t *testing.T, files *faultfs.FS) ballot {
	t.Helper()
	store, err := openFileStore(files, statePath)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	m, err := recall(store, "shop", id(10))
	if err != nil {
		t.Fatal(err)
	}
	return m.ballot
}

// After a crash at any moment the newest vote is there that was told, or the one that was
// just being saved; and nothing else is left behind.
func TestVotesSurviveACrash(t *testing.T) {
	whole := faultfs.New()
	for epoch := range uint64(3) {
		if err := voteIn(whole, epoch+1); err != nil {
			t.Fatal(err)
		}
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for at := 1; at <= whole.Spent(); at++ {
		files := faultfs.New()
		files.CrashAfter(at)
		told := uint64(0)
		for epoch := range uint64(3) {
			if voteIn(files, epoch+1) != nil {
				break
			}
			told = epoch + 1
		}
		for _, keep := range []faultfs.Keep{faultfs.Nothing(), faultfs.Everything(), faultfs.Some(rng)} {
			after := files.Crashed(keep)
			if b := recalled(t, after); b.votedIn != told && b.votedIn != told+1 {
				t.Fatalf("crash after %d: the vote in epoch %d was told, and the one in %d is there", at, told, b.votedIn)
			}
			for _, path := range after.Paths() {
				if path != statePath && path != statePath+".lock" {
					t.Errorf("crash after %d: %s is left behind", at, path)
				}
			}
		}
	}
}

// A save that fails leaves the vote that was told before.
func TestVotesThatCannotBeSaved(t *testing.T) {
	for n := 1; ; n++ {
		files := faultfs.New()
		if err := voteIn(files, 1); err != nil {
			t.Fatal(err)
		}
		files.FailAt(n, true, syscall.ENOSPC)
		err := voteIn(files, 2)
		if err == nil {
			if n < 4 {
				t.Fatalf("only %d operations could fail", n-1)
			}
			return
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("operation %d fails with %v", n, err)
		}
		if b := recalled(t, files.Crashed(faultfs.Nothing())); b.votedIn != 1 {
			t.Fatalf("operation %d fails, and the vote in epoch %d is there", n, b.votedIn)
		}
	}
}

func TestStatesThatAreRefused(t *testing.T) {
	good := testMemory().append(nil)
	newer := bytes.Clone(good)
	newer[7]++
	for name, c := range map[string]struct {
		state []byte
		group string
		id    repl.NodeID
	}{
		"empty":            {[]byte{}, "shop", id(10)},
		"torn":             {good[:len(good)-1], "shop", id(10)},
		"cut short":        {good[:5], "shop", id(10)},
		"something else":   {[]byte("group = shop\nquorum = 2\n"), "shop", id(10)},
		"newer":            {newer, "shop", id(10)},
		"huge":             {make([]byte, maxSavedBytes+1), "shop", id(10)},
		"another group's":  {good, "bank", id(10)},
		"another sentinel": {good, "shop", id(9)},
	} {
		store, err := openFileStore(faultfs.New(), statePath)
		if err != nil {
			t.Fatal(err)
		}
		if err := store.Save(c.state); err != nil {
			t.Fatal(err)
		}
		var e *StateError
		m, err := recall(store, c.group, c.id)
		if !errors.Is(err, ErrState) || !errors.As(err, &e) || e.File != statePath || !strings.Contains(err.Error(), statePath) {
			t.Errorf("%s: %+v, %v", name, m, err)
		}
		store.Close()
	}
}

func TestASentinelKeepsItsID(t *testing.T) {
	var store MemoryStore
	first, err := recall(&store, "shop", repl.NodeID{})
	if err != nil || first.id == (repl.NodeID{}) {
		t.Fatalf("%+v, %v", first, err)
	}
	if err := store.Save(first.append(nil)); err != nil {
		t.Fatal(err)
	}
	again, err := recall(&store, "shop", repl.NodeID{})
	if err != nil || again.id != first.id {
		t.Errorf("%s comes back as %+v, %v", first.id, again, err)
	}
}
