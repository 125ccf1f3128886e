package repltest

// Stats count what a [Link] has seen. Dials, Failed and Open belong to the
// direction from the host that dials.
type Stats struct {
	Dials  int   // to an address that was ever listened on
	Failed int   // those of them that returned an error
	Open   int   // connections that were not cut and have an open end
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
