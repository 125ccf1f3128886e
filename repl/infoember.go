package repl

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/emberkv/ember/backlog"
)

// The second section of Info: what Redis has no names for.

func (w *infoWriter) ember(s *Status) {
	w.text("ember_id", s.ID.String())
	w.text("ember_name", s.Name)
	w.text("ember_group", s.Group)
	w.text("ember_announce", s.Announce)
	w.text("ember_position", s.Position.String())
	if s.Synced.IsZero() {
		w.text("ember_synced", "none")
	} else {
		w.text("ember_synced", s.Synced.String())
	}
	w.text("ember_when_down", s.WhenDown.String())
	w.seconds("ember_max_staleness_seconds", s.MaxStaleness)
	w.text("ember_epoch", s.Epoch.String())
	w.number("ember_histories", int64(1+len(s.Lineage.Earlier)))
	w.seconds("ember_window_seconds", s.Window.Age)
	w.number("ember_sync_full", s.Counters.FullSyncs)
	w.number("ember_sync_partial", s.Counters.PartialSyncs)
	w.text("ember_sync_refusals", reasons(s.Counters.Refusals))
	w.number("ember_sync_unconfirmed", s.Counters.Unconfirmed)
	w.number("ember_repairs", s.Counters.Repairs)
	w.number("ember_repaired_keys", s.Counters.RepairedKeys)
	w.number("ember_repaired_bytes", s.Counters.RepairedBytes)
	w.number("ember_lost_tails", s.Counters.LostTails)
	w.number("ember_lost_bytes", s.Counters.LostBytes)
	w.number("ember_links_lost", s.Counters.LinksLost)
	w.number("ember_links_left", s.Counters.LinksLeft)
	if l := s.LastLost; l != nil {
		w.line(fmt.Sprintf("ember_last_lost:name=%s,id=%s,addr=%s,seconds=%s,behind=%d,left=%d",
			item(l.Peer.Name), l.Peer.ID, item(l.Peer.Addr), lagSeconds(max(s.Time.Sub(l.At), 0)), l.Behind, flag(l.Left)))
		w.text("ember_last_lost_why", l.Why)
	}
	w.number("ember_handshakes_failed", s.Counters.Handshakes)
	w.number("ember_handshakes_unproved", s.Counters.Unproved)
	w.number("ember_connections_unheard", s.Counters.Unheard)
	w.number("ember_secrets", int64(s.Secrets))
	w.number("ember_ack", int64(s.Ack))
	w.flag("ember_ack_durable", s.AckDurable)
	w.number("ember_min_replicas", int64(s.MinReplicas))
	w.seconds("ember_max_lag_seconds", s.MaxLag)
	w.number("ember_near_slaves", int64(s.NearReplicas))
	w.text("ember_refusing", s.Refusing)
	w.supervision(&s.Supervision)
	w.full("ember_last_full_", s.LastFull)
	w.partial("ember_last_partial_", s.LastPartial)
	for i, f := range s.Followers {
		sync := SyncStatus{}
		if f.Sync != nil {
			sync = *f.Sync
		}
		w.line(fmt.Sprintf("ember_slave%d:name=%s,id=%s,addr=%s,priority=%d,sent=%d,behind=%d,durable=%d,rtt=%.6f,lag=%s,place=%d,keys=%d,bytes=%d,log_bytes=%d,secret=%d,sealed=%d,compression=%s,written=%d,written_plain=%d",
			i, item(f.Peer.Name), f.Peer.ID, item(f.Peer.Addr), f.Peer.Priority, f.Sent, f.Behind, f.Durable, f.RTT.Seconds(), lagSeconds(f.Lag), f.Place,
			sync.Keys, sync.Bytes, sync.LogBytes, f.Secret, flag(f.Sealed), f.Compression, f.Written, f.WrittenPlain))
	}
}

