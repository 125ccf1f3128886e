package repltest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/emberkv/ember/kv"
	"github.com/emberkv/ember/repl"
	"github.com/emberkv/ember/repl/repltest"
)

// echo serves every connection of a listener by sending back what it reads.
func echo(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			io.Copy(c, c)
			c.Close()
		}()
	}
}

// ask sends a question and returns the answer.
func ask(c net.Conn, question string) (string, error) {
	if _, err := c.Write([]byte(question)); err != nil {
		return "", err
	}
	answer := make([]byte, len(question))
	_, err := io.ReadFull(c, answer)
	return string(answer), err
}

// A store and its replica over a network that breaks: the link is cut between two
// writes, and heals by a partial resync.
func Example() {
	network := repltest.NewNetwork(42)
	defer network.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	here, there := kv.New(nil), kv.New(nil)
	defer here.Close()
	defer there.Close()
	master, err := repl.NewMaster(here, nil)
	if err != nil {
		panic(err)
	}
	defer master.Close()
	listener, err := network.Host("master").Listen("master")
	if err != nil {
		panic(err)
	}
	go master.Serve(listener)
	replica, err := repl.NewReplica(there, "master", &repl.Options{Transport: network.Host("replica")})
	if err != nil {
		panic(err)
	}
	defer replica.Close()
	go replica.Run(ctx)

	here.Set("greeting", []byte("hello"))
	fmt.Println(there.Wait(ctx, here.Position()))
	network.Link("replica", "master").Cut()
	here.Set("greeting", []byte("hello again"))
	fmt.Println(there.Wait(ctx, here.Position()))

	value, err := there.Get("greeting")
	fmt.Printf("%s %v\n", value, err)
	up := replica.Status().Upstream
	fmt.Println("full copies:", up.Fulls, "partial resyncs:", up.Partials)
	// Output:
	// <nil>
	// <nil>
	// hello again <nil>
	// full copies: 1 partial resyncs: 1
}

// The example takes real time, so its numbers are small. A test would run in a
// testing/synctest bubble and could use the real ones.
func ExampleNetwork() {
	network := repltest.NewNetwork(42)
	defer network.Close()
	listener, err := network.Host("master").Listen("master")
	if err != nil {
		fmt.Println(err)
		return
	}
	go echo(listener)
	network.SetDelay(time.Millisecond, 500*time.Microsecond)

	replica := network.Host("replica") // give it to the node as its transport
	c, err := replica.Dial(context.Background(), "master")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(ask(c, "hello"))

	network.Link("master", "replica").OneWay().Blackhole()
	c.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
	_, err = ask(c, "still there?")
	fmt.Println("answers vanish:", errors.Is(err, os.ErrDeadlineExceeded))

	network.Link("replica", "master").Cut()
	_, err = ask(c, "still there?")
	fmt.Println("connection is reset:", errors.Is(err, syscall.ECONNRESET))

	network.HealAll()
	c, err = replica.Dial(context.Background(), "master")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(ask(c, "hello again"))
	// Output:
	// hello <nil>
	// answers vanish: true
	// connection is reset: true
	// hello again <nil>
}

// Hosts are named for the nodes that use them.
func ExampleHost() {
	network := repltest.NewNetwork(1)
	defer network.Close()
	_, err := network.Host("replica").Dial(context.Background(), "master")
	fmt.Println(err)
	// Output: dial repltest master: connection refused
}

// A connection that dies after every possible number of bytes is the test that
// finds most.
func ExampleLink_CutNext() {
	network := repltest.NewNetwork(1)
	defer network.Close()
	listener, err := network.Host("master").Listen("master")
	if err != nil {
		fmt.Println(err)
		return
	}
	go echo(listener)
	for after := range int64(4) {
		network.Link("master", "replica").OneWay().CutNext(after)
		c, err := network.Host("replica").Dial(context.Background(), "master")
		if err != nil {
			fmt.Println(err)
			return
		}
		c.Write([]byte("abc"))
		got, err := io.ReadAll(c)
		fmt.Printf("%q %v\n", got, errors.Is(err, syscall.ECONNRESET))
		c.Close()
	}
	// Output:
	// "" true
	// "a" true
	// "ab" true
	// "abc" true
}

// Bytes of an old connection that arrive after those of a new one.
func ExampleConn() {
	network := repltest.NewNetwork(1)
	defer network.Close()
	listener, err := network.Host("master").Listen("master")
	if err != nil {
		fmt.Println(err)
		return
	}
	replica := network.Host("replica")
	for _, what := range []string{"old", "new"} {
		c, err := replica.Dial(context.Background(), "master")
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Fprint(c, what)
		c.Close()
	}
	conns := network.Link("replica", "master").Conns()
	conns[0].Stall()
	old, _ := listener.Accept()
	fresh, _ := listener.Accept()
	got, _ := io.ReadAll(fresh)
	fmt.Printf("%s\n", got)
	conns[0].Resume()
	got, _ = io.ReadAll(old)
	fmt.Printf("%s\n", got)
	// Output:
	// new
	// old
}

func ExampleRecording() {
	network := repltest.NewNetwork(1)
	defer network.Close()
	network.Record(1 << 20)
	listener, err := network.Host("master").Listen("master")
	if err != nil {
		fmt.Println(err)
		return
	}
	go echo(listener)
	c, err := network.Host("replica").Dial(context.Background(), "master")
	if err != nil {
		fmt.Println(err)
		return
	}
	ask(c, "hello")
	for _, r := range network.Recordings() {
		fmt.Printf("%s to %s: sent %q, received %q\n", r.Dialer, r.Listener, r.Sent, r.Received)
	}
	// Output: replica to master: sent "hello", received "hello"
}

func ExampleStats() {
	network := repltest.NewNetwork(1)
	defer network.Close()
	listener, err := network.Host("master").Listen("master")
	if err != nil {
		fmt.Println(err)
		return
	}
	go echo(listener)
	c, err := network.Host("replica").Dial(context.Background(), "master")
	if err != nil {
		fmt.Println(err)
		return
	}
	ask(c, "hello")
	fmt.Printf("%+v\n", network.Link("replica", "master").Stats())
	// Output: {Dials:1 Failed:0 Open:1 Bytes:10}
}

// A program that brings a transport of its own checks it like this.
func ExampleCheckTransport() {
	asTest(func(t *testing.T) {
		network := repltest.NewNetwork(1)
		defer network.Close()
		repltest.CheckTransport(t, network.Host("server"), network.Host("client"), "server")
	})
	// Output:
}
