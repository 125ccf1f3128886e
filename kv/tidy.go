package kv

import "time"

// tidy removes files that nothing needs: those of other generations than the newest that
// has a snapshot; snapshots except for the newest keepSnapshots; and of the journal what lies
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
	first, kept := needed, int64(0) // index of the first that is kept
	pin, pinned := j.archive.Load().pinned()
	for first > 0 && segments[first-1].Generation == gen {
		f := segments[first-1]
		kept += f.size
		age := time.Since(f.made)
		if !j.keeps(kept, age) && !(pinned && f.Sequence >= pin && j.keeps(kept/keepRead, age/keepRead)) {
			break
		}
		first--
	}
	if first < len(segments) {
		j.archive.Load().drop(segments[first].Sequence)
	}
	for _, f := range segments[:first] { // the oldest first, so that a crash leaves no gap
		j.folder.remove(f.name)
	}
}

// keeps reports whether files that no snapshot needs are kept when they have that many
// bytes together, and such an age.
func (j *journal) keeps(bytes int64, age time.Duration) bool {
	o := &j.opts
	return o.KeepBytes >= 0 && o.KeepAge >= 0 && bytes <= o.KeepBytes && age <= o.KeepAge
}
