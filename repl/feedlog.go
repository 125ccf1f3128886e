package repl

import (
	"math"

	"github.com/emberkv/ember/backlog"
)

// sendLog sends one run of records that ends at or before limit.
func (f *feed) sendLog(limit int64) (bool, error) {
	at := f.reader.Offset()
	records, err := f.reader.Next(limit)
	if err != nil {
		return false, err
	}
	// Read after the records: whatever was appended behind a fork, the fork
	// was there before.
	lineage := f.n.log.Lineage()
	fork, err := f.fork(lineage)
	switch {
	case err != nil:
		return false, err
	case at > fork:
		return false, backlog.ErrReset // the log was replaced since the records were read
	case at == fork && f.copy != nil:
		return false, ErrForked
	case at == fork:
		return true, f.sendForked(lineage, at, records)
	case int64(len(records)) > fork-at:
		f.reader.Back(len(records) - int(fork-at))
		records = records[:fork-at]
	}
	if len(records) == 0 {
		return false, nil
	}
	return true, f.sendRecords(at, records)
}

func (f *feed) sendRecords(at int64, records []byte) error {
	f.willSend(at + int64(len(records)))
	head := appendLogHead(f.head[:0], at, f.n.clock())
	return f.link.w.write(kindLog, head, records)
}

// sendForked tells a follower that stands at at, where the history that it knows
// has ended, of the lineage that came of it, and sends the records that follow.
// The heartbeat lets those who wait there for a position that is known now go on.
func (f *feed) sendForked(lineage backlog.Lineage, at int64, records []byte) error {
	body, _ := lineage.AppendBinary(appendOffset(nil, f.n.log.End()))
	if err := f.link.w.write(kindHistory, body, nil); err != nil {
		return err
	}
	f.link.told = lineage.Current
	if err := f.beat(); err != nil || len(records) == 0 {
		return err
	}
	return f.sendRecords(at, records)
}

// fork returns the offset at which the log has left the history that the
// follower knows, beyond which it must not be sent anything: it would take the
// records for its own history's, and an offset would mean two things.
func (f *feed) fork(lineage backlog.Lineage) (int64, error) {
	if lineage.Current == f.link.told {
		return math.MaxInt64, nil
	}
	for _, e := range lineage.Earlier {
		if e.History == f.link.told {
			return e.End, nil
		}
	}
	return 0, backlog.ErrReset
}

// forked returns an error when there is a new history and a follower that is being
// copied to has all that came before. It may be that nothing is written there yet.
func (f *feed) forked() error {
	if f.copy == nil {
		return nil
	}
	fork, err := f.fork(f.n.log.Lineage())
	if err == nil && f.reader.Offset() >= fork {
		err = ErrForked
	}
	return err
}

// willSend notes up to where the follower is about to have the log. It is
// called before the bytes go out, because the ack may be back before the write
// returns; and an ack of more than this is a lie.
func (f *feed) willSend(offset int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mu.sent, f.mu.written, f.mu.plain = offset, f.link.w.written, f.link.w.plain
}
