package repl

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/emberkv/ember/backlog"
)

func sampleIntroduction() *introduction {
	return &introduction{
		versionMin: 1, versionMax: 1, seat: seatOther, id: NodeID{8}, patience: 1500 * time.Millisecond,
		name: "sentinel-a", group: "prod", announce: "10.0.0.1:9000",
	}
}

func samplePoll() *Poll {
	return &Poll{Notice: []byte("notice"), Grant: &Grant{Stamp: 9, Lease: 800 * time.Millisecond, Need: 2}}
}

func sampleCommand() *Order {
	return &Order{Kind: OrderFollow, Epoch: 9, Addr: "10.0.0.2:7000", Allow: AllowForeign, To: NodeID{3}, Timeout: time.Second}
}

func sampleReport() *Report {
	return &Report{
		ID: NodeID{7}, Name: "node-a", Life: [16]byte{1, 2}, Role: RoleReplica, Priority: 100, Announce: "10.0.0.1:7000",
		Position: sampleAt, Lineage: sampleLineage, Heard: backlog.Epoch{Counter: 4, Node: [16]byte{7}},
		HasData: true, Ready: true, Synced: true,
		Upstream:  UpstreamReport{ID: NodeID{9}, Addr: "10.0.0.2:7000", State: LinkStreaming, Down: -1},
		Followers: []FollowerReport{{NodeID{5}, "node-b", "10.0.0.3:7000", true, 900}, {ID: NodeID{6}}},
		Lease:     LeaseReport{Armed: true, Remaining: time.Second, Granted: 1, Need: 2},
		Stamp:     7, Notices: []Notice{{NodeID{1}, "10.0.0.9:9000", []byte("hello")}, {ID: NodeID{2}}},
	}
}

func sampleRequest(w what, body []byte) []byte {
	r := request{number: 7, what: w}
	return append(r.head(nil), body...)
}

func sampleReply(r *reply) []byte { return append(r.head(nil), r.body...) }

func TestControlMessagesRoundTrip(t *testing.T) {
	if got, err := parseIntroduction(sampleIntroduction().append(nil)); err != nil || !reflect.DeepEqual(got, sampleIntroduction()) {
		t.Errorf("introduction: %+v, %v", got, err)
	}
	for _, p := range []*Poll{{}, samplePoll(), {Grant: &Grant{Need: MaxNeed, Lease: MaxLease}}, {Notice: make([]byte, MaxNoticeBytes)}} {
		body := p.append(nil)
		if got, err := parsePoll(body); err != nil || !reflect.DeepEqual(got, p) || len(body) > maxPollBytes {
			t.Errorf("poll: %+v, %v; want %+v", got, err, p)
		}
	}
	for _, o := range []*Order{sampleCommand(), {Epoch: 1}, {Kind: OrderHandover, To: NodeID{1}}, {Kind: OrderFollow, Epoch: backlog.MaxCounter, Addr: strings.Repeat("a", 255), Timeout: MaxOrderTimeout}} {
		body := o.append(nil)
		if got, err := parseOrder(body); err != nil || *got != *o || len(body) > maxOrderBytes {
			t.Errorf("order: %+v, %v; want %+v", got, err, o)
		}
	}
	bare := &Report{ID: NodeID{1}, Lineage: backlog.Lineage{Current: sampleHistory}, Position: backlog.Position{History: sampleHistory}}
	busy := sampleReport()
	busy.Role, busy.Supervised, busy.HandingOver, busy.Initial, busy.Synced, busy.Upstream = RoleMaster, true, true, true, false, UpstreamReport{}
	for _, r := range []*Report{bare, sampleReport(), busy} {
		if got, err := parseReport(r.append(nil)); err != nil || !reflect.DeepEqual(got, r) {
			t.Errorf("report: %+v, %v; want %+v", got, err, r)
		}
	}
}

// TestLargestReportFits: as many followers as fit are told of, and the largest of all the rest
// leaves room for a thousand.
func TestLargestReportFits(t *testing.T) {
	r := sampleReport()
	r.Name, r.Announce, r.Upstream.Addr = strings.Repeat("n", 64), strings.Repeat("a", 255), strings.Repeat("u", 255)
	r.Notices, r.Followers, r.Lineage.Earlier = nil, nil, nil
	for i := range backlog.MaxForks {
		r.Lineage.Earlier = append(r.Lineage.Earlier, backlog.Fork{History: backlog.History{9, byte(i)}, End: int64(900 - i)})
	}
	for i := range maxNotices {
		r.Notices = append(r.Notices, Notice{NodeID{byte(i)}, strings.Repeat("a", 255), make([]byte, MaxNoticeBytes)})
	}
	for i := range 5000 {
		r.Followers = append(r.Followers, FollowerReport{ID: NodeID{byte(i), byte(i >> 8)}, Name: strings.Repeat("n", 40), Addr: strings.Repeat("a", 60)})
	}
	body := r.append(nil)
	got, err := parseReport(body)
	if err != nil || len(body) > MaxReportBytes || len(got.Followers) < 1000 {
		t.Errorf("a report of %d bytes: %v", len(body), err)
	}
	r.Followers = r.Followers[:len(got.Followers)]
	if !reflect.DeepEqual(got, r) {
		t.Error("it was not read as it was written")
	}
}

