package repltest

// Stats count what a [Link] has seen. Dials, Failed and Open belong to the
// direction from the host that dials.
type Stats struct {
	Dials  int   // to an address that was ever listened on
	Failed int   // of these, those that returned an error
	Open   int   // connections of which not both ends are closed, and that were not cut
	Bytes  int64 // written, whether they arrived or not
}

func (s Stats) plus(o Stats) Stats {
	return Stats{
		Dials:  s.Dials + o.Dials,
		Failed: s.Failed + o.Failed,
		Open:   s.Open + o.Open,
		Bytes:  s.Bytes + o.Bytes,
	}
}
