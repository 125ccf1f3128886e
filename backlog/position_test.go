package backlog_test

import (
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/emberkv/ember/backlog"
)

const digits = "00112233445566778899aabbccddeeff"

func position(t testing.TB, s string) backlog.Position {
	t.Helper()
	p, err := backlog.ParsePosition(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPositionText(t *testing.T) {
	for _, offset := range []int64{0, 1, 9, 10, math.MaxUint32, backlog.MaxOffset} {
		p := backlog.Position{History: backlog.NewHistory(), Offset: offset}
		if got := position(t, p.String()); got != p {
			t.Errorf("%s came back as %s", p, got)
		}
		b, err := json.Marshal(map[backlog.History]backlog.Position{p.History: p})
		if err != nil {
			t.Fatal(err)
		}
		var m map[backlog.History]backlog.Position
		if err := json.Unmarshal(b, &m); err != nil || m[p.History] != p {
			t.Errorf("%s came back as %v, %v", b, m, err)
		}
	}
	var zero backlog.Position
	if p := position(t, zero.String()); !p.IsZero() || !p.History.IsZero() {
		t.Errorf("the zero position came back as %s", p)
	}
	if p := position(t, digits+"-7"); p.IsZero() || p.History.IsZero() || p.Offset != 7 {
		t.Errorf("got %s", p)
	}
}

func TestPositionRefusesGarbage(t *testing.T) {
	for _, s := range []string{
		"", "-", "-1", "7", digits, digits + "-", digits + "-+1", digits + "--1", digits + "-01",
		digits + "-1 ", " " + digits + "-1", digits + "-1_0", digits + "-0x1", digits + "-1-2",
		digits + "-4611686018427387905", digits + "-9223372036854775808", digits + "-99999999999999999999999",
		digits[1:] + "-1", digits + "0-1", strings.ToUpper(digits) + "-1", "g" + digits[1:] + "-1",
		"\u212a" + digits[3:] + "-1", strings.Repeat("9", 1<<16), digits + "-" + strings.Repeat("9", 1<<16),
	} {
		p, err := backlog.ParsePosition(s)
		if !errors.Is(err, backlog.ErrText) || !p.IsZero() {
			t.Errorf("%.60q: %s, %v", s, p, err)
		}
		if err != nil && len(err.Error()) > 300 {
			t.Errorf("%.60q: an error of %d bytes", s, len(err.Error()))
		}
		q := position(t, digits+"-5")
		if err := q.UnmarshalText([]byte(s)); !errors.Is(err, backlog.ErrText) || q.Offset != 5 {
			t.Errorf("%.60q: %v, and the position is %s", s, err, q)
		}
	}
	h := backlog.NewHistory()
	if before := h; h.UnmarshalText([]byte("x")) == nil || h != before {
		t.Error("a bad history was taken, or changed the value")
	}
}

// A text with a flipped bit is refused or says something else; it never
// decodes to what it was, nor to something that is written differently.
func TestPositionEveryBitFlipped(t *testing.T) {
	p := position(t, digits+"-1029384756")
	refused := 0
	for bit := range 8 * len(p.String()) {
		b := []byte(p.String())
		b[bit/8] ^= 1 << (bit % 8)
		switch q, err := backlog.ParsePosition(string(b)); {
		case err != nil:
			refused++
		case q == p || q.String() != string(b):
			t.Errorf("%q reads as %s", b, q)
		}
	}
	if refused < 200 {
		t.Errorf("only %d flips were refused", refused)
	}
}

func TestHistoriesDiffer(t *testing.T) {
	seen := make(map[backlog.History]bool)
	for range 1000 {
		h := backlog.NewHistory()
		if h.IsZero() || seen[h] {
			t.Fatalf("history %s", h)
		}
		seen[h] = true
	}
}
