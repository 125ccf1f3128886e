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
