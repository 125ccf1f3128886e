package kv_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/emberkv/ember/kv"
)

// A keyList holds random keys of the filled store one after the other. A transaction
// keeps its keys, so they are made before, but without a pointer for each.
type keyList string

func newKeyList(n int) keyList {
	r, k := rand.New(rand.NewPCG(1, 2)), newKeyMaker()
	var b strings.Builder
	for range n {
		b.WriteString(k.key(r.IntN(*benchKeys)))
	}
	return keyList(b.String())
}

func (l keyList) key(i int) string { i %= len(l) / 16; return string(l[16*i : 16*i+16]) }

// benchTx runs transactions over n keys each.
func benchTx(b *testing.B, n int, call func(func(*kv.Tx) error) error, op func(tx *kv.Tx, key string) error) {
	filled(b)
	const many = 1 << 18
	keys, first := newKeyList(many), 0
	fn := func(tx *kv.Tx) error {
		for i := range n {
			if err := op(tx, keys.key(first+i)); err != nil {
				return err
			}
		}
		return nil
	}
	b.SetBytes(int64(n) * 116)
	for i := 0; b.Loop(); i += n {
		first = i % many
		if err := call(fn); err != nil {
			b.Fatal(err)
		}
	}
}

// benchTogether runs transactions over 4 keys each, which are read at once.
func benchTogether(b *testing.B, call func(func(*kv.Tx) error) error, write bool) {
	filled(b)
	const n, many = 4, 1 << 18
	keys, some, first := newKeyList(many), make([]string, n), 0
	values := make([][]byte, 0, n)
	fn := func(tx *kv.Tx) error {
		for i := range some {
			some[i] = keys.key(first + i)
		}
		_, err := tx.GetMulti(values, some...)
		for i := 0; i < n && write && err == nil; i++ {
			err = tx.Set(some[i], benchValue)
		}
		return err
	}
	b.SetBytes(n * 116)
	for i := 0; b.Loop(); i += n {
		first = i % many
		if err := call(fn); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkGetMulti reads several keys at once, without a transaction.
func BenchmarkGetMulti(b *testing.B) {
	filled(b)
	for _, n := range []int{4, 32} {
		b.Run(fmt.Sprint(n, " keys"), func(b *testing.B) {
			keys, some, values := newKeyList(1<<18), make([]string, n), make([][]byte, 0, n)
			b.SetBytes(int64(n) * 116)
			for i := 0; b.Loop(); i += n {
				for j := range some {
					some[j] = keys.key(i + j)
				}
				values, err := benchStore.GetMulti(values, some...)
				if err != nil || values[n-1][99] != '}' {
					b.Fatal(err)
				}
			}
		})
	}
}

func readAndSet(tx *kv.Tx, key string) error {
	if _, err := tx.Get(key); err != nil {
		return err
	}
	return tx.Set(key, benchValue)
}

func justRead(tx *kv.Tx, key string) error {
	_, err := tx.Get(key)
	return err
}

func BenchmarkUpdate(b *testing.B) {
	filled(b)
	b.Run("1 key", func(b *testing.B) { benchTx(b, 1, benchStore.Update, readAndSet) })
	b.Run("4 keys", func(b *testing.B) { benchTx(b, 4, benchStore.Update, readAndSet) })
	b.Run("4 keys, blind", func(b *testing.B) {
		benchTx(b, 4, benchStore.Update, func(tx *kv.Tx, key string) error { return tx.Set(key, benchValue) })
	})
	b.Run("4 keys together", func(b *testing.B) { benchTogether(b, benchStore.Update, true) })
	b.Run("64 keys", func(b *testing.B) { benchTx(b, 64, benchStore.Update, readAndSet) })
	b.Run("10000 keys, blind", func(b *testing.B) {
		benchTx(b, 10_000, benchStore.Update, func(tx *kv.Tx, key string) error { return tx.Set(key, benchValue) })
	})
}

func BenchmarkView(b *testing.B) {
	filled(b)
	b.Run("4 keys together", func(b *testing.B) { benchTogether(b, benchStore.View, false) })
	b.Run("1 key", func(b *testing.B) { benchTx(b, 1, benchStore.View, justRead) })
	b.Run("4 keys", func(b *testing.B) { benchTx(b, 4, benchStore.View, justRead) })
}
