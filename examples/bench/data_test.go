package main

import (
	"strings"
	"testing"
)

func TestValuesAreOfTheirSize(t *testing.T) {
	e := newEntry(defaultValueBytes)
	v := string(e.valueOf(42))
	if len(v) != defaultValueBytes || !strings.HasPrefix(v, `{"id":"00000000042","tok":"`) || !strings.HasSuffix(v, valueEnd) {
		t.Errorf("value of 42 is %d bytes: %s", len(v), v)
	}
	if again := string(newEntry(defaultValueBytes).valueOf(42)); again != v {
		t.Errorf("the same seed gave %s and %s", v, again)
	}
	if other := string(e.valueOf(43)); other == v {
		t.Error("two seeds gave the same value")
	}
	if key := e.keyOf(42); key != "key:000000000042" {
		t.Errorf("key 42 is %q", key)
	}
	for _, n := range []int{0, 1, 10, 18, 30, 66, 67, 99, 1000} {
		if got := len(newEntry(n).valueOf(7)); got != n {
			t.Errorf("a value of %d bytes has %d", n, got)
		}
	}
}
