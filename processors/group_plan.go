package processors

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/seed84377926/millrace/internal/broker"
	"github.com/seed84377926/millrace/topology"
	"github.com/seed84377926/millrace/topology/partitions"
)

// groupPlan is a sub-topology together with the sizes of its topics in the cluster. It never changes; see replan.
type groupPlan struct {
	sub        *topology.SubTopology
	inputs     []topology.Input // the inputs of sub, which copies them at every call
	partitions int32            // number of tasks
	sizes      map[string]int32 // partitions of the inputs, and of the source topics upstream of them
	outputs    map[string]int32 // partitions of the topics it writes
	// marks are the repartition topics it writes: marks in them tell downstream tasks how far it is.
	marks []string
	// feeding has, for each topic of marks, the inputs whose records lead to it.
	feeding map[string][]string
	// upstreamDirect says, for each repartition input, which source topics lead to it within the upstream sub-topology
	// and in no other way; the other origins of the input reach it through all upstream tasks.
	upstreamDirect map[string]map[string]bool
	// upstreamTasks is the number of tasks of the sub-topology that writes a repartition input.
	upstreamTasks map[string]int32
	// upstream is the plan of the sub-topology that writes a repartition input.
	upstream map[string]*groupPlan
}

// createPlans creates the internal topics, whose numbers of partitions follow from sizes, and plans the groups. The
// error has everything that is wrong.
func createPlans(ctx context.Context, top *topology.Topology, sizes partitions.Sizes, client *broker.Client, replication int16) ([]*groupPlan, error) {
	if err := client.EnsureTopics(ctx, internalTopics(top, sizes, replication)...); err != nil {
		return nil, fmt.Errorf("internal topics of %s: %w", top.Name(), err)
	}
	return planGroups(top.SubTopologies(), sizes), nil
}

// internalTopics returns the topics that belong to the application: its description, the groups' tables and the
// repartition topics.
func internalTopics(top *topology.Topology, sizes partitions.Sizes, replication int16) []broker.TopicSpec {
	specs := []broker.TopicSpec{{Name: top.DescriptionTopic(), Partitions: 1, Kind: broker.Changelog, Replication: replication}}
	for _, sub := range top.SubTopologies() {
		specs = append(specs, broker.TopicSpec{
			Name: sub.TableTopic(), Partitions: sizes.Groups[sub.Group()], Kind: broker.Changelog, Replication: replication,
		})
		for _, in := range sub.Inputs() {
			if in.Repartition {
				specs = append(specs, broker.TopicSpec{
					Name: in.Topic, Partitions: sizes.Topics[in.Topic], Kind: broker.Repartition, Replication: replication,
				})
			}
		}
	}
	return specs
}

// planGroups plans the groups and connects them: which group writes what, and what marks from upstream mean.
func planGroups(subs []*topology.SubTopology, sizes partitions.Sizes) []*groupPlan {
	plans := make([]*groupPlan, 0, len(subs))
	byGroup := make(map[string]*groupPlan)
	for _, sub := range subs {
		p := &groupPlan{
			sub: sub, inputs: sub.Inputs(), partitions: sizes.Groups[sub.Group()], sizes: sizes.Topics,
			outputs:        make(map[string]int32),
			feeding:        make(map[string][]string),
			upstreamDirect: make(map[string]map[string]bool),
			upstreamTasks:  make(map[string]int32),
			upstream:       make(map[string]*groupPlan),
		}
		for _, topic := range sub.Outputs() {
			p.outputs[topic] = sizes.Topics[topic]
		}
		plans = append(plans, p)
		byGroup[sub.Group()] = p
	}
	for _, p := range plans {
		for _, in := range p.inputs {
			if in.Repartition {
				p.connectUpstream(in, byGroup)
			}
		}
	}
	return plans
}

// connectUpstream connects a repartition input with the groups that write it.
func (p *groupPlan) connectUpstream(in topology.Input, byGroup map[string]*groupPlan) {
	direct := make(map[string]bool)
	for _, group := range in.Upstream {
		upstream := byGroup[group]
		upstream.marks = append(upstream.marks, in.Topic)
		upstream.feeding[in.Topic] = upstream.sub.Feeding(in.Topic)
		p.upstreamTasks[in.Topic], p.upstream[in.Topic] = upstream.partitions, upstream
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

// reads says whether the task of a partition reads the input. An input with fewer partitions than the group has tasks
// is read by the first tasks only.
func (p *groupPlan) reads(topic string, partition int32) bool { return partition < p.sizes[topic] }

// upstreamGroup returns the group that writes a repartition input, "" for another topic.
func (p *groupPlan) upstreamGroup(topic string) string {
	if up := p.upstream[topic]; up != nil {
		return up.sub.Group()
	}
	return ""
}

// writers returns how many tasks write to an input of the task of a partition, for [engine.TaskConfig].
func (p *groupPlan) writers(topic string, partition int32) int32 {
	if !p.reads(topic, partition) {
		return 0
	}
	return max(1, p.upstreamTasks[topic])
}

// topics returns the names of the inputs.
func (p *groupPlan) topics() []string {
	topics := make([]string, len(p.inputs))
	for i, in := range p.inputs {
		topics[i] = in.Topic
	}
	return topics
}

// topicsOf returns the inputs that the task of a partition reads.
func (p *groupPlan) topicsOf(partition int32) []string {
	return slices.DeleteFunc(p.topics(), func(topic string) bool { return !p.reads(topic, partition) })
}

// sizeTopics asks the cluster for the sizes of the external topics and derives the sizes of the internal topics.
func sizeTopics(ctx context.Context, subs []*topology.SubTopology, client *broker.Client) (partitions.Sizes, error) {
	sizes := partitions.Sizes{Topics: make(map[string]int32), Groups: make(map[string]int32)}
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
		if internal[topic] || sizes.Topics[topic] != 0 {
			return
		}
		n, err := client.Partitions(ctx, topic)
		if err != nil {
			errs = append(errs, err)
			n = -1
		}
		sizes.Topics[topic] = n
	}
	for _, sub := range subs {
		for _, in := range sub.Inputs() {
			ask(in.Topic)
		}
		for _, topic := range sub.Outputs() {
			ask(topic)
		}
	}
	sizes.Derive(subs)
	for _, sub := range subs {
		errs = append(errs, sizes.Check(sub)...)
	}
	if len(errs) > 0 {
		return partitions.Sizes{}, errors.Join(errs...)
	}
	return sizes, nil
}
