package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestTables(t *testing.T) {
	const in = `goos: linux
BenchmarkGet/keys=1000/goroutines=1/store=xsync-2	    2000	206.1 ns/op	0.000 B/op
BenchmarkGet/keys=1000/goroutines=1/store=xsync-2	    2000	1206.1 ns/op	0.000 B/op
BenchmarkGet/keys=1000/goroutines=1/store=xsync-2	    2000	4206.1 ns/op	0.000 B/op
BenchmarkGet/keys=1000/goroutines=1/store=ember-2	    2000	9.25 ns/op	0.000 B/op
BenchmarkMix/keys=1000/goroutines=2/store=ember-2	    2000	50 ns/op
BenchmarkMix/keys=1000/goroutines=2/store=ember-2	    2000	60 ns/op
BenchmarkBroken/keys=1000
BenchmarkMemory/keys=1000000/gogc=100/store=btree-2	       1	191.6 heap-B/key
`
	const want = `Time of one operation, ns, by goroutines, 1,000 keys

| store | get, 1 | 95/5, 2 |
|---|---:|---:|
| ember | 9.25 | 55.0 |
| xsync | 1,206 | – |

Memory, bytes a key, and one collection, ms, 1,000,000 keys

| store | heap |
|---|---:|
| btree | 192 |

`
	var out bytes.Buffer
	if err := printTables(&out, strings.NewReader(in)); err != nil {
		t.Fatal(err)
	}
	if out.String() != want {
		t.Errorf("got\n%s", out.String())
	}
}
