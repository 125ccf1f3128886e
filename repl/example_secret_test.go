package repl_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/emberkv/ember/repl"
)

// A group whose nodes prove to each other that they know a secret gets another one,
// and no link ends.
func ExampleNode_SetSecrets() {
	network, old := repl.NewMemory(), repl.NewSecret()
	guarded := repl.Options{Transport: network, Security: repl.Security{Secrets: []repl.Secret{old}}}
	master, err := repl.NewMaster(newLedger(nil), &guarded)
	if err != nil {
		panic(err)
	}
	defer master.Close()
	ln, err := network.Listen("top")
	if err != nil {
		panic(err)
	}
	go master.Serve(ln)
	replica, err := repl.NewReplica(newLedger(nil), "top", &guarded)
	if err != nil {
		panic(err)
	}
	defer replica.Close()
	go replica.Run(context.Background())
	if err := replica.WaitSynced(context.Background()); err != nil {
		panic(err)
	}

	newer := repl.NewSecret()
	group := []*repl.Node{master.Node(), replica.Node()}
	for _, list := range [][]repl.Secret{{newer, old}, {newer}} {
		for _, node := range group {
			if err := node.SetSecrets(list); err != nil {
				panic(err)
			}
		}
	}
	link := replica.Status().Upstream
	fmt.Println(link.State, link.Sealed, link.Attempts)
	// Output: streaming true 1
}

// A node that does not know the secret is not let in, and is told no more than that.
func ExampleAuthError() {
	network := repl.NewMemory()
	refused := make(chan error, 1)
	master, err := repl.NewMaster(newLedger(nil), &repl.Options{
		Security: repl.Security{Secrets: []repl.Secret{repl.NewSecret()}},
		Events: repl.Events{Refused: func(_ repl.Peer, err error) {
			select {
			case refused <- err:
			default:
			}
		}},
	})
	if err != nil {
		panic(err)
	}
	defer master.Close()
	ln, err := network.Listen("top")
	if err != nil {
		panic(err)
	}
	go master.Serve(ln)
	replica, err := repl.NewReplica(newLedger(nil), "top", &repl.Options{
		Transport: network, Security: repl.Security{Secrets: []repl.Secret{repl.NewSecret()}},
	})
	if err != nil {
		panic(err)
	}
	defer replica.Close()
	go replica.Run(context.Background())

	err = <-refused
	var auth *repl.AuthError
	fmt.Println(errors.Is(err, repl.ErrAuth), errors.As(err, &auth) && auth.Reason == repl.AuthWrongSecret)
	fmt.Println(auth)
	// Output:
	// true true
	// repl: not authenticated: the peer's proof is of none of this node's secrets
}

func ExampleSecret() {
	secret := repl.NewSecret()
	fmt.Println(len(secret), secret)
	fmt.Printf("%+v\n", repl.Security{Secrets: []repl.Secret{secret}})
	// Output:
	// 64 (secret)
	// {Secrets:[(secret)]}
}

// What is meant to guard a node, and would not, is refused.
func ExampleSecurity() {
	for _, secrets := range [][]repl.Secret{{}, {"open sesame"}, {repl.NewSecret()}} {
		master, err := repl.NewMaster(newLedger(nil), &repl.Options{Security: repl.Security{Secrets: secrets}})
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Println("secrets:", master.Status().Secrets)
		master.Close()
	}
	// Output:
	// repl: invalid option: len(Secrets) is 0, want 1 to 4, or nil for none
	// repl: invalid option: len(Secrets[0]) is 11, want at least 16 bytes
	// secrets: 1
}

// Only one of the two ends was given a secret: the one that is dialled says what the matter is, and
// not to the other.
func ExampleAuthReason() {
	guarded := repl.Security{Secrets: []repl.Secret{repl.NewSecret()}}
	for _, end := range []struct{ master, replica repl.Security }{{master: guarded}, {replica: guarded}} {
		net, reasons := repl.NewMemory(), make(chan repl.AuthReason, 1)
		master := masterAt(net, "paris", newLedger(nil), &repl.Options{Security: end.master, Events: repl.Events{
			Refused: func(_ repl.Peer, err error) {
				var auth *repl.AuthError
				if errors.As(err, &auth) {
					select {
					case reasons <- auth.Reason:
					default:
					}
				}
			},
		}})
		replica, err := repl.NewReplica(newLedger(nil), "paris", &repl.Options{Transport: net, Security: end.replica})
		if err != nil {
			panic(err)
		}
		go replica.Run(context.Background())
		fmt.Println(<-reasons)
		replica.Close()
		master.Close()
	}
	// Output:
	// the peer has no secret, and needs one here
	// the peer asks for a secret, and this node has none
}
