package processors

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/seed84377926/millrace/topology"
	"github.com/seed84377926/millrace/topology/partitions"
)

// subscription is what an application reads if its sources match topics: the topology, resolved with the topics that
// match, and the sizes of all topics and groups. It does not change; see next.
type subscription struct {
	top *topology.Topology
	// sizes has the sizes that the groups and their internal topics were created with, and the present ones of external
	// topics.
	sizes partitions.Sizes
}

// subscriptionChange is the difference between the topics that are read and the topics that exist.
type subscriptionChange struct {
	to             subscription
	added, removed []string         // in order
	refused        map[string]error // topics that match and cannot be read, with the reason
}

// next compares the topics that are read with the topics that exist now, given with their numbers of partitions. Topics
// that are gone are dropped. Each new one is added if it fits, without changing anything that exists already.
func (s subscription) next(now map[string]int32) subscriptionChange {
	change := subscriptionChange{refused: make(map[string]error)}
	var kept []string
	for _, topic := range s.matching() {
		if _, ok := now[topic]; ok {
			kept = append(kept, topic)
		} else {
			change.removed = append(change.removed, topic)
		}
	}
	change.to = s
	if len(change.removed) > 0 {
		var err error
		if change.to, err = s.withTopics(kept, now); err != nil { // keep what was read before
			change.to, change.removed = s, nil
		}
	}
	for _, topic := range slices.Sorted(maps.Keys(now)) {
		if now[topic] == 0 || slices.Contains(kept, topic) || !matches(s.top, topic) {
			continue // 0: the number is not known yet
		}
		with, err := change.to.withTopics(append(slices.Clone(kept), topic), now)
		if err == nil {
			err = with.checkFits(topic)
		}
		if err != nil {
			change.refused[topic] = err
			continue
		}
		kept = append(kept, topic)
		change.to, change.added = with, append(change.added, topic)
	}
	return change
}

// withTopics returns the subscription if these topics match. The sizes that the groups were created with stay.
func (s subscription) withTopics(matching []string, now map[string]int32) (subscription, error) {
	top, err := s.top.Resolve(matching)
	if err != nil {
		return subscription{}, err
	}
	with := subscription{top: top, sizes: partitions.Sizes{Topics: maps.Clone(s.sizes.Topics), Groups: s.sizes.Groups}}
	for _, topic := range s.matching() {
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

// checkFits says why a topic that has been added cannot be read with the existing state, nil if it can.
func (s subscription) checkFits(topic string) error {
	subs := s.top.SubTopologies()
	var errs []error
	for _, sub := range subs {
		errs = append(errs, s.sizes.Check(sub)...)
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	wanted := partitions.Sizes{Topics: maps.Clone(s.sizes.Topics), Groups: make(map[string]int32)}
	for _, sub := range subs {
		for _, in := range sub.Inputs() {
			if in.Repartition {
				delete(wanted.Topics, in.Topic)
			}
		}
	}
	wanted.Derive(subs)
	for _, sub := range subs {
		if has := s.sizes.Groups[sub.Group()]; wanted.Groups[sub.Group()] > has {
			return fmt.Errorf("it has %d partitions, and the state of group %s has a place for %d: equal keys would be in other partitions; "+
				"delete it and create it with at most %d partitions, or narrow the expression of the source down",
				s.sizes.Topics[topic], sub.Group(), has, has)
		}
	}
	return nil
}

// matching returns the topics that are read because they match a source.
func (s subscription) matching() (topics []string) {
	for _, sub := range s.top.SubTopologies() {
		for _, in := range sub.Inputs() {
			if !in.Repartition && sub.Matches(in.Topic) {
				topics = append(topics, in.Topic)
			}
		}
	}
	return topics
}

// matches says whether a topic matches a source.
func matches(top *topology.Topology, topic string) bool {
	return slices.ContainsFunc(top.SubTopologies(), func(sub *topology.SubTopology) bool { return sub.Matches(topic) })
}

// hasPatterns says whether a source of the topology matches topics.
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
