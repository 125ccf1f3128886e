package main

import (
	"bufio"
	"errors"
	"io"
	"net"
	"reflect"
	"strings"
	"testing"
)

func replies(text string) *resp { return &resp{r: bufio.NewReader(strings.NewReader(text))} }

func TestReplies(t *testing.T) {
	c := replies("+OK\r\n:42\r\n$5\r\nhe\r\no\r\n$0\r\n\r\n$-1\r\n*3\r\n+a\r\n:1\r\n$1\r\nb\r\n*0\r\n-ERR no\r\n+PONG\r\n")
	for i, want := range []any{"OK", int64(42), "he\r\no", "", nil, []any{"a", int64(1), "b"}, []any(nil)} {
		if got, err := c.receive(); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("reply %d is %#v, %v; want %#v", i, got, err, want)
		}
	}
	var refused replyError
	if _, err := c.receive(); !errors.As(err, &refused) || refused != "ERR no" {
		t.Errorf("error reply is %v", err)
	}
	if got, err := c.receive(); err != nil || got != "PONG" {
		t.Errorf("after an error reply came %v, %v", got, err)
	}
	if _, err := c.receive(); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
}

func TestRepliesThatAreNone(t *testing.T) {
	for _, text := range []string{"\r\n", "+OK\n", "OK\r\n", ":x\r\n", "$3\r\nab", "$99999999999\r\n", "*2\r\n+a\r\n", "*1\r\n*1\r\n+a\r\n"} {
		if got, err := replies(text).receive(); err == nil {
			t.Errorf("%q was read as %#v", text, got)
		}
	}
}

func TestReceiveAll(t *testing.T) {
	c := replies("+OK\r\n:1\r\n+QUEUED\r\n+OK\r\n-ERR no\r\n")
	if err := c.receiveAll(4); err != nil {
		t.Fatal(err)
	}
	if err := c.receiveAll(1); err == nil {
		t.Error("an error reply was taken for another")
	}
}

// What is sent is read back here by the same reader: a command is an array of strings.
func TestCommands(t *testing.T) {
	near, far := net.Pipe()
	defer far.Close()
	c := &resp{conn: near}
	go func() {
		defer near.Close()
		c.set("key", []byte("va\r\nlue"))
		c.command("WAIT", "1", "")
		c.flush()
	}()
	server := &resp{r: bufio.NewReader(far)}
	for _, want := range []any{[]any{"SET", "key", "va\r\nlue"}, []any{"WAIT", "1", ""}} {
		if got, err := server.receive(); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%#v, %v; want %#v", got, err, want)
		}
	}
}

func FuzzReceive(f *testing.F) {
	f.Add("+OK\r\n*2\r\n$1\r\na\r\n:7\r\n")
	f.Add("$3\r\nabc\r\n-ERR\r\n*-1\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		c := replies(text)
		for range len(text) {
			var refused replyError
			if _, err := c.receive(); err != nil && !errors.As(err, &refused) {
				return
			}
		}
	})
}
