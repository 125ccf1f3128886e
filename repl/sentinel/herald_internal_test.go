package sentinel

import (
	"testing"
	"testing/synctest"
)

// A program that does not return from its callback holds up nobody, and is told what it has missed.
func TestSlowListenerMissesEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []Event
		release := make(chan struct{})
		h := newHerald(func(e Event) {
			<-release
			got = append(got, e)
		})
		h.put(Event{Epoch: 1})
		synctest.Wait() // the callback has it, and hangs
		for i := range uint64(MaxEvents + 3) {
			h.put(Event{Epoch: 2 + i})
		}
		close(release)
		synctest.Wait()
		h.put(Event{Epoch: 9999})
		h.close()
		if len(got) != 1+MaxEvents+1 {
			t.Fatalf("%d events", len(got))
		}
		for i, e := range got[:1+MaxEvents] {
			if e.Epoch != uint64(i+1) || e.Missed != 0 {
				t.Fatalf("event %d is %d, %d missed", i, e.Epoch, e.Missed)
			}
		}
		if last := got[1+MaxEvents]; last.Epoch != 9999 || last.Missed != 3 {
			t.Fatalf("the last one is %d, %d missed", last.Epoch, last.Missed)
		}
	})
}
