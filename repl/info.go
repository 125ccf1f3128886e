package repl

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/emberkv/ember/backlog"
)

// Info returns the status as text under the names of Redis' INFO replication,
// for dashboards and scripts that read those, followed by a section of what
// Redis has no names for. Lines are "name:value" and end in \r\n. Nothing that a
// peer says of itself can add a line or a pair: in names, addresses and errors
// what is not printable becomes "_", and in lists "," and "=" do.
//
// The first section, with Redis' meaning unless it says otherwise. Offsets are
// counted as Redis counts them: the first byte of a log has offset 1.
//
//	role                            master or slave
//
// Of a replica:
//
//	master_host, master_port        the address that it follows; an address that is no host
//	                                and port stands in master_host, with port 0
//	master_link_status              up while it receives the log, else down: during a full copy too
//	master_last_io_seconds_ago      since the last frame; -1 while the link is down
//	master_sync_in_progress         1 during a full copy
//	slave_read_repl_offset          offset received; what is received is applied before more is
//	                                read, so it is the next one
//	slave_repl_offset               offset applied
//	replicas_repl_buffer_size       0: no log piles up beside a full copy
//	replicas_repl_buffer_peak       0
//	master_sync_total_bytes         during a full copy: about how many bytes of entries there are
//	master_sync_read_bytes          how many of them are here
//	master_sync_left_bytes          how many are not
//	master_sync_perc                the share that is here, in percent
//	master_sync_last_io_seconds_ago since the last frame, -1 before the first
//	master_link_down_since_seconds  while it is down: since when; -1 if it has never been up
//	slave_priority                  Options.Priority; 0 is never to become master
//	slave_read_only                 1: a replica takes no writes into what is replicated; what
//	                                kv.Options.WritableReplica lets it take lies beside that
//	replica_announced               0 if nobody is told where to reach the node
//
// Of every node:
//
//	connected_slaves                how many slaveN follow
//	min_slaves_good_slaves          with Options.MinReplicas: how many replicas are within MaxLag
//	slaveN                          ip, port: where it may be reached, as announced, or else its
//	                                end of the connection, with port 0;
//	                                state: wait_bgsave before a full copy, send_bulk during it,
//	                                online once it says that it streams;
//	                                offset: applied, 0 before the first ack;
//	                                lag: seconds since the last ack, 0 while not online;
//	                                type: replica
//	replicas_waiting_psync          followers in line for a full copy
//	master_failover_state           of a handover: waiting-for-sync until the replica has everything,
//	                                then failover-in-progress; else no-failover
//	master_replid                   the history, 32 digits (Redis: 40)
//	master_replid2                  the one before it, 32 zeros if there is none
//	master_repl_offset              end of the log
//	second_repl_offset              the first offset that is not in master_replid2; -1 if there is none
//	repl_backlog_active             1, or 0 if the log holds nothing by option
//	repl_backlog_size               bytes that it may hold
//	repl_backlog_first_byte_offset  the first that it holds; 0 when not active
//	repl_backlog_histlen            bytes that it holds
//
// The second section. Where there is nothing to tell yet, numbers are -1, words "none",
// and errors and lists empty; seconds have three decimals, a round trip six.
//
//	ember_id, ember_name, ember_group, ember_announce
//	ember_position                  as kv.Store.Wait and clients take it
//	ember_synced                    up to where the node's log is on disk; none if it is not, or not yet
//	ember_when_down, ember_max_staleness_seconds  of Options
//	ember_epoch                     the highest that the node has heard of
//	ember_histories                 how many are remembered, the current one included
//	ember_window_seconds            how far back the log reaches: an outage that is shorter
//	                                costs no full copy
//	ember_sync_full, ember_sync_partial  how many were given to followers
//	ember_sync_refusals             reason=count: why followers needed full copies
//	ember_sync_unconfirmed          followers that went on by lineage alone, without a
//	                                running hash that both ends know
//	ember_repairs, ember_repaired_keys, ember_repaired_bytes  tails that were left without a
//	                                full copy, the keys that they concerned, what came instead
//	ember_lost_tails, ember_lost_bytes   how often this node gave up log that its master did not
//	                                have, for a full copy or a repair, and how much. Every node that
//	                                had it counts it: a failover has lost the most that one of them
//	                                counts for it, not the sum
//	ember_handshakes_failed         with those who dialled this node
//	ember_handshakes_unproved       of these, for want of a secret that both ends know
//	ember_links_lost                to followers, that have ended for whatever reason
//	ember_links_left                of these, the ones whose follower said it was leaving: closed, given
//	                                another upstream, or promoted
//	ember_last_lost                 the newest of them: name, id, addr; seconds: since it ended; behind:
//	                                bytes not applied then; left: 1 if the follower said it was leaving
//	ember_last_lost_why             why it ended
//	ember_connections_unheard       closed because too many were in their handshake
//	ember_secrets                   how many there are; 0 for a node that asks for no proof
//	ember_ack, ember_ack_durable, ember_min_replicas, ember_max_lag_seconds  of Options
//	ember_near_slaves               how many are within Options.MaxLag
//	ember_refusing                  what a write gets now, empty if it is let in
//	ember_supervised, ember_fenced  of Options
//	ember_lease_armed               1 if the node, as a master, takes writes only while it holds its lease
//	ember_lease_seconds             what is left of that; 0 if it is not held
//	ember_lease_granted, ember_lease_need  how many sentinels' grants are in force, how many it takes
//	ember_askers                    how many have a control link to the node
//	ember_last_full_*               the newest full copy given, see below
//	ember_last_partial_*            the newest partial resync given
//	ember_slaveN                    of slaveN: name, id, addr, priority; sent: offset; behind: bytes
//	                                not applied; durable: offset on disk, 0 for none; rtt: seconds;
//	                                lag: seconds, see Options.MaxLag, -1 for none; place: in line for
//	                                a full copy, from 1; keys, bytes, log_bytes: of its sync;
//	                                secret: which one it has proved, from 1, 0 for none;
//	                                sealed: 1 if the link is encrypted by that;
//	                                compression: none, s2 or zstd;
//	                                written: bytes on the link; written_plain: without compression
//
// Of a replica:
//
//	ember_master_name, ember_master_id
//	ember_master_link               down, connecting, copying or streaming
//	ember_master_synced             1 if it has caught up since the link came up
//	ember_master_behind_bytes       of log that the master has said it has beyond this node's
//	ember_master_linked             1 if it streams, and so do all between it and the master
//	ember_master_age_seconds        since the data were known to be all that the master had
//	ember_master_stale              1 while reads are refused, as the options say
//	ember_master_clock_skew_seconds the writer's clock minus ours
//	ember_master_last_error         why the last link or attempt ended
//	ember_master_last_error_seconds since then
//	ember_master_next_try_seconds   until the next attempt
//	ember_master_outages            times that it stopped streaming
//	ember_master_outage_seconds     in which it did not, after it first had
//	ember_master_last_outage_seconds, ember_master_last_outage_why  the last of them, and why that link ended
//	ember_master_attempts           connections tried
//	ember_master_sync_place         in its line for a full copy, from 1; 0 when not in line
//	ember_master_sync_full, ember_master_sync_partial  how many were taken
//	ember_master_secret             which one the upstream has proved on the present link,
//	                                or the last one, from 1; 0 for none
//	ember_master_sealed             1 if that link is encrypted by it
//	ember_master_compression        of the present link, or the last one: none, s2 or zstd
//	ember_master_read_bytes         received on it
//	ember_master_read_plain_bytes   what that would be without compression
//	ember_master_last_full_*        the newest full copy taken
//	ember_master_last_partial_*     the newest partial resync
//
// Of a sync:
//
//	state        running, complete or broken
//	peer         name of the other end
//	reason       of a full copy: empty, other history, ahead of the fork, trimmed, inside a record,
//	             other bytes
//	error        why it broke
//	keys, bytes  of entries, of a full copy
//	log_bytes    of log beside them, or in a partial resync
//	seconds      what it took, so far if it is running
//	ago_seconds  since it began
func (s Status) Info() string {
	w := &infoWriter{at: s.Time}
	w.line("# Replication")
	if s.Upstream != nil {
		w.text("role", "slave")
		w.upstream(&s)
	} else {
		w.text("role", "master")
	}
	w.followers(&s)
	w.history(&s)
	w.line("")
	w.line("# Ember")
	w.ember(&s)
	if s.Upstream != nil {
		w.emberUpstream(s.Upstream)
	}
	return w.String()
}

