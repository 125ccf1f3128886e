package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/rpc"
	"net/rpc/jsonrpc"
	"os"
	"os/exec"
)

// nodeArgument, as its first argument, makes this executable a node. It is not
// a flag: nobody should pass it by hand.
const nodeArgument = "node"

// stdio is a node's side of the pipes to the process that started it: JSON-RPC,
// a line for each call and each reply.
type stdio struct {
	io.Reader
	io.Writer
}

func (stdio) Close() error { return nil }

// Read ends the process when the pipe is closed, in the middle of whatever it
// is doing: whoever had started it is gone, and a node must not be left behind.
func (s stdio) Read(b []byte) (int, error) {
	n, err := s.Reader.Read(b)
	if err != nil {
		os.Exit(0)
	}
	return n, err
}

// serveNode is the main function of a node's process.
func serveNode() {
	serve(newNode(newWire(ownProcess)), stdio{os.Stdin, os.Stdout})
}

// serve answers calls to n until conn ends.
func serve(n *Node, conn io.ReadWriteCloser) {
	s := rpc.NewServer()
	s.Register(n)
	s.ServeCodec(jsonrpc.NewServerCodec(conn))
}

// A member is a node as the bench sees it, in whichever process it runs.
type member struct {
	name   string
	client *rpc.Client
	end    func() error
	broken int64 // times that a replica's link broke by itself, as far as told
}

// startMember starts a node, which talks over w if it is in this process, and over TCP
// otherwise. The caller must call stop.
func startMember(ctx context.Context, name string, where place, w wire) (*member, error) {
	if where != ownProcess {
		n := newNode(w)
		near, far := net.Pipe()
		go serve(n, far) // until stop closes the client
		return &member{name: name, client: jsonrpc.NewClient(near), end: n.Close}, nil
	}
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, exe, nodeArgument)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	end := func() error {
		cmd.Process.Kill() // it holds nothing that anybody needs
		cmd.Wait()
		return nil
	}
	return &member{name: name, client: jsonrpc.NewClient(pipes{out, in}), end: end}, nil
}

// pipes are this side's ends of a node's stdio.
type pipes struct {
	io.ReadCloser
	in io.WriteCloser
}

func (p pipes) Write(b []byte) (int, error) { return p.in.Write(b) }

func (p pipes) Close() error { return errors.Join(p.in.Close(), p.ReadCloser.Close()) }

// call calls a method of the member's Node and waits for the reply, or for ctx.
func (m *member) call(ctx context.Context, method string, args, reply any) error {
	select {
	case c := <-m.client.Go("Node."+method, args, reply, make(chan *rpc.Call, 1)).Done:
		if c.Error != nil {
			return fmt.Errorf("%s: %s: %w", m.name, method, c.Error)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%s: %s: %w", m.name, method, ctx.Err())
	}
}

// do is call without a reply.
func (m *member) do(ctx context.Context, method string, args any) error {
	return m.call(ctx, method, args, &None{})
}

func (m *member) report(ctx context.Context) (Report, error) {
	var r Report
	err := m.call(ctx, "Report", None{}, &r)
	return r, err
}

// stop ends the member and, if it has one, its process.
func (m *member) stop() {
	m.client.Close()
	m.end()
}
