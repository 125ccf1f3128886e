package backlog_test

import (
	"encoding/json"
	"errors"
	"maps"
	"testing"

	"github.com/emberkv/ember/backlog"
)

// promoted returns a log that began in history 1 and was promoted n times, with
// one record of 100 bytes in each history. It holds what lies behind first.
func promoted(t testing.TB, n int, first int64) *backlog.Log {
	t.Helper()
	lineage, end, current := numbered(1), int64(0), uint64(1)
	promote := func() backlog.History {
		n--
		current++
		return numbered(current).Current
	}
	for end < first {
		end += 100
		if n > 0 {
			lineage = lineage.Fork(promote(), end)
		}
	}
	l := backlog.NewLogAt(lineage, end, nil)
	for n > 0 {
		mustAppend(t, l, framed(100, 0))
		l.Fork(promote())
	}
	mustAppend(t, l, framed(100, 0))
	return l
}

func TestContinue(t *testing.T) {
	one := numbered(1)
	two := one.Fork(numbered(2).Current, 100)
	three := two.Fork(numbered(3).Current, 200)
	stranger := numbered(99)
	for _, c := range []struct {
		name      string
		promoted  int
		first     int64
		follower  backlog.Lineage
		end       int64
		want      backlog.Refusal
		behindEnd int64 // bytes that the reader has to deliver
	}{
		{"at the end", 0, 0, one, 100, backlog.Accepted, 0},
		{"at the beginning, same history", 0, 0, one, 0, backlog.Accepted, 100},
		{"inside a record", 0, 0, one, 50, backlog.InsideRecord, 0},
		{"ahead in the current history", 0, 0, one, 101, backlog.AheadOfFork, 0},
		{"far ahead", 0, 0, one, backlog.MaxOffset, backlog.AheadOfFork, 0},
		{"negative", 0, 0, one, -1, backlog.Trimmed, 0},
		{"new, nothing in common", 0, 0, stranger, 0, backlog.Empty, 0},
		{"no history at all", 0, 0, backlog.Lineage{}, 0, backlog.Empty, 0},
		{"other group", 0, 0, stranger, 100, backlog.OtherHistory, 0},
		{"other group, negative", 0, 0, stranger, -1, backlog.OtherHistory, 0},
		{"trimmed", 0, 200, one, 100, backlog.Trimmed, 0},
		{"trimmed to its end", 0, 200, one, 200, backlog.Accepted, 100},

		{"one promotion, at the fork", 1, 0, one, 100, backlog.Accepted, 100},
		{"one promotion, behind the fork", 1, 0, one, 0, backlog.Accepted, 200},
		{"one promotion, ahead of the fork", 1, 0, one, 200, backlog.AheadOfFork, 0},
		{"two promotions, at the first fork", 2, 0, one, 100, backlog.Accepted, 200},
		{"two promotions, one byte ahead of the first fork", 2, 0, one, 101, backlog.AheadOfFork, 0},
		{"two promotions, followed the first", 2, 0, two, 200, backlog.Accepted, 100},
		{"two promotions, followed both", 2, 0, three, 300, backlog.Accepted, 0},
		{"two promotions, trimmed", 2, 200, one, 100, backlog.Trimmed, 0},
		{"two promotions, ahead and trimmed", 2, 200, one, 150, backlog.AheadOfFork, 0},

		{"follower was promoted, no more bytes", 0, 0, two, 100, backlog.Accepted, 0},
		{"follower was promoted and wrote", 0, 0, two, 200, backlog.AheadOfFork, 0},
		{"both were promoted at one point", 1, 0, one.Fork(numbered(50).Current, 100), 100, backlog.Accepted, 100},
		{"both were promoted, follower wrote", 1, 0, one.Fork(numbered(50).Current, 100), 200, backlog.AheadOfFork, 0},
		{"zero-length histories on the way", 1, 0, one.Fork(numbered(50).Current, 0).Fork(numbered(51).Current, 0), 0, backlog.Accepted, 200},

		// Of 41 histories the log remembers 9 to 41.
		{"40 promotions, oldest remembered", 40, 0, numbered(9), 900, backlog.Accepted, 3200},
		{"40 promotions, just forgotten", 40, 0, numbered(8), 800, backlog.OtherHistory, 0},
		{"40 promotions, forgotten, empty", 40, 0, numbered(8), 0, backlog.Empty, 0},
		{"40 promotions, followed until 20", 40, 0, numbered(8).Fork(numbered(20).Current, 1900), 2000, backlog.Accepted, 2100},
		{"40 promotions, ahead of 20", 40, 0, numbered(20), 2001, backlog.AheadOfFork, 0},
		{"40 promotions, at the end", 40, 0, numbered(41), 4100, backlog.Accepted, 0},
		{"40 promotions, trimmed", 40, 3000, numbered(20), 2000, backlog.Trimmed, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := promoted(t, c.promoted, c.first)
			r, refusal := l.Continue(c.follower, c.end)
			if refusal != c.want {
				t.Fatalf("got %q, want %q; log has %+v of %v", refusal, c.want, l.Window(), l.Lineage())
			}
			if (r != nil) != (refusal == backlog.Accepted) {
				t.Fatalf("reader %v with %q", r, refusal)
			}
			if r != nil && (r.Offset() != c.end || int64(len(drain(t, r))) != c.behindEnd) {
				t.Errorf("reader delivered up to %d from %d, want %d bytes", r.Offset(), c.end, c.behindEnd)
			}
		})
	}
}

func TestRefusalText(t *testing.T) {
	seen := make(map[string]bool)
	for r := backlog.Accepted; r <= backlog.InsideRecord+1; r++ {
		if s := r.String(); s == "" || seen[s] {
			t.Errorf("refusal %d is %q", r, s)
		} else {
			seen[s] = true
		}
	}
	if s := backlog.Refusal(200).String(); s != "Refusal(200)" {
		t.Errorf("got %q", s)
	}
	counts := map[backlog.Refusal]int{backlog.Accepted: 1, backlog.AheadOfFork: 2, backlog.Trimmed: 3, 200: 4}
	b, err := json.Marshal(counts)
	if want := `{"Refusal(200)":4,"accepted":1,"ahead of the fork":2,"trimmed":3}`; err != nil || string(b) != want {
		t.Errorf("as JSON: %s, %v, want %s", b, err, want)
	}
	var back map[backlog.Refusal]int
	if err := json.Unmarshal(b, &back); err != nil || !maps.Equal(back, counts) {
		t.Errorf("read again: %v, %v", back, err)
	}
	for _, s := range []string{"", "TRIMMED", "Refusal", "Refusal()", "Refusal(3)", "Refusal(0200)", "Refusal(256)", "Refusal(200", "Refusal(-1)"} {
		if r := backlog.Accepted; !errors.Is(r.UnmarshalText([]byte(s)), backlog.ErrText) || r != backlog.Accepted {
			t.Errorf("%q was read as %q", s, r)
		}
	}
}
