package kv_test

import (
	"errors"
	"fmt"
	"time"

	"github.com/emberkv/ember/kv"
)

// A cache of a mebibyte, log and all.
func ExampleEviction() {
	s := kv.New(&kv.Options{MaxBytes: 1 << 20, Eviction: kv.EvictLFU})
	defer s.Close()
	for i := range 10_000 {
		if err := s.Set(fmt.Sprint("page:", i), make([]byte, 1000)); err != nil {
			fmt.Println(err)
			return
		}
		if _, err := s.Get("page:0"); err != nil { // the one that all ask for
			fmt.Println(err)
			return
		}
	}
	_, err := s.Get("page:5000")
	fmt.Println(err)
	err = s.Set("page:all", make([]byte, 2<<20))
	fmt.Println(errors.Is(err, kv.ErrTooLarge))
	// Output:
	// kv: key not found
	// true
}

// A value of nearly half of the memory can be replaced, but not by a write that goes by it: there is no room for
// the old one, the new one and the log.
func ExampleEviction_large() {
	s := kv.New(&kv.Options{MaxBytes: 1 << 20, Eviction: kv.EvictLRU})
	defer s.Close()
	large := make([]byte, 400<<10)
	fmt.Println(s.Set("page:all", large))
	fmt.Println(s.Set("page:all", large))
	err := s.Set("page:all", large, kv.IfPresent())
	fmt.Println(errors.Is(err, kv.ErrFull))
	_, err = s.Expire("page:all", time.Minute)
	fmt.Println(errors.Is(err, kv.ErrFull))
	// Output:
	// <nil>
	// <nil>
	// true
	// true
}

func ExampleStats() {
	s := kv.New(&kv.Options{MaxBytes: 1 << 20})
	defer s.Close()
	if err := s.Set("user:1", []byte("Ada")); err != nil {
		fmt.Println(err)
		return
	}
	st := s.Stats()
	fmt.Println(st.Keys, st.MaxBytes, st.Bytes < 64<<10)
	// Output: 1 1048576 true
}
