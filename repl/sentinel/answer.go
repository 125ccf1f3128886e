package sentinel

import (
	"context"
	"time"

	"github.com/emberkv/ember/repl"
)

// answer answers what peers and clients ask. It runs on goroutines of the server.
func (s *Sentinel) answer(ctx context.Context, from repl.Peer, body []byte) (answer []byte, err error) {
	switch kindOf(body) {
	case tellState:
		told, err := parseState(body)
		if err != nil {
			return nil, err
		}
		if !s.desk.ask(func(now time.Time) { answer = s.desk.heardState(from, told, now) }) {
			return nil, ErrClosed
		}
		return answer, nil
	case askVote:
		asked, err := parseAsk(body)
		if err != nil {
			return nil, err
		}
		if !s.desk.ask(func(now time.Time) { answer, err = s.desk.heardAsk(from, asked, now) }) {
			return nil, ErrClosed
		}
		return answer, err
	case askWho:
		asked, err := parseWho(body)
		if err != nil {
			return nil, err
		}
		return appendMaster(nil, s.who(ctx, asked)), nil
	}
	return nil, errUnknown(body)
}

// who waits until there is a master above the one that the client knows, or that is elsewhere than where
// the client has heard: it may have moved since it was told.
func (s *Sentinel) who(ctx context.Context, w who) Reign {
	reign, changed := s.published()
	moved := w.At != "" && reign.Epoch == w.Known && reign.Addr != w.At
	if reign.Epoch.Compare(w.Known) > 0 || moved || w.Wait <= 0 {
		return reign
	}
	patience := time.NewTimer(w.Wait)
	defer patience.Stop()
	select {
	case <-changed:
	case <-patience.C:
	case <-ctx.Done():
	case <-s.ended:
	}
	return s.Master()
}

// heardState takes in the state of a peer who calls, and answers with this sentinel's.
func (d *desk) heardState(from repl.Peer, told *state, now time.Time) []byte {
	if !d.view.foreign(told.Reign, now) {
		d.view.foundPeer(from.ID, from.Name, from.Listen, now)
		d.view.heardPeer(from.ID, told, now)
	}
	return d.state().append(nil)
}

// heardAsk answers a peer who asks for this sentinel's vote. One that is not known has to tell its state first:
// that may show that it is another group's.
func (d *desk) heardAsk(from repl.Peer, a ask, now time.Time) ([]byte, error) {
	if d.view.peers[from.ID] == nil {
		return nil, errStranger
	}
	r, err := d.vote(from.ID, a, now)
	if err != nil {
		return nil, err
	}
	return r.append(nil), nil
}