// An infoWriter writes the lines of Info.
type infoWriter struct {
	strings.Builder
	at time.Time
}

func (w *infoWriter) line(s string)               { w.WriteString(s + "\r\n") }
func (w *infoWriter) text(name, value string)     { w.line(name + ":" + printable(value, "")) }
func (w *infoWriter) number(name string, n int64) { w.text(name, strconv.FormatInt(n, 10)) }
func (w *infoWriter) flag(name string, on bool)   { w.number(name, int64(flag(on))) }
func (w *infoWriter) whole(name string, d time.Duration) {
	w.number(name, wholeSeconds(d))
}
func (w *infoWriter) seconds(name string, d time.Duration) {
	if d == -1 { // what is not known, nor ever was
		d = -time.Second
	}
	w.text(name, fmt.Sprintf("%.3f", d.Seconds()))
}

// wholeSeconds is how Redis tells a duration; -1 is -1 for both.
func wholeSeconds(d time.Duration) int64 {
	if d < 0 {
		return -1
	}
	return int64(d / time.Second)
}

// printable returns s on one line, with "_" for what is not printable and for
// the characters of not.
func printable(s, not string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) || r == unicode.ReplacementChar || strings.ContainsRune(not, r) {
			return '_'
		}
		return r
	}, s)
}