// TestControlMessagesAreChecked: what no end of a link would say is not believed.
func TestControlMessagesAreChecked(t *testing.T) {
	grant := func(g Grant) func() error {
		return func() error { _, err := parsePoll((&Poll{Grant: &g}).append(nil)); return err }
	}
	order := func(o Order) func() error { return func() error { _, err := parseOrder(o.append(nil)); return err } }
	report := func(change func(r *Report)) func() error {
		r := sampleReport()
		change(r)
		return func() error { _, err := parseReport(r.append(nil)); return err }
	}
	greeting := func(change func(i *introduction)) func() error {
		i := sampleIntroduction()
		change(i)
		return func() error { _, err := parseIntroduction(i.append(nil)); return err }
	}
	asks := func(r request) func() error {
		return func() error { _, err := parseRequest(append(r.head(nil), r.body...)); return err }
	}
	for name, f := range map[string]func() error{
		"a grant for a day":           grant(Grant{Lease: 24 * time.Hour, Need: 1}),
		"a grant of which none needs": grant(Grant{Lease: time.Second}),
		"a grant that needs all":      grant(Grant{Lease: time.Second, Need: MaxNeed + 1}),
		"a long notice":               func() error { _, err := parsePoll((&Poll{Notice: make([]byte, 1025)}).append(nil)); return err },
		"an order of no kind":         order(Order{Kind: 3, Epoch: 1}),
		"an order of no epoch":        order(Order{}),
		"an order of no such epoch":   order(Order{Epoch: 1 << 63}),
		"an order to follow nobody":   order(Order{Kind: OrderFollow, Epoch: 1}),
		"an order to no one":          order(Order{Kind: OrderHandover, Epoch: 1}),
		"an order that allows more":   order(Order{Kind: OrderFollow, Epoch: 1, Addr: "a", Allow: 4}),
		"an order for a day":          order(Order{Epoch: 1, Timeout: 24 * time.Hour}),
		"a report of no role":         report(func(r *Report) { r.Role = 2 }),
		"a report of no history":      report(func(r *Report) { r.Lineage.Current = backlog.History{} }),
		"a report of no link":         report(func(r *Report) { r.Upstream.State = 4 }),
		"a report of no epoch":        report(func(r *Report) { r.Heard.Node = [16]byte{} }),
		"a report of a negative end":  report(func(r *Report) { r.Position.Offset = -1 }),
		"a report of a wild end":      report(func(r *Report) { r.Position.Offset = 3 }),
		"a report that nobody reads":  report(func(r *Report) { r.Notices = make([]Notice, maxNotices+1) }),
		"nobody":                      greeting(func(i *introduction) { i.id = NodeID{} }),
		"one without patience":        greeting(func(i *introduction) { i.patience = 0 }),
		"one of endless patience":     greeting(func(i *introduction) { i.patience = 2 * time.Hour }),
		"one with a long name":        greeting(func(i *introduction) { i.name = strings.Repeat("n", 65) }),
		"one of no kind":              greeting(func(i *introduction) { i.seat = 2 }),
		"versions the wrong way":      greeting(func(i *introduction) { i.versionMin = 2 }),
		"a ping with a number":        asks(request{number: 1}),
		"a ping with a body":          asks(request{body: []byte{1}}),
		"a poll without a number":     asks(request{what: askPoll}),
		"a question that is none":     asks(request{number: 1, what: whats}),
		"a poll that is long":         asks(request{1, askPoll, make([]byte, maxPollBytes+1)}),
		"an order that is long":       asks(request{1, askOrder, make([]byte, maxOrderBytes+1)}),
		"a call that is long":         asks(request{1, askCall, make([]byte, MaxCallBytes+1)}),
	} {
		if err := f(); !errors.Is(err, ErrProtocol) {
			t.Errorf("%s: %v, want ErrProtocol", name, err)
		}
	}
	if _, err := parseReply(append(append(make([]byte, 8), 1), make([]byte, 600)...)); !errors.Is(err, ErrProtocol) {
		t.Errorf("a long excuse: %v", err)
	}
	var v *VersionError
	if _, err := parseIntroduction([]byte{4, 9, 1}); !errors.As(err, &v) || v.Theirs != 4 || v.TheirsMax != 9 {
		t.Errorf("of versions 4 to 9: %v", err)
	}
}

// TestFailuresKeepTheirReason: what an order fails with is the same error at the other end.
func TestFailuresKeepTheirReason(t *testing.T) {
	for code, reason := range failures {
		if reason == nil {
			continue
		}
		for _, err := range []error{reason, fmt.Errorf("because: %w", reason), &HandoverError{To: "b", Err: reason}} {
			r, parsed := parseReply(sampleReply(&reply{number: 3, err: err}))
			var refused *RefusedError
			if parsed != nil || r.number != 3 || !errors.Is(r.err, reason) || !errors.As(r.err, &refused) {
				t.Errorf("code %d: %v became %v, %v", code, err, r.err, parsed)
			}
		}
	}
	for err, want := range map[error]error{
		ErrClosed:                    ErrPeerClosed,
		errors.New("something else"): ErrFailed,
		context.Canceled:             ErrFailed,
		&HandoverError{Step: StepCommit, Err: fmt.Errorf("%w: %w", ErrInDoubt, ErrLinkLost)}: ErrInDoubt,
	} {
		if r, _ := parseReply(sampleReply(&reply{number: 1, err: err})); !errors.Is(r.err, want) || strings.Contains(r.err.Error(), "\n") {
			t.Errorf("%v became %v, want %v", err, r.err, want)
		}
	}
	long := &reply{number: 1, err: errors.New(strings.Repeat("é", 1000))}
	if r, err := parseReply(sampleReply(long)); err != nil || strings.Contains(r.err.Error(), "_") {
		t.Errorf("a long text: %v, %v", r.err, err)
	}
	if body := sampleReply(&reply{number: 1, body: bytes.Repeat([]byte{1}, 10)}); len(body) != requestHeadBytes+10 {
		t.Errorf("% x", body)
	}
}
