package kv

import "testing"

// TestPipelineMeetsOtherContents: what was decoded for a table that is no longer the store's
// is not carried out in it.
func TestPipelineMeetsOtherContents(t *testing.T) {
	s := New(nil)
	defer s.Close()
	p := s.Pipeline()
	if err := p.Set("a", []byte("1")); err != nil {
		t.Fatal(err)
	}
	old := s.table.Load()
	if err := s.exchange(s.emptyTable(), s.log.Restart); err != nil {
		t.Fatal(err)
	}
	before := s.log.End()
	ops := p.decode(p.records, old.seed)
	if n, end, err := p.execTogether(old, p.records, ops); n != 0 || end != 0 || err != nil {
		t.Errorf("execTogether = %d, %d, %v", n, end, err)
	}
	if s.log.End() != before {
		t.Error("a write was logged that shows nowhere")
	}
	if n, err := p.Exec(); n != 1 || err != nil || s.Len() != 1 {
		t.Errorf("Exec = %d, %v; %d keys", n, err, s.Len())
	}
}
