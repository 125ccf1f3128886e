package main

import (
	"strings"
	"testing"
)

func TestPeerThatIsNotThere(t *testing.T) {
	const name = "no-such-server-anywhere"
	if p, err := findPeer(name); err == nil || !strings.Contains(err.Error(), name+" is not on PATH") {
		t.Errorf("findPeer found %v, %v; want an error that says what is not where", p, err)
	}
}
