package kv_test

import (
	"errors"
	"fmt"

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
