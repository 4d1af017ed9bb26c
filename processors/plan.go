package processors

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/seed84377926/millrace/internal/broker"
	"github.com/seed84377926/millrace/topology"
)

// groupPlan is a sub-topology with what the cluster says about its topics.
type groupPlan struct {
	sub        *topology.SubTopology
	inputs     []topology.Input // those of sub, which copies them at every call
	partitions int32            // number of tasks
	sizes      map[string]int32 // partitions of the inputs, and of the source topics before them
	outputs    map[string]int32 // partitions of the topics it writes
	// marks are the repartition topics it writes: downstream tasks learn from marks in them how far it is.
	marks []string
	// feeding has, for each of them, the inputs whose records lead to it.
	feeding map[string][]string
	// upstreamDirect says, for each repartition input, which source topics lead to it within the upstream sub-topology and in
	// no other way; the other origins of the input reach it through all upstream tasks.
	upstreamDirect map[string]map[string]bool
	// upstreamTasks is the number of tasks of the sub-topology that writes a repartition input.
	upstreamTasks map[string]int32
}

// plan creates the internal topics, whose number of partitions follows from sizes, and connects the groups. Nothing is
// processed if anything is wrong, and everything that is wrong is in the error.
func plan(ctx context.Context, top *topology.Topology, sizes topicSizes, client *broker.Client, replication int16) ([]*groupPlan, error) {
	if err := client.EnsureTopics(ctx, internalTopics(top, sizes, replication)...); err != nil {
		return nil, fmt.Errorf("internal topics of %s: %w", top.Name(), err)
	}
	return planGroups(top.SubTopologies(), sizes), nil
}

// internalTopics are the topics that belong to the application: its description, the groups' tables and the repartition topics.
func internalTopics(top *topology.Topology, sizes topicSizes, replication int16) []broker.TopicSpec {
	specs := []broker.TopicSpec{{Name: top.DescriptionTopic(), Partitions: 1, Kind: broker.Changelog, Replication: replication}}
	for _, sub := range top.SubTopologies() {
		specs = append(specs, broker.TopicSpec{
			Name: sub.TableTopic(), Partitions: sizes.groups[sub.Group()], Kind: broker.Changelog, Replication: replication,
		})
		for _, in := range sub.Inputs() {
			if in.Repartition {
				specs = append(specs, broker.TopicSpec{
					Name: in.Topic, Partitions: sizes.topics[in.Topic], Kind: broker.Repartition, Replication: replication,
				})
			}
		}
	}
	return specs
}

// planGroups connects the groups: who writes what, and what marks from upstream mean.
func planGroups(subs []*topology.SubTopology, sizes topicSizes) []*groupPlan {
	plans := make([]*groupPlan, 0, len(subs))
	byGroup := make(map[string]*groupPlan)
	for _, sub := range subs {
		p := &groupPlan{
			sub: sub, inputs: sub.Inputs(), partitions: sizes.groups[sub.Group()], sizes: sizes.topics,
			outputs:        make(map[string]int32),
			feeding:        make(map[string][]string),
			upstreamDirect: make(map[string]map[string]bool),
			upstreamTasks:  make(map[string]int32),
		}
		for _, topic := range sub.Outputs() {
			p.outputs[topic] = sizes.topics[topic]
		}
		plans = append(plans, p)
		byGroup[sub.Group()] = p
	}
	for _, p := range plans {
		for _, in := range p.inputs {
			if in.Repartition {
				p.hear(in, byGroup)
			}
		}
	}
	return plans
}

// hear connects a repartition input with the group that writes it.
func (p *groupPlan) hear(in topology.Input, byGroup map[string]*groupPlan) {
	direct := make(map[string]bool)
	for _, group := range in.Upstream {
		upstream := byGroup[group]
		upstream.marks = append(upstream.marks, in.Topic)
		upstream.feeding[in.Topic] = upstream.sub.Feeding(in.Topic)
		p.upstreamTasks[in.Topic] = upstream.partitions
		var derived []string
		for _, from := range upstream.inputs {
			switch {
			case !slices.Contains(upstream.feeding[in.Topic], from.Topic):
			case from.Repartition:
				derived = append(derived, from.Origins...)
			default:
				direct[from.Topic] = true
			}
		}
		maps.DeleteFunc(direct, func(topic string, _ bool) bool { return slices.Contains(derived, topic) })
	}
	p.upstreamDirect[in.Topic] = direct
}

// reads says whether the task of a partition has something of the input: one with fewer partitions than the group has tasks is
// read by the first ones only.
func (p *groupPlan) reads(topic string, partition int32) bool { return partition < p.sizes[topic] }

