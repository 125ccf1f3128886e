package kv

import "time"

// tidy removes files that nothing needs: those of other generations than the newest that
// has a snapshot; snapshots but for the newest keepSnapshots; and of the journal what lies
// before the oldest of those, beyond KeepBytes or KeepAge.
func (j *journal) tidy() {
	s, err := j.folder.list()
	if err != nil || len(s.snapshots) == 0 {
		return // the next time
	}
	gen := s.snapshots[len(s.snapshots)-1].Generation
	var snapshots []storedFile
	for _, f := range s.snapshots {
		if f.Generation == gen {
			snapshots = append(snapshots, f)
		} else {
			j.folder.remove(f.name)
		}
	}
	drop := max(len(snapshots)-keepSnapshots, 0)
	for _, f := range snapshots[:drop] {
		j.folder.remove(f.name)
	}
	j.tidySegments(s.segments, gen, snapshots[drop])
}

// tidySegments removes segments before the one that was begun last before the snapshot
// oldest, and those of generations that have ended. Snapshots and segments share a sequence:
// whatever a segment begun after the snapshot's name was given holds, an earlier one than that
// named last before may hold some of it, too, and no other before.
func (j *journal) tidySegments(segments []storedFile, gen uint64, oldest storedFile) {
	needed := 0 // index of the first that is needed
	for i, f := range segments {
		switch {
		case f.Generation < gen:
			needed = i + 1
		case f.Generation == gen && f.Sequence < oldest.Sequence:
			needed = i
		}
	}
	kept := int64(0)
	for i := needed - 1; i >= 0; i-- {
		f := segments[i]
		kept += f.size
		old := j.opts.KeepBytes < 0 || j.opts.KeepAge < 0 || kept > j.opts.KeepBytes || time.Since(f.made) > j.opts.KeepAge
		if f.Generation == gen && !old {
			continue
		}
		if f.Generation == gen {
			kept = j.opts.KeepBytes + 1 // nor anything older: no gaps
		}
		j.folder.remove(f.name)
	}
}
