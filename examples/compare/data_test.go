package main

import "testing"

func TestOrderTakesEachKeyOnce(t *testing.T) {
	for _, n := range []int{1, 2, 3, 100, 1000, 4096, 12345} {
		for seed := range uint64(3) {
			seen := make([]bool, n)
			fixed := 0
			for i := range n {
				k := randomOrder(n, seed).at(i)
				if k < 0 || k >= n || seen[k] {
					t.Fatalf("n %d, seed %d: number %d is %d, out of range or not new", n, seed, i, k)
				}
				seen[k] = true
				if k == i {
					fixed++
				}
			}
			if n >= 1000 && fixed > n/50 {
				t.Errorf("n %d, seed %d: %d of them stay in place", n, seed, fixed)
			}
		}
	}
	if o := ascendingOrder(10); o.at(3) != 3 {
		t.Errorf("ascending: number 3 is %d", o.at(3))
	}
}

func TestEntry(t *testing.T) {
	e := newEntry()
	e.setKey(1234567)
	e.setValue(89)
	if got := string(e.key); got != "key:000001234567" {
		t.Errorf("key %q", got)
	}
	const front = `{"id":"00000000089","tok":"`
	if got := string(e.value[:len(front)]); got != front || len(e.value) != valueBytes || e.value[valueBytes-1] != '}' {
		t.Errorf("value %q", e.value)
	}
	other := newEntry()
	other.setValue(90)
	if same := string(other.value[len(front):][:tokenBytes]) == string(e.value[len(front):][:tokenBytes]); same {
		t.Error("two values have one token")
	}
}