// topicSizes is the number of partitions of every topic and the number of tasks of every group.
type topicSizes struct {
	topics map[string]int32
	groups map[string]int32
}

// sizeTopics asks for the external topics and derives the rest by the rules of Kafka Streams (S54, S55): inputs that an
// operator brings together have the same number of partitions; a repartition topic without a number of its own takes that of
// the external inputs that it is brought together with, else the largest of its upstream groups; a sub-topology has as many
// tasks as the largest of its inputs has partitions.
func sizeTopics(ctx context.Context, subs []*topology.SubTopology, client *broker.Client) (topicSizes, error) {
	sizes := topicSizes{topics: make(map[string]int32), groups: make(map[string]int32)}
	var errs []error
	internal := make(map[string]bool)
	for _, sub := range subs {
		for _, in := range sub.Inputs() {
			if in.Repartition {
				internal[in.Topic] = true
			}
		}
	}
	ask := func(topic string) {
		if internal[topic] || sizes.topics[topic] != 0 {
			return
		}
		n, err := client.Partitions(ctx, topic)
		if err != nil {
			errs = append(errs, err)
			n = -1
		}
		sizes.topics[topic] = n
	}
	for _, sub := range subs {
		for _, in := range sub.Inputs() {
			ask(in.Topic)
		}
		for _, topic := range sub.Outputs() {
			ask(topic)
		}
	}
	sizes.derive(subs)
	for _, sub := range subs {
		errs = append(errs, sizes.check(sub)...)
	}
	if len(errs) > 0 {
		return topicSizes{}, errors.Join(errs...)
	}
	return sizes, nil
}

// derive sets what follows from the external topics. Upstream groups may come later in the list than their readers: it goes round
// until nothing new is known.
func (s topicSizes) derive(subs []*topology.SubTopology) {
	for range subs {
		for _, sub := range subs {
			if s.groups[sub.Group()] == 0 {
				s.size(sub)
			}
		}
	}
}

// size sets the number of tasks of one sub-topology and the partitions of its repartition inputs, if what they follow is known.
func (s topicSizes) size(sub *topology.SubTopology) {
	var tasks int32
	for _, inputs := range together(sub) {
		n := s.follow(inputs)
		if n <= 0 {
			return
		}
		for _, in := range inputs {
			if in.Repartition {
				s.topics[in.Topic] = cmp.Or(in.Partitions, n)
			}
			tasks = max(tasks, s.topics[in.Topic])
		}
	}
	s.groups[sub.Group()] = tasks
}

// follow returns how many partitions inputs have that an operator brings together, 0 if that is not known yet.
func (s topicSizes) follow(inputs []topology.Input) int32 {
	for _, in := range inputs {
		if !in.Repartition {
			return s.topics[in.Topic]
		}
	}
	for _, in := range inputs {
		if in.Partitions > 0 {
			return in.Partitions
		}
	}
	var n int32
	for _, in := range inputs {
		if in.Follows {
			continue
		}
		for _, group := range in.Upstream {
			if s.groups[group] == 0 {
				return 0
			}
			n = max(n, s.groups[group])
		}
	}
	return n
}

// check finds inputs that an operator brings together and that do not have the same number of partitions.
func (s topicSizes) check(sub *topology.SubTopology) (errs []error) {
	for _, c := range sub.Copartitions() {
		first, uneven := int32(0), false
		sizes := make([]string, len(c.Topics))
		for i, topic := range c.Topics {
			n := s.topics[topic]
			sizes[i] = fmt.Sprintf("%s has %d partitions", topic, n)
			if n > 0 && first > 0 {
				uneven = uneven || n != first
			} else {
				first = max(first, n)
			}
		}
		if uneven {
			errs = append(errs, fmt.Errorf("sub-topology %s: the inputs of the %s at %s are not co-partitioned: %s; "+
				"recreate one of them, or repartition one of the streams", sub.Name(), c.Operator, c.Site, strings.Join(sizes, ", ")))
		}
	}
	return errs
}

// together returns the inputs of a sub-topology, those in one slice that have the same number of partitions.
func together(sub *topology.SubTopology) [][]topology.Input {
	var parts [][]topology.Input
	for _, in := range sub.Inputs() {
		parts = append(parts, []topology.Input{in})
	}
	for _, c := range sub.Copartitions() {
		var joined []topology.Input
		parts = slices.DeleteFunc(parts, func(part []topology.Input) bool {
			concerned := slices.ContainsFunc(part, func(in topology.Input) bool { return slices.Contains(c.Topics, in.Topic) })
			if concerned {
				joined = append(joined, part...)
			}
			return concerned
		})
		parts = append(parts, joined)
	}
	return parts
}