// item is printable for a value in a list.
func item(s string) string { return printable(s, ",=") }

func (w *infoWriter) upstream(s *Status) {
	u := s.Upstream
	up := u.State == LinkStreaming
	host, port := splitAddr(u.Addr)
	w.text("master_host", host)
	w.number("master_port", int64(port))
	if up {
		w.text("master_link_status", "up")
		w.whole("master_last_io_seconds_ago", u.LastIO)
	} else {
		w.text("master_link_status", "down")
		w.number("master_last_io_seconds_ago", -1)
	}
	w.flag("master_sync_in_progress", u.State == LinkCopying)
	w.number("slave_read_repl_offset", s.Position.Offset)
	w.number("slave_repl_offset", s.Position.Offset)
	w.number("replicas_repl_buffer_size", 0)
	w.number("replicas_repl_buffer_peak", 0)
	if u.State == LinkCopying {
		p := u.Progress
		w.number("master_sync_total_bytes", p.BytesTotal)
		w.number("master_sync_read_bytes", p.Bytes)
		w.number("master_sync_left_bytes", max(p.BytesTotal-p.Bytes, 0))
		w.text("master_sync_perc", fmt.Sprintf("%.2f", percent(p.Bytes, p.BytesTotal)))
		w.whole("master_sync_last_io_seconds_ago", u.LastIO)
	}
	if !up {
		w.whole("master_link_down_since_seconds", u.Down)
	}
	w.number("slave_priority", int64(s.Priority))
	w.flag("slave_read_only", true)
	w.flag("replica_announced", s.Announce != "")
}

func percent(part, whole int64) float64 {
	if whole <= 0 {
		return 0
	}
	return min(100*float64(part)/float64(whole), 100)
}

func (w *infoWriter) followers(s *Status) {
	w.number("connected_slaves", int64(len(s.Followers)))
	waiting := 0
	for _, f := range s.Followers {
		if f.Place > 0 {
			waiting++
		}
	}
	if s.MinReplicas > 0 {
		w.number("min_slaves_good_slaves", int64(s.NearReplicas))
	}
	for i, f := range s.Followers {
		host, port := slaveAddr(f.Peer)
		lag := int64(0)
		if f.Online {
			lag = max(wholeSeconds(f.LastAck), 0)
		}
		w.line(fmt.Sprintf("slave%d:ip=%s,port=%d,state=%s,offset=%d,lag=%d,type=replica",
			i, item(host), port, slaveState(f), f.Applied, lag))
	}
	w.number("replicas_waiting_psync", int64(waiting))
	w.text("master_failover_state", failoverState(s.Handover))
}

// failoverState returns Redis' word for how far a handover is.
func failoverState(h *HandoverStatus) string {
	switch {
	case h == nil:
		return "no-failover"
	case h.Step < StepCommit:
		return "waiting-for-sync"
	}
	return "failover-in-progress"
}

// slaveAddr returns where a follower may be reached, or else the host that it
// comes from.
func slaveAddr(p Peer) (host string, port int) {
	if p.Listen != "" {
		return splitAddr(p.Listen)
	}
	if host, _, err := net.SplitHostPort(p.Addr); err == nil {
		return host, 0
	}
	return p.Addr, 0
}

// slaveState returns Redis' word for what an upstream does for a follower.
func slaveState(f FollowerStatus) string {
	switch {
	case f.Online:
		return "online"
	case f.State == FollowerOffered, f.Place > 0:
		return "wait_bgsave"
	}
	return "send_bulk"
}

func (w *infoWriter) history(s *Status) {
	before, second := backlog.Fork{}, int64(-1)
	if len(s.Lineage.Earlier) > 0 {
		before = s.Lineage.Earlier[0]
		second = before.End + 1
	}
	w.text("master_replid", s.Position.History.String())
	w.text("master_replid2", before.History.String())
	w.number("master_repl_offset", s.Position.Offset)
	w.number("second_repl_offset", second)
	active := s.Window.Max >= 0
	w.flag("repl_backlog_active", active)
	w.number("repl_backlog_size", max(s.Window.Max, 0))
	// The window was looked at after the position: the log may have gone on.
	end := s.Position.Offset
	first := min(s.Window.First, end)
	if !active {
		first, end = -1, -1
	}
	w.number("repl_backlog_first_byte_offset", first+1)
	w.number("repl_backlog_histlen", end-first)
}
