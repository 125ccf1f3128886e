package repl_test

import (
	"encoding/binary"
	"testing"

	"github.com/emberkv/ember/repl"
)

// Control links by hand, by PROTOCOL.md.

const (
	msgControl byte = 23 + iota
	msgRequest
	msgReply
	msgNews
)

// controlBody is a Control of a sentinel with the id {0xc, id}.
func controlBody(id byte, group string) []byte {
	b := []byte{1, 1, 1, 0xc, id}
	b = append(b, make([]byte, 14)...)
	b = binary.LittleEndian.AppendUint32(b, 1000)
	for _, s := range []string{"by hand", group, ""} {
		b = append(append(b, byte(len(s))), s...)
	}
	return b
}

func requestBody(number uint64, what byte, body []byte) []byte {
	return append(append(binary.LittleEndian.AppendUint64(nil, number), what), body...)
}

func pollBody(grant bool, stamp uint64, lease int64, need uint16, notice string) []byte {
	b := []byte{0}
	if grant {
		b = append([]byte{1}, int64s(int64(stamp), lease)...)
		b = binary.LittleEndian.AppendUint16(b, need)
	}
	return append(binary.LittleEndian.AppendUint16(b, uint16(len(notice))), notice...)
}

func orderBody(kind byte, epoch uint64, addr string, to repl.NodeID) []byte {
	b := append([]byte{kind}, int64s(int64(epoch))...)
	b = append(append(b, 0), to[:]...)
	b = append(append(b, int64s(0)...), byte(len(addr)))
	return append(b, addr...)
}

// ask connects to addr by hand as a sentinel with the id {0xc, id}.
func ask(t testing.TB, net repl.Transport, addr string, id byte) *peer {
	t.Helper()
	p := call(t, net, addr)
	p.Write([]byte(wireMagic))
	p.send(msgControl, controlBody(id, ""))
	if err := p.readMagic(); err != nil {
		t.Fatal(err)
	}
	if k, body, err := p.next(); err != nil || k != msgControl {
		t.Fatalf("kind %d %q, %v; want Control", k, body, err)
	}
	return p
}
