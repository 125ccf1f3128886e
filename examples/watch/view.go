package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/emberkv/ember/kv"
)

// prefix is what the keys of all scores begin with: score/TEAM/PLAYER.
const prefix = "score/"

// A view is what this program makes of the scores: the points of each team, and who
// has most. It is made of events alone, one at a time, and never looks at the store.
type view struct {
	scores map[string]int64 // by key
	teams  map[string]int64
	total  int64
}

func newView() *view {
	return &view{scores: make(map[string]int64), teams: make(map[string]int64)}
}

// apply changes the view as an event says.
func (v *view) apply(e kv.Event) error {
	switch e.Kind {
	case kv.EventPut:
		points, err := strconv.ParseInt(string(e.Value), 10, 64)
		if err != nil {
			return err
		}
		v.set(strings.Clone(e.Key), points) // the event's key is of the store's memory
	case kv.EventDelete, kv.EventExpire, kv.EventEvict:
		v.remove(e.Key)
	case kv.EventDeletePrefix:
		for key := range v.scores {
			if strings.HasPrefix(key, e.Key) {
				v.remove(key)
			}
		}
	case kv.EventReset:
		*v = *newView()
	}
	return nil
}

func (v *view) set(key string, points int64) {
	more := points - v.scores[key]
	v.scores[key] = points
	v.teams[team(key)] += more
	v.total += more
}

func (v *view) remove(key string) {
	v.teams[team(key)] -= v.scores[key]
	v.total -= v.scores[key]
	delete(v.scores, key)
}

// top returns the n players with most points.
func (v *view) top(n int) []string {
	keys := slices.SortedFunc(maps.Keys(v.scores), func(a, b string) int {
		return cmp.Or(cmp.Compare(v.scores[b], v.scores[a]), strings.Compare(a, b))
	})
	for i, key := range keys[:min(n, len(keys))] {
		keys[i] = fmt.Sprintf("%s %d", strings.TrimPrefix(key, prefix), v.scores[key])
	}
	return keys[:min(n, len(keys))]
}

// String returns the view in one line.
func (v *view) String() string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(v.teams)) {
		fmt.Fprintf(&b, "%s %d  ", name, v.teams[name])
	}
	return fmt.Sprintf("%s| %d players, first: %s", b.String(), len(v.scores), strings.Join(v.top(3), ", "))
}

// team returns the team in a score's key.
func team(key string) string {
	name, _, _ := strings.Cut(strings.TrimPrefix(key, prefix), "/")
	return name
}

// compare returns an error unless the view says what the store has.
func (v *view) compare(s *kv.Store) error {
	found := 0
	for key, value := range s.Prefix(prefix) {
		if got, ok := v.scores[key]; !ok || strconv.FormatInt(got, 10) != string(value) {
			return fmt.Errorf("the view has %d for %s, the store %s", got, key, value)
		}
		found++
	}
	if found != len(v.scores) {
		return fmt.Errorf("the view has %d players, the store %d", len(v.scores), found)
	}
	return nil
}
