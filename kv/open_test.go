package kv_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/emberkv/ember/internal/faultfs"
	"github.com/emberkv/ember/kv"
)

// always is the policy under which what is acknowledged is on disk.
func always() *kv.Options {
	return &kv.Options{Durability: kv.Durability{Fsync: kv.FsyncAlways, SavePoints: []kv.SavePoint{}}}
}

// eachFsync runs test on virtual time for each policy: on an empty disk, with the options of
// always except for the policy.
func eachFsync(t *testing.T, test func(t *testing.T, fs *faultfs.FS, opts *kv.Options)) {
	for _, policy := range []kv.Fsync{kv.FsyncAlways, kv.FsyncEverySecond, kv.FsyncNever} {
		t.Run(policy.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				opts := always()
				opts.Fsync = policy
				test(t, faultfs.New(), opts)
			})
		})
	}
}

// mustSync waits until all that s has is on disk.
func mustSync(t testing.TB, s *kv.Store) {
	t.Helper()
	must(t, s.Durable(t.Context(), s.Position()))
}

func mustOpen(t testing.TB, fs *faultfs.FS, opts *kv.Options) *kv.Store {
	t.Helper()
	s, err := kv.OpenOn(fs, "dir", opts)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func mustClose(t testing.TB, s *kv.Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func diskKey(i int) string { return fmt.Sprintf("key:%04d", i) }

func setSome(t testing.TB, s *kv.Store, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		if err := s.Set(diskKey(i), fmt.Appendf(nil, "value %d", i)); err != nil {
			t.Fatal(err)
		}
	}
}

// wantSome checks that s holds just the keys up to n.
func wantSome(t testing.TB, s *kv.Store, n int) {
	t.Helper()
	for i := range n {
		if v, err := s.Get(diskKey(i)); err != nil || string(v) != fmt.Sprintf("value %d", i) {
			t.Fatalf("key %d of %d: %q, %v", i, n, v, err)
		}
	}
	if s.Len() != n {
		t.Fatalf("%d keys, want %d", s.Len(), n)
	}
}

// TestRestartGoesOn: a store that was closed goes on at its very position.
func TestRestartGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := faultfs.New()
		n := 0
		var before *kv.Store
		for round := range 4 {
			s := mustOpen(t, fs, always())
			wantSome(t, s, n)
			if r := s.Recovered(); !r.Clean || r.Forked || r.Repaired != nil {
				t.Errorf("recovered %+v", r)
			}
			if before != nil && before.Position() != s.Position() {
				t.Errorf("goes on at %s, was closed at %s", s.Position(), before.Position())
			}
			setSome(t, s, n, n+50)
			n += 50
			if round == 2 {
				if _, err := s.Save(context.Background()); err != nil {
					t.Fatal(err)
				}
				setSome(t, s, n, n+50)
				n += 50
			}
			mustClose(t, s)
			before = s
		}
		if n := fs.OpenFiles(); n != 0 {
			t.Errorf("%d files were left open", n)
		}
	})
}

// TestKilledStoreForks where it ended, and has all that it had acknowledged.
func TestKilledStoreForks(t *testing.T) {
	eachFsync(t, func(t *testing.T, fs *faultfs.FS, opts *kv.Options) {
		s := mustOpen(t, fs, opts)
		defer s.Close()
		setSome(t, s, 0, 100)
		pos := s.Position()
		must(t, s.Durable(t.Context(), pos))
		if s.Synced() != pos {
			t.Errorf("synced up to %s, want %s", s.Synced(), pos)
		}
		for _, keep := range []faultfs.Keep{faultfs.Nothing(), faultfs.Everything()} {
			after := mustOpen(t, fs.Crashed(keep), opts)
			wantSome(t, after, 100)
			r := after.Recovered()
			if r.Clean || !r.Forked || after.Position().Offset != pos.Offset || after.Position().History == pos.History {
				t.Errorf("was at %s, recovered %+v", pos, r)
			}
			if err := after.Wait(t.Context(), pos); err != nil {
				t.Errorf("what was there before: %v", err)
			}
			mustClose(t, after)
		}
	})
}

func TestFolderIsLocked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := faultfs.New()
		s := mustOpen(t, fs, nil)
		if _, err := kv.OpenOn(fs, "dir", nil); !errors.Is(err, kv.ErrLocked) {
			t.Errorf("a second store: %v", err)
		}
		mustClose(t, s)
		mustClose(t, mustOpen(t, fs, nil))
	})
	dir := t.TempDir()
	s, err := kv.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := kv.Open(dir, nil); !errors.Is(err, kv.ErrLocked) {
		t.Errorf("a second store on a real disk: %v", err)
	}
}
