package kv_test

import (
	"errors"
	"fmt"

	"github.com/emberkv/ember/kv"
)

// Money that moves is never in two places, nor in none.
func ExampleStore_Update() {
	s := kv.New(nil)
	defer s.Close()
	s.Set("ada", []byte("100"))
	errPoor := errors.New("not enough")
	pay := func(from, to string, amount int64) error {
		return s.Update(func(tx *kv.Tx) error {
			left, err := tx.Add(from, -amount)
			if err != nil {
				return err
			}
			if left < 0 {
				return errPoor // nothing is written
			}
			_, err = tx.Add(to, amount)
			return err
		})
	}
	fmt.Println(pay("ada", "bob", 70))
	fmt.Println(pay("ada", "bob", 70))
	ada, _ := s.Get("ada")
	bob, _ := s.Get("bob")
	fmt.Printf("%s %s\n", ada, bob)
	// Output:
	// <nil>
	// not enough
	// 30 70
}

func ExampleStore_View() {
	s := kv.New(nil)
	defer s.Close()
	s.Set("cart:1", []byte("apple"))
	s.Set("cart:2", []byte("pear"))
	s.Set("carts", []byte("2"))
	err := s.View(func(tx *kv.Tx) error {
		total, err := tx.Get("carts")
		if err != nil {
			return err
		}
		n := 0
		for range tx.Prefix("cart:") {
			n++
		}
		fmt.Printf("%d of %s\n", n, total) // whatever others write meanwhile
		return nil
	})
	fmt.Println(err)
	// Output:
	// 2 of 2
	// <nil>
}

// A function that changes several keys only if they are as expected.
func ExampleTx() {
	s := kv.New(nil)
	defer s.Close()
	s.Set("seat:1", []byte("free"))
	s.Set("seat:2", []byte("free"))
	book := func(who string, seats ...string) error {
		return s.Update(func(tx *kv.Tx) error {
			for _, seat := range seats {
				switch state, err := tx.Get(seat); {
				case err != nil:
					return err
				case string(state) != "free":
					return fmt.Errorf("%s is taken by %s", seat, state)
				}
				if err := tx.Set(seat, []byte(who)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	fmt.Println(book("Ada", "seat:2"))
	fmt.Println(book("Bob", "seat:1", "seat:2"))
	one, _ := s.Get("seat:1")
	fmt.Printf("%s\n", one)
	// Output:
	// <nil>
	// seat:2 is taken by Ada
	// free
}

func ExampleStore_Rename() {
	s := kv.New(nil)
	defer s.Close()
	s.Set("draft", []byte("text"))
	fmt.Println(s.Rename("draft", "published"))
	fmt.Println(s.Rename("draft", "published"))
	// Output:
	// <nil>
	// kv: key not found
}

func ExampleStore_Copy() {
	s := kv.New(nil)
	defer s.Close()
	s.Set("config", []byte("a=1"))
	fmt.Println(s.Copy("config", "config:backup"))
	v, _ := s.Get("config:backup")
	fmt.Printf("%s\n", v)
	// Output:
	// <nil>
	// a=1
}

func ExampleStore_DeletePrefix() {
	s := kv.New(nil)
	defer s.Close()
	s.Set("session:1:user", []byte("Ada"))
	s.Set("session:1:cart", []byte("3"))
	s.Set("session:2:user", []byte("Bob"))
	fmt.Println(s.DeletePrefix("session:1:"))
	fmt.Println(s.Len())
	// Output:
	// 2 <nil>
	// 1
}

// Many keys at once: their memory is waited for together.
func ExampleStore_GetMulti() {
	s := kv.New(nil)
	defer s.Close()
	s.Set("user:1", []byte("Ada"))
	s.Set("user:3", []byte("Bob"))
	names, err := s.GetMulti(nil, "user:1", "user:2", "user:3")
	for _, name := range names {
		fmt.Printf("%s, missing: %v\n", name, name == nil)
	}
	fmt.Println(err)
	// Output:
	// Ada, missing: false
	// , missing: true
	// Bob, missing: false
	// <nil>
}
