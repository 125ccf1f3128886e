package kv_test

import (
	"context"
	"fmt"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/kv"
)

// What a watcher is told of writes, and what when the log does not go on from where it was.
func ExampleEventKind() {
	s := kv.New(nil)
	defer s.Close()
	watch := func(from backlog.Position) {
		for e, err := range s.Watch(context.Background(), "job:", from) {
			if err != nil {
				fmt.Println(err)
				return
			}
			switch e.Kind {
			case kv.EventReset: // forget what was handed out before
				fmt.Printf("%v: %v\n", e.Kind, e.Reason)
			case kv.EventSynced:
				fmt.Println(e.Kind)
				return // a service would go on
			default:
				fmt.Printf("%v %q\n", e.Kind, e.Key)
			}
		}
	}
	from := s.Position()
	s.Set("job:1", []byte("cook"))
	s.Expire("job:1", time.Hour)
	s.Delete("job:1")
	s.Set("user:1", []byte("Ada")) // no job
	s.Clear()
	s.Set("job:2", []byte("sweep"))
	watch(from)
	watch(backlog.Position{History: backlog.NewHistory(), Offset: 1}) // of a store that is no more
	// Output:
	// put "job:1"
	// deadline "job:1"
	// delete "job:1"
	// delete prefix ""
	// put "job:2"
	// synced
	// reset: other history
	// put "job:2"
	// synced
}
