package kv_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/emberkv/ember/kv"
)

// registers is the state of a store with few keys; "" is none.
type registers [4]string

func register(i int) string { return fmt.Sprintf("r:%d", i) }

// A call is what a client asked for.
type call struct {
	op    string
	i, j  int
	value string
}

// A result is what it got: the values that it read, and what an error or a flag said.
type result struct {
	read registers
	said string
}

// step is the sequential specification. It returns what a call does to a state, and what
// it answers.
func (c call) step(s registers) (registers, result) {
	var r result
	switch c.op {
	case "get":
		r.read[c.i] = s[c.i]
	case "set", "pipeline":
		s[c.i] = c.value
	case "create":
		if r.said = "exists"; s[c.i] == "" {
			s[c.i], r.said = c.value, ""
		}
	case "delete":
		r.said = strconv.FormatBool(s[c.i] != "")
		s[c.i] = ""
	case "add":
		s[c.i], r.said = plus(s[c.i])
	case "view", "views":
		r.read = s
	case "swap":
		r.read[c.i], r.read[c.j] = s[c.i], s[c.j]
		s[c.i], s[c.j] = s[c.j], s[c.i]
	case "put both":
		s[c.i], s[c.j] = c.value, c.value
	case "rename", "copy":
		if r.said = "missing"; s[c.i] != "" {
			r.said, s[c.j] = "", s[c.i]
			if c.op == "rename" && c.i != c.j {
				s[c.i] = ""
			}
		}
	case "clear":
		s = registers{}
	case "delete prefix":
		n := 0
		for _, v := range s {
			if v != "" {
				n++
			}
		}
		s, r.said = registers{}, strconv.Itoa(n)
	}
	return s, r
}

func plus(value string) (sum, said string) {
	n := 0
	if value != "" {
		var err error
		if n, err = strconv.Atoi(value); err != nil {
			return value, "no integer"
		}
	}
	sum = strconv.Itoa(n + 1)
	return sum, sum
}

// do makes a call to a store.
func (c call) do(s *kv.Store) (r result) {
	read := func(get func(string) ([]byte, error), i int) error {
		v, err := get(register(i))
		if err == kv.ErrNotFound {
			v, err = nil, nil
		}
		r.read[i] = string(v)
		return err
	}
	var err error
	switch c.op {
	case "get":
		err = read(s.Get, c.i)
	case "set":
		err = s.Set(register(c.i), []byte(c.value))
	case "pipeline":
		p := s.Pipeline()
		err = errors.Join(p.Set("beside", nil), p.Set(register(c.i), []byte(c.value)), p.Delete("beside"))
		if _, failed := p.Exec(); err == nil {
			err = failed
		}
	case "create":
		if err = s.Set(register(c.i), []byte(c.value), kv.IfAbsent()); err == kv.ErrExists {
			r.said, err = "exists", nil
		}
	case "delete":
		var existed bool
		existed, err = s.Delete(register(c.i))
		r.said = strconv.FormatBool(existed)
	case "add":
		var n int64
		n, err = s.Add(register(c.i), 1)
		if r.said = strconv.FormatInt(n, 10); err == kv.ErrNotInteger {
			r.said, err = "no integer", nil
		}
	case "view":
		err = s.View(func(tx *kv.Tx) (err error) {
			for i := range r.read {
				err = errors.Join(err, read(tx.Get, i))
				runtime.Gosched()
			}
			return err
		})
	case "views":
		err = s.View(func(tx *kv.Tx) error {
			r.read = registers{}
			for k, v := range tx.Prefix("r:") {
				r.read[k[2]-'0'] = string(v)
			}
			return nil
		})
	case "swap":
		err = s.Update(func(tx *kv.Tx) error {
			if err := errors.Join(read(tx.Get, c.i), read(tx.Get, c.j)); err != nil {
				return err
			}
			runtime.Gosched()
			return errors.Join(put(tx, c.i, r.read[c.j]), put(tx, c.j, r.read[c.i]))
		})
	case "put both":
		err = s.Update(func(tx *kv.Tx) error {
			return errors.Join(put(tx, c.i, c.value), put(tx, c.j, c.value))
		})
	case "rename", "copy":
		move := s.Rename
		if c.op == "copy" {
			move = s.Copy
		}
		if err = move(register(c.i), register(c.j)); err == kv.ErrNotFound {
			r.said, err = "missing", nil
		}
	case "clear":
		err = s.Clear()
	case "delete prefix":
		var n int
		n, err = s.DeletePrefix("r:")
		r.said = strconv.Itoa(n)
	}
	if err != nil {
		r.said = err.Error()
	}
	return r
}

// put sets a register, or deletes it.
func put(tx *kv.Tx, i int, value string) error {
	if value == "" {
		_, err := tx.Delete(register(i))
		return err
	}
	return tx.Set(register(i), []byte(value))
}

var registerModel = porcupine.Model{
	Init: func() any { return registers{} },
	Step: func(state, input, output any) (bool, any) {
		next, want := input.(call).step(state.(registers))
		return output.(result) == want, next
	},
	DescribeOperation: func(input, output any) string { return fmt.Sprintf("%+v: %+v", input, output) },
}

// TestHistoriesAreLinearizable has a few clients make random calls, about few keys, at
// once, and looks for an order in which they could have been made one after the other.
func TestHistoriesAreLinearizable(t *testing.T) {
	histories, clients, calls := 150, 4, 25
	if raceEnabled {
		histories = 25
	}
	often := []string{"get", "get", "get", "get", "set", "pipeline", "create", "delete", "add", "add", "view", "views",
		"swap", "swap", "swap", "put both", "put both", "rename", "copy"}
	seldom := append([]string{"clear", "delete prefix"}, often...)
	for seed := range uint64(histories) {
		s := kv.New(&kv.Options{Ordered: seed%2 == 1})
		var (
			clock   atomic.Int64
			mu      sync.Mutex
			history []porcupine.Operation
			group   sync.WaitGroup
		)
		begin := make(chan struct{})
		for client := range clients {
			r := rand.New(rand.NewPCG(seed, uint64(client)))
			group.Go(func() {
				<-begin
				for n := range calls {
					c := call{i: r.IntN(len(registers{})), j: r.IntN(len(registers{})), value: fmt.Sprintf("%d.%d", client, n)}
					if c.op = often[r.IntN(len(often))]; r.IntN(5) == 0 {
						c.op = seldom[r.IntN(len(seldom))]
					}
					op := porcupine.Operation{ClientId: client, Input: c, Call: clock.Add(1)}
					op.Output = c.do(s)
					op.Return = clock.Add(1)
					mu.Lock()
					history = append(history, op)
					mu.Unlock()
				}
			})
		}
		close(begin)
		group.Wait()
		if got := porcupine.CheckOperationsTimeout(registerModel, history, 2*time.Minute); got != porcupine.Ok {
			for _, op := range history {
				t.Logf("%d-%d %d: %s", op.Call, op.Return, op.ClientId, registerModel.DescribeOperation(op.Input, op.Output))
			}
			t.Fatalf("seed %d: %v", seed, got)
		}
		s.Close()
	}
}
