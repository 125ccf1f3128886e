package repl

import (
	"net"
	"net/netip"
	"strconv"
)

// reachable returns the address at which the node that announced addr on conn may
// be reached: addr, but with the connection's remote host in place of a host
// that is missing or unspecified, as in "0.0.0.0:7000" and "[::]:7000". A node
// that listens on every interface cannot know by which of them its peers see it.
// What is not a host and a port is some transport's own and stays as it is.
func reachable(addr string, conn net.Conn) string {
	host, port := splitAddr(addr)
	if port == 0 || !unspecified(host) {
		return addr
	}
	theirs, remotePort := splitAddr(remote(conn))
	if remotePort == 0 {
		return addr
	}
	return net.JoinHostPort(theirs, strconv.Itoa(port))
}

// remote returns the address of the other end of conn, or "" if it is not known, as that
// of a connection that a program brings may be.
func remote(conn net.Conn) string {
	if addr := conn.RemoteAddr(); addr != nil {
		return addr.String()
	}
	return ""
}

func unspecified(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "" || err == nil && ip.IsUnspecified()
}

// splitAddr returns addr's host and port. The port is 0, and the host all of
// addr, when that is not a host and a port: a socket's path, or a name.
func splitAddr(addr string) (host string, port int) {
	h, p, err := net.SplitHostPort(addr)
	n, perr := strconv.ParseUint(p, 10, 16)
	if err != nil || perr != nil || n == 0 {
		return addr, 0
	}
	return h, int(n)
}

// announced returns what the node tells peers of where it listens: what the
// program has set, or the address of the first listener that is served now.
func (n *Node) announced() string {
	if n.opts.Announce != "" {
		return n.opts.Announce
	}
	return n.firstListener()
}
