package processors

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/seed84377926/millrace/internal/partitions"
	"github.com/seed84377926/millrace/topology"
)

// reading is what an application reads whose sources match topics: the topology, resolved with those that match, and the sizes of
// everything. It is never changed; see next.
type reading struct {
	top *topology.Topology
	// sizes are those that the groups and their internal topics were made with, and those of the external topics now.
	sizes partitions.Sizes
}

// topicsChange is what has happened to the topics that match since they were last looked at.
type topicsChange struct {
	reading        reading
	added, removed []string         // in order
	refused        map[string]error // topics that match and cannot be read, with the reason
}

// next compares what is read with the topics that there are now, with their numbers of partitions. Topics that are gone are left,
// and each new one is taken up if it fits: all that is there already stays as it is.
func (r reading) next(now map[string]int32) topicsChange {
	change := topicsChange{refused: make(map[string]error)}
	var kept []string
	for _, topic := range r.matching() {
		if _, ok := now[topic]; ok {
			kept = append(kept, topic)
		} else {
			change.removed = append(change.removed, topic)
		}
	}
	change.reading = r
	if len(change.removed) > 0 {
		var err error
		if change.reading, err = r.with(kept, now); err != nil { // nothing can be said against what was read before
			change.reading, change.removed = r, nil
		}
	}
	for _, topic := range slices.Sorted(maps.Keys(now)) {
		if now[topic] == 0 || slices.Contains(kept, topic) || !matches(r.top, topic) {
			continue // 0: it cannot be said yet how many
		}
		with, err := change.reading.with(append(slices.Clone(kept), topic), now)
		if err == nil {
			err = with.fits(topic)
		}
		if err != nil {
			change.refused[topic] = err
			continue
		}
		kept = append(kept, topic)
		change.reading, change.added = with, append(change.added, topic)
	}
	return change
}

// with returns what is read if these topics match. What the groups have been made with stays.
func (r reading) with(matching []string, now map[string]int32) (reading, error) {
	top, err := r.top.Resolve(matching)
	if err != nil {
		return reading{}, err
	}
	with := reading{top: top, sizes: partitions.Sizes{Topics: maps.Clone(r.sizes.Topics), Groups: r.sizes.Groups}}
	for _, topic := range r.matching() {
		if !slices.Contains(matching, topic) {
			delete(with.sizes.Topics, topic)
		}
	}
	for _, topic := range matching {
		if _, known := with.sizes.Topics[topic]; !known {
			with.sizes.Topics[topic] = now[topic]
		}
	}
	return with, nil
}

// fits says why a topic that has been added cannot be read with the state that there is.
func (r reading) fits(topic string) error {
	subs := r.top.SubTopologies()
	var errs []error
	for _, sub := range subs {
		errs = append(errs, r.sizes.Check(sub)...)
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	wanted := partitions.Sizes{Topics: maps.Clone(r.sizes.Topics), Groups: make(map[string]int32)}
	for _, sub := range subs {
		for _, in := range sub.Inputs() {
			if in.Repartition {
				delete(wanted.Topics, in.Topic)
			}
		}
	}
	wanted.Derive(subs)
	for _, sub := range subs {
		if has := r.sizes.Groups[sub.Group()]; wanted.Groups[sub.Group()] > has {
			return fmt.Errorf("it has %d partitions, and the state of group %s has a place for %d: equal keys would be in other partitions; "+
				"delete it and create it with at most %d partitions, or narrow the expression of the source down",
				r.sizes.Topics[topic], sub.Group(), has, has)
		}
	}
	return nil
}

// matching returns the topics that are read since they match.
func (r reading) matching() (topics []string) {
	for _, sub := range r.top.SubTopologies() {
		for _, in := range sub.Inputs() {
			if !in.Repartition && sub.Matches(in.Topic) {
				topics = append(topics, in.Topic)
			}
		}
	}
	return topics
}

// matches says whether a topic matches any source.
func matches(top *topology.Topology, topic string) bool {
	return slices.ContainsFunc(top.SubTopologies(), func(sub *topology.SubTopology) bool { return sub.Matches(topic) })
}

func hasPatterns(top *topology.Topology) bool {
	return slices.ContainsFunc(top.SubTopologies(), func(sub *topology.SubTopology) bool {
		return slices.ContainsFunc(sub.Inputs(), func(in topology.Input) bool { return in.Pattern != "" })
	})
}

// withoutInputs names a sub-topology that has no input, "" if all have one.
func withoutInputs(top *topology.Topology) string {
	for _, sub := range top.SubTopologies() {
		if len(sub.Inputs()) == 0 {
			return sub.Name()
		}
	}
	return ""
}
