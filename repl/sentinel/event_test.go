package sentinel_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/repl"
	"github.com/emberkv/ember/repl/sentinel"
)

// Programs that read Redis Sentinel's messages count the words.
func TestEventsReadAsInRedis(t *testing.T) {
	master := sentinel.Instance{Type: sentinel.InstanceMaster, Name: "a", Addr: "10.0.0.1:7000"}
	slave := sentinel.Instance{Type: sentinel.InstanceSlave, Name: "b", Addr: "[::1]:7001"}
	for _, c := range []struct {
		event sentinel.Event
		want  string
	}{
		{sentinel.Event{Kind: sentinel.EventSDown, Group: "g", About: slave, Master: master},
			"+sdown slave b ::1 7001 @ g 10.0.0.1 7000"},
		{sentinel.Event{Kind: sentinel.EventODown, Group: "g", About: master, Master: master, Text: "#quorum 2/2"},
			"+odown master g 10.0.0.1 7000 #quorum 2/2"},
		{sentinel.Event{Kind: sentinel.EventSwitchMaster, Group: "g", About: master, Master: slave, Text: "ignored"},
			"+switch-master g 10.0.0.1 7000 ::1 7001"},
		{sentinel.Event{Kind: sentinel.EventODown, About: master, Master: master}, "+odown master - 10.0.0.1 7000"},
		{sentinel.Event{Kind: sentinel.EventNewEpoch, Group: "g", Master: master, Text: "7"}, "+new-epoch 7"},
		{sentinel.Event{Kind: sentinel.EventNewSentinel, Group: "g", About: sentinel.Instance{Type: sentinel.InstanceSentinel, Name: "s", Addr: "pipe"}},
			"+sentinel sentinel s pipe 0 @ g - 0"},
		{sentinel.Event{Kind: sentinel.EventSDown, Group: "g", About: sentinel.Instance{Type: sentinel.InstanceSlave, ID: repl.NodeID{0xab, 1}}, Master: master},
			"+sdown slave ab010000 - 0 @ g 10.0.0.1 7000"},
	} {
		if got := c.event.String(); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

func TestEventKindsHaveNames(t *testing.T) {
	seen := map[string]bool{}
	for k := range sentinel.EventKind(255) {
		text, _ := k.MarshalText()
		if text[0] != '+' && text[0] != '-' {
			if k.Warning() {
				t.Errorf("%v has no name and is a warning", k)
			}
			continue
		}
		var back sentinel.EventKind
		if err := back.UnmarshalText(text); err != nil || back != k || seen[k.String()] {
			t.Errorf("%v reads as %v, %v; seen before: %v", k, back, err, seen[k.String()])
		}
		seen[k.String()] = true
	}
	if len(seen) != 43 {
		t.Errorf("%d kinds", len(seen))
	}
	if err := new(sentinel.EventKind).UnmarshalText([]byte("+tilt")); err == nil {
		t.Error("+tilt is none of ours")
	}
}

// TestEventsGoThroughJSON and back, whatever they are about.
func TestEventsGoThroughJSON(t *testing.T) {
	for of := range sentinel.InstanceSentinel + 1 {
		e := sentinel.Event{Kind: sentinel.EventReboot, About: sentinel.Instance{Type: of, Name: "a"}}
		b, err := json.Marshal(e)
		var back sentinel.Event
		if err == nil {
			err = json.Unmarshal(b, &back)
		}
		if err != nil || back != e {
			t.Errorf("%s reads as %+v, %v", b, back, err)
		}
	}
	if err := new(sentinel.InstanceType).UnmarshalText([]byte("replica")); !errors.Is(err, backlog.ErrText) {
		t.Errorf("replica is not Redis' word: %v", err)
	}
}

func TestEventsAreJSON(t *testing.T) {
	b, err := json.Marshal(sentinel.Event{Kind: sentinel.EventReboot, About: sentinel.Instance{Type: sentinel.InstanceSlave}})
	var back struct {
		Kind  string
		About struct{ Type string }
	}
	if err == nil {
		err = json.Unmarshal(b, &back)
	}
	if err != nil || back.Kind != "+reboot" || back.About.Type != "slave" {
		t.Errorf("%s, %v", b, err)
	}
}

// What a program logs of a switch, and what it may do with it.
func ExampleEvent() {
	onEvent := func(e sentinel.Event) { // Options.OnEvent
		fmt.Println(e)
		if e.Kind == sentinel.EventSwitchMaster {
			fmt.Println("writes go to", e.Master.Addr, "from now on")
		}
	}
	onEvent(sentinel.Event{
		Kind: sentinel.EventSwitchMaster, Group: "orders", Epoch: 7,
		About:  sentinel.Instance{Type: sentinel.InstanceMaster, Addr: "10.0.0.1:7000"},
		Master: sentinel.Instance{Type: sentinel.InstanceMaster, Addr: "10.0.0.2:7000"},
	})
	// Output:
	// +switch-master orders 10.0.0.1 7000 10.0.0.2 7000
	// writes go to 10.0.0.2:7000 from now on
}

func ExampleEventKind() {
	for _, k := range []sentinel.EventKind{sentinel.EventODown, sentinel.EventNewSlave} {
		fmt.Println(k, k.Warning())
	}
	// Output:
	// +odown true
	// +slave false
}

func ExampleInstance() {
	about := sentinel.Instance{Type: sentinel.InstanceSlave, Name: "paris", Addr: "10.0.0.3:7000"}
	fmt.Println(sentinel.Event{Kind: sentinel.EventSDown, Group: "orders", About: about}.Message())
	// Output:
	// slave paris 10.0.0.3 7000 @ orders - 0
}

func ExampleInstanceType() {
	fmt.Println(sentinel.InstanceMaster, sentinel.InstanceSlave, sentinel.InstanceSentinel)
	// Output:
	// master slave sentinel
}
