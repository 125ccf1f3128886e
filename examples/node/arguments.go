package main

import (
	"errors"
	"flag"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/emberkv/ember/repl"
	"github.com/emberkv/ember/repl/sentinel"
)

// errUsage is what is wrong with the flags.
var errUsage = errors.New("see -help")

const (
	aName    = "at most 64 bytes of UTF-8"
	aSwitch  = "true or false"
	anAddr   = "host:port"
	someOnes = "at least 1"
)

// wants says what the value of a flag may be. That of a flag that is not here may be any text.
var wants = map[string]string{
	"http": anAddr, "repl": anAddr, "follow": anAddr, "sentinel": anAddr, "monitor": anAddr,
	"name": aName, "group": aName,
	"dir":     "a folder",
	"backlog": "a number of bytes, at least 1", "heartbeat": "1ms to 1h", "drain": "a time such as 2s, at least 0s",
	"fsync": "always, everysec or never", "compress": "off, none, s2 or zstd",
	"ack": upTo(repl.DefaultMaxFollowers), "min-replicas": upTo(repl.DefaultMaxFollowers), "priority": upTo(repl.MaxPriority),
	"max-lag": "0s, or at least twice -heartbeat", "max-staleness": "0s, or at least twice -heartbeat",
	"allow-empty": aSwitch, "allow-foreign": aSwitch, "serve-stale": aSwitch, "writable": aSwitch, "fenced": aSwitch,
	"quorum": fmt.Sprint("1 to ", sentinel.MaxPeers+1), "parallel-syncs": someOnes, "min-heard": someOnes,
	"down-after":       "20ms to 1h",
	"failover-timeout": "a time such as 1m, at least -down-after",
}

func upTo(most int) string { return fmt.Sprint("0 to ", most) }

// wrong returns the error for a value that a flag may not have: one line that says which, what it was
// given, and what it may be.
func wrong(name, value string) error {
	return fmt.Errorf("-%s is %q, want %s; %w", name, value, wants[name], errUsage)
}

// arguments are the values of flags as they were typed, by the flags' names.
type arguments map[string]string

// An argument notes what a flag is given, before that is read.
type argument struct {
	flag.Value
	name  string
	typed arguments
	err   *error // why it cannot be read
}

func (a *argument) Set(text string) error {
	a.typed[a.name] = text
	if a.Value.Set(text) != nil {
		*a.err = wrong(a.name, text)
	}
	return *a.err
}

// IsBoolFlag reports whether the flag may stand without a value.
func (a *argument) IsBoolFlag() bool {
	b, ok := a.Value.(interface{ IsBoolFlag() bool })
	return ok && b.IsBoolFlag()
}

// parse reads the arguments into the flags of f, which must be all flags.
func parse(f *flag.FlagSet, args []string) (typed arguments, err error) {
	typed = make(arguments)
	f.VisitAll(func(g *flag.Flag) { g.Value = &argument{g.Value, g.Name, typed, &err} })
	switch failed := f.Parse(args); {
	case err != nil:
		return nil, err
	case errors.Is(failed, flag.ErrHelp):
		return nil, failed
	case failed != nil:
		return nil, fmt.Errorf("%w; %w", failed, errUsage)
	case f.NArg() > 0:
		return nil, fmt.Errorf("argument %q is not a flag; %w", f.Arg(0), errUsage)
	}
	return typed, nil
}

// explain returns an error of the library as one about the flag by which it has come: the fields of
// its options are called as the flags are, in other letters.
func (typed arguments) explain(err error) error {
	var (
		option *repl.OptionError
		script *sentinel.ScriptError
		state  *sentinel.StateError
	)
	switch {
	case errors.As(err, &option) && strings.Contains(option.Field, "Secrets"):
		return fmt.Errorf("-secret: %w", err)
	case errors.As(err, &option):
		name := kebab(option.Field)
		if text, is := typed[name]; is && wants[name] != "" {
			return wrong(name, text)
		}
	case errors.As(err, &script):
		return fmt.Errorf("-%s: %w", kebab(script.Field), script.Err)
	case errors.As(err, &state):
		return fmt.Errorf("-dir: %w", err)
	}
	return err
}

// kebab returns the name of a Go field as that of a flag: MaxLag is max-lag.
func kebab(field string) string {
	var b strings.Builder
	for i, r := range field {
		if 'A' <= r && r <= 'Z' && i > 0 {
			b.WriteByte('-')
		}
		b.WriteRune(r)
	}
	return strings.ToLower(b.String())
}

// canListen reports whether addr is a host and a port. Whether there are such shows when it is used.
func canListen(addr string) bool {
	_, port, err := net.SplitHostPort(addr)
	if err != nil || port == "" {
		return false
	}
	n, err := strconv.Atoi(port)
	return err != nil || 0 <= n && n <= 65535 // or else it is a name
}

// canDial is canListen where port 0 makes no sense.
func canDial(addr string) bool {
	_, port, _ := net.SplitHostPort(addr)
	return canListen(addr) && strings.Trim(port, "0") != ""
}