func (w *infoWriter) supervision(s *SupervisionStatus) {
	w.flag("ember_supervised", s.Supervised)
	w.flag("ember_fenced", s.Fenced)
	w.flag("ember_lease_armed", s.Lease.Armed)
	w.seconds("ember_lease_seconds", s.Lease.Remaining)
	w.number("ember_lease_granted", int64(s.Lease.Granted))
	w.number("ember_lease_need", int64(s.Lease.Need))
	w.number("ember_askers", int64(len(s.Askers)))
}

// lagSeconds returns a lag with three decimals, and -1 for none.
func lagSeconds(d time.Duration) string {
	if d < 0 {
		return "-1"
	}
	return fmt.Sprintf("%.3f", d.Seconds())
}

// reasons lists how often each reason was given.
func reasons(counts map[backlog.Refusal]int64) string {
	var list []string
	for r, n := range counts {
		list = append(list, fmt.Sprintf("%s=%d", r, n))
	}
	slices.Sort(list)
	return strings.Join(list, ",")
}

func (w *infoWriter) emberUpstream(u *UpstreamStatus) {
	w.text("ember_master_name", u.Peer.Name)
	w.text("ember_master_id", u.Peer.ID.String())
	w.text("ember_master_link", u.State.String())
	w.flag("ember_master_synced", u.Synced)
	w.number("ember_master_behind_bytes", u.Behind)
	w.flag("ember_master_linked", u.Linked)
	w.seconds("ember_master_age_seconds", u.Age)
	w.flag("ember_master_stale", u.Stale)
	w.seconds("ember_master_clock_skew_seconds", u.ClockSkew)
	w.text("ember_master_last_error", u.LastError)
	if u.LastErrorAt.IsZero() {
		w.number("ember_master_last_error_seconds", -1)
	} else {
		w.seconds("ember_master_last_error_seconds", max(w.at.Sub(u.LastErrorAt), 0))
	}
	w.seconds("ember_master_next_try_seconds", u.NextTry)
	w.number("ember_master_outages", u.Outages)
	w.seconds("ember_master_outage_seconds", u.OutageTime)
	if o := u.LastOutage; o != nil {
		w.seconds("ember_master_last_outage_seconds", o.Took)
		w.text("ember_master_last_outage_why", o.Why)
	}
	w.number("ember_master_attempts", u.Attempts)
	w.number("ember_master_sync_place", int64(u.Progress.Place))
	w.number("ember_master_sync_full", u.Fulls)
	w.number("ember_master_sync_partial", u.Partials)
	w.number("ember_master_secret", int64(u.Secret))
	w.flag("ember_master_sealed", u.Sealed)
	w.text("ember_master_compression", u.Compression.String())
	w.number("ember_master_read_bytes", u.Read)
	w.number("ember_master_read_plain_bytes", u.ReadPlain)
	w.full("ember_master_last_full_", u.LastFull)
	w.partial("ember_master_last_partial_", u.LastPartial)
}

func (w *infoWriter) full(prefix string, s *SyncStatus) {
	if s == nil {
		w.text(prefix+"reason", "none")
		w.number(prefix+"keys", -1)
		w.number(prefix+"bytes", -1)
	} else {
		w.text(prefix+"reason", s.Reason.String())
		w.number(prefix+"keys", s.Keys)
		w.number(prefix+"bytes", s.Bytes)
	}
	w.partial(prefix, s)
}

func (w *infoWriter) partial(prefix string, s *SyncStatus) {
	if s == nil {
		w.text(prefix+"state", "none")
		w.text(prefix+"peer", "none")
		w.text(prefix+"error", "")
		w.number(prefix+"log_bytes", -1)
		w.number(prefix+"seconds", -1)
		w.number(prefix+"ago_seconds", -1)
		return
	}
	w.text(prefix+"state", s.State.String())
	w.text(prefix+"peer", s.Peer.Name)
	w.text(prefix+"error", s.Error)
	w.number(prefix+"log_bytes", s.LogBytes)
	w.seconds(prefix+"seconds", s.Took)
	w.whole(prefix+"ago_seconds", max(w.at.Sub(s.Began), 0))
}
