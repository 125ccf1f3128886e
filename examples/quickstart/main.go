// Command quickstart shows the main job of Ember on real data: it loads the
// source tree of the running Go toolchain into a store, attaches two replicas
// over TCP while the store keeps taking writes, compares all three, cuts one
// link, writes on, and shows what it cost to catch up.
//
//	go run ./examples/quickstart [-dir FOLDER]
//
// It exits with 1 when anything differs.
package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/emberkv/ember/kv"
	"github.com/emberkv/ember/repl"
)

func main() {
	dir := flag.String("dir", filepath.Join(toolchainRoot(), "src"), "folder whose files are loaded")
	flag.Parse()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	if err := run(ctx, *dir); err != nil {
		fmt.Fprintln(os.Stderr, "quickstart:", err)
		os.Exit(1)
	}
}

// A group is one master and its two replicas.
type group struct {
	store    *kv.Store
	master   *repl.Master
	addr     string
	replicas []*node
	phases   phases
}

// A node is a replica with its store and its way to the master.
type node struct {
	name    string
	store   *kv.Store
	replica *repl.Replica
	link    *cuttable
}

func run(ctx context.Context, dir string) error {
	g := &group{store: kv.New(nil)}
	defer g.close()

	fmt.Printf("1. Load %s into the master\n", dir)
	if err := g.load(dir); err != nil {
		return err
	}
	fmt.Println("\n2. Attach two replicas over TCP while the master keeps taking writes")
	if err := g.attach(ctx); err != nil {
		return err
	}
	if err := g.compare(ctx); err != nil {
		return err
	}
	fmt.Println("\n3. Cut the link of replica-2 and write on")
	if err := g.cutAndHeal(ctx); err != nil {
		return err
	}
	if err := g.compare(ctx); err != nil {
		return err
	}
	fmt.Println("\n4. How every node stands")
	g.printStatus()
	fmt.Println("\n5. What it took")
	g.phases.print()
	return nil
}

// load reads every file below dir and sets its path to its bytes.
func (g *group) load(dir string) error {
	files, total, err := readTree(dir)
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return fmt.Errorf("no files below %s", dir)
	}
	start := time.Now()
	for path, content := range files {
		if err := g.store.Set(path, content); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	g.phases.add("set files on the master", start, int64(len(files)), total)
	fmt.Printf("   %d files, %s\n", len(files), size(total))
	return nil
}

// attach starts the master's listener and both replicas, with a writer at work
// all the while.
func (g *group) attach(ctx context.Context) error {
	var err error
	if g.master, err = repl.NewMaster(g.store, &repl.Options{Name: "master"}); err != nil {
		return err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	g.addr = ln.Addr().String()
	go g.master.Serve(ln)

	w := startWriter(g.store)
	defer w.stop() // for the ways out in between; it may be called twice
	start := time.Now()
	bars := newBars("replica-1", "replica-2")
	for _, name := range []string{"replica-1", "replica-2"} {
		n := &node{name: name, store: kv.New(nil), link: newCuttable()}
		g.replicas = append(g.replicas, n)
		n.replica, err = repl.NewReplica(n.store, g.addr, &repl.Options{
			Name:      name,
			Transport: n.link,
			Events:    repl.Events{Progress: func(p repl.Progress) { bars.update(name, p) }},
		})
		if err != nil {
			return err
		}
		go n.replica.Run(ctx)
	}
	for _, n := range g.replicas {
		if err := n.replica.WaitSynced(ctx); err != nil {
			return fmt.Errorf("%s: %w", n.name, err)
		}
	}
	bars.done()
	p := g.replicas[0].replica.Status().Upstream.Progress
	g.phases.add("full sync of both replicas", start, 2*p.Keys, 2*p.Bytes)
	writes, err := w.stop()
	if err != nil {
		return err
	}
	fmt.Printf("   meanwhile the master took %d writes; the slowest took %v\n", writes, w.slowest.Round(time.Microsecond))
	return nil
}

// compare waits until both replicas have applied everything and prints and
// compares the digests.
func (g *group) compare(ctx context.Context) error {
	if _, err := g.master.Wait(ctx, g.store.Position(), len(g.replicas)); err != nil {
		return fmt.Errorf("wait for the replicas: %w", err)
	}
	want, err := g.store.Digest()
	if err != nil {
		return err
	}
	fmt.Printf("   %-10s %6d keys, digest %016x at offset %d\n", "master", want.Keys, want.Sum, want.Position.Offset)
	for _, n := range g.replicas {
		got, err := n.store.Digest()
		if err != nil {
			return err
		}
		fmt.Printf("   %-10s %6d keys, digest %016x at offset %d\n", n.name, got.Keys, got.Sum, got.Position.Offset)
		if got != want {
			return fmt.Errorf("%s differs from the master", n.name)
		}
	}
	fmt.Println("   all equal")
	return nil
}

// cutAndHeal takes the link of the second replica away for a second, writes, and
// shows what catching up cost.
func (g *group) cutAndHeal(ctx context.Context) error {
	n := g.replicas[1]
	before := n.replica.Status().Upstream
	n.link.cut()
	const writes = 20_000
	start := time.Now()
	from := g.store.Position().Offset
	for i := range writes {
		if err := g.store.Set(fmt.Sprintf("while-away/%05d", i), fmt.Appendf(nil, "written while replica-2 was away: %d", i)); err != nil {
			return err
		}
	}
	missed := g.store.Position().Offset - from
	g.phases.add("set while the link was cut", start, writes, missed)
	time.Sleep(time.Second)
	fmt.Printf("   replica-2 is %s; it is %s of log behind\n", n.replica.Status().Upstream.State, size(missed))

	start = time.Now()
	n.link.heal()
	if _, err := g.master.Wait(ctx, g.store.Position(), 2); err != nil {
		return fmt.Errorf("wait for replica-2: %w", err)
	}
	g.phases.add("catch up after the cut", start, writes, missed)
	after := n.replica.Status().Upstream
	if after.Fulls != before.Fulls || after.Partials != before.Partials+1 {
		return fmt.Errorf("replica-2 came back with %d full and %d partial syncs, want a partial one",
			after.Fulls-before.Fulls, after.Partials-before.Partials)
	}
	fmt.Printf("   back by partial resync: %s read, a full copy would be %s\n",
		size(after.Read), size(before.Progress.Bytes))
	return nil
}

func (g *group) printStatus() {
	m := g.master.Status()
	fmt.Printf("   %-10s %s, log %s, window %s\n", m.Name, m.Role, size(m.Position.Offset), size(m.Window.End-m.Window.First))
	for _, f := range m.Followers {
		fmt.Printf("   %-10s   sends to %s: %s, %d bytes behind, round trip %v\n", "", f.Peer.Name, f.State, f.Behind, f.RTT.Round(time.Microsecond))
	}
	for _, n := range g.replicas {
		s := n.replica.Status()
		up := s.Upstream
		fmt.Printf("   %-10s %s of %s, %s; full syncs %d, partial %d; last error: %s\n",
			s.Name, s.Role, up.Peer.Name, up.State, up.Fulls, up.Partials, orNone(up.LastError))
	}
}

func (g *group) close() {
	for _, n := range g.replicas {
		if n.replica != nil {
			n.replica.Close()
		}
		n.store.Close()
	}
	if g.master != nil {
		g.master.Close()
	}
	g.store.Close()
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}
