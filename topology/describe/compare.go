package describe

import (
	"fmt"
	"slices"
	"strings"
)

// Compare returns what changes between two versions of an application, and what each change means for the state of the
// version before. It cannot see what descriptions do not hold, such as codecs and functions.
func Compare(before, after Topology) Changes {
	if before.Application != after.Application {
		return Changes{{
			Meaning: MeansRebuild, Final: true,
			What:   fmt.Sprintf("application %q instead of %q", after.Application, before.Application),
			Effect: "these are two applications, which share nothing",
		}}
	}
	c := &comparison{before: &before, after: &after}
	if before.Policies != after.Policies {
		c.add(Change{
			Meaning: MeansNothing, What: fmt.Sprintf("policies for failing records %q instead of %q", after.Policies, before.Policies),
			Effect: "state is not concerned",
		})
	}
	for i := range after.SubTopologies {
		sub := &after.SubTopologies[i]
		if was := before.group(sub.Group); was != nil {
			c.sameGroup(was, sub)
		} else {
			c.newGroup(sub)
		}
	}
	for i := range before.SubTopologies {
		if was := &before.SubTopologies[i]; after.group(was.Group) == nil {
			c.goneGroup(was)
		}
	}
	c.repartitions()
	return c.changes
}

// comparison collects the changes from before to after.
type comparison struct {
	before, after *Topology
	changes       Changes
}

func (c *comparison) add(change Change) { c.changes = append(c.changes, change) }

// sameGroup compares two versions of a group.
func (c *comparison) sameGroup(was, sub *SubTopology) {
	c.inputs(was, sub)
	for i := range sub.Stores {
		store := &sub.Stores[i]
		if old := was.store(store.Name); old != nil {
			c.store(sub, old, store)
		} else {
			c.newStore(sub, store)
		}
	}
	for i := range was.Stores {
		store := &was.Stores[i]
		if sub.store(store.Name) == nil && !c.movedAway(store.Name) {
			c.add(Change{
				Meaning: MeansOrphan, Group: was.Group, Store: store.Name, Topic: was.Changelog,
				What:   fmt.Sprintf("store %q is gone from group %s", store.Name, was.Group),
				Effect: fmt.Sprintf("nobody keeps it any more; its rows stay in topic %s", was.Changelog),
				Remedy: "do not use the name again for another store of this group",
			})
		}
	}
	c.outputs(was, sub)
	c.operators(was, sub)
}

// inputs compares what a group reads.
func (c *comparison) inputs(was, sub *SubTopology) {
	if len(was.Inputs) > 0 && len(without(was.Inputs, sub.Inputs)) == len(was.Inputs) {
		c.add(Change{
			Meaning: MeansRebuild, Group: sub.Group, Final: true,
			What:   fmt.Sprintf("group %s reads %s instead of %s", sub.Group, strings.Join(sub.Inputs, ", "), strings.Join(was.Inputs, ", ")),
			Effect: "none of its state is of records like those to come",
			Remedy: fmt.Sprintf("give the sub-topology another name with topology.InSubTopology, or build the group anew: stop the application and delete %s", leftBy(sub)),
		})
	}
	for _, topic := range sub.Inputs {
		from, known := c.formerReader(sub, topic), slices.Contains(was.Inputs, topic)
		switch {
		case from != "":
			c.movedInput(sub, topic, from, known)
		case !known:
			c.add(Change{
				Meaning: MeansNew, Group: sub.Group, Topic: topic,
				What:   fmt.Sprintf("input %s of group %s", topic, sub.Group),
				Effect: fmt.Sprintf("it is read from %s, or on from where this group stopped once; the rows of the group's stores stay", c.begin(topic)),
			})
		}
	}
	for _, topic := range was.Inputs {
		if t := c.after.topic(topic); !slices.Contains(sub.Inputs, topic) && (t == nil || t.ReadBy == nil) {
			c.add(Change{
				Meaning: MeansNothing, Group: sub.Group, Topic: topic,
				What:   fmt.Sprintf("input %s is gone from group %s", topic, sub.Group),
				Effect: "it is not read any more; what came of it stays",
			})
		}
	}
}

// formerReader returns a group that stopped reading a topic which sub now begins to read, "" if there is none.
func (c *comparison) formerReader(sub *SubTopology, topic string) string {
	t := c.before.topic(topic)
	if t == nil || slices.Contains(t.ReadBy, sub.Group) {
		return ""
	}
	for _, group := range t.ReadBy {
		if !c.after.reads(group, topic) {
			return group
		}
	}
	return ""
}

// movedInput adds the change of an input that another group reads now. Its position does not move with it: offsets
// belong to a group. If known, the group has a position of its own from an earlier time.
func (c *comparison) movedInput(sub *SubTopology, topic, from string, known bool) {
	reads := "the new group has no position in it and reads it from " + c.begin(topic)
	switch t := c.before.topic(topic); {
	case known:
		reads = "the group reads on from where it stopped once"
	case t.Kind == RepartitionTopic:
		reads = "the new group has no position in it and reads all that is left in it"
	}
	c.add(Change{
		Meaning: MeansMoved, Group: sub.Group, Topic: topic,
		What:   fmt.Sprintf("input %s is read by group %s instead of %s", topic, sub.Group, from),
		Effect: reads + ": what was made of these records is made a second time", Remedy: c.keep(sub, from),
	})
}

// begin says where a group without a position begins to read a topic.
func (c *comparison) begin(topic string) string {
	start := ""
	for _, sub := range c.after.SubTopologies {
		for _, n := range sub.Nodes {
			if n.Role == RoleSource && n.Topic == topic {
				start = n.Start
			}
		}
	}
	switch start {
	case "":
		return "its first record"
	case "latest":
		return "behind its last record"
	case "committed":
		return "the offsets that somebody must set"
	default:
		return "the records of the " + start
	}
}

// keep returns the remedy for something that left its group: how it can stay there.
func (c *comparison) keep(sub *SubTopology, group string) string {
	switch {
	case c.after.group(group) != nil:
		return fmt.Sprintf("leave it in group %s", group)
	case c.before.group(sub.Group) != nil:
		return fmt.Sprintf("keep group %s apart", group)
	default:
		name := strings.TrimPrefix(group, c.before.Application+"-")
		return fmt.Sprintf("keep the name with topology.InSubTopology(%q)", name)
	}
}

// newGroup compares a group that the version before did not have.
func (c *comparison) newGroup(sub *SubTopology) {
	if was := find(c.before.Retired.Groups, func(was *SubTopology) bool { return was.Group == sub.Group }); was != nil {
		c.add(Change{
			Meaning: MeansNew, Group: sub.Group, What: fmt.Sprintf("group %s is back", sub.Group),
			Effect: "it goes on where it stopped, with the state that it had then",
			Remedy: fmt.Sprintf("to begin anew, delete %s before it starts", leftBy(sub)),
		})
		then := *was
		then.Nodes = sub.Nodes // the nodes of retired groups are not stored, and mean nothing
		c.sameGroup(&then, sub)
		return
	}
	var begins []string
	for _, topic := range sub.Inputs {
		begins = append(begins, fmt.Sprintf("%s from %s", topic, c.begin(topic)))
	}
	c.add(Change{
		Meaning: MeansNew, Group: sub.Group, What: fmt.Sprintf("group %s", sub.Group),
		Effect: "it reads " + strings.Join(begins, ", "),
	})
	for _, topic := range sub.Inputs {
		if from := c.formerReader(sub, topic); from != "" {
			c.movedInput(sub, topic, from, false)
		}
	}
	for i := range sub.Stores {
		c.newStore(sub, &sub.Stores[i])
	}
}

// goneGroup adds the change of a group that the new version does not have.
func (c *comparison) goneGroup(was *SubTopology) {
	stays := "its offsets and its changelog stay"
	if len(was.Stores) > 0 {
		var stores []string
		for _, s := range was.Stores {
			stores = append(stores, s.Name)
		}
		stays = fmt.Sprintf("its offsets and its changelog, with %s, stay", strings.Join(stores, ", "))
	}
	c.add(Change{
		Meaning: MeansOrphan, Group: was.Group, Topic: was.Changelog, What: fmt.Sprintf("group %s is gone", was.Group),
		Effect: stays,
		Remedy: fmt.Sprintf("when no older version will run again, delete %s", leftBy(was)),
	})
}

// leftBy names all that belongs to a group, with the commands that delete it.
func leftBy(sub *SubTopology) string {
	return fmt.Sprintf("the consumer group %s (kafka-consumer-groups --delete --group %[1]s), topic %s (kafka-topics --delete --topic %[2]s) "+
		"and the folder %[1]s in the state directories", sub.Group, sub.Changelog)
}

// repartitions compares the repartition topics.
func (c *comparison) repartitions() {
	for _, topic := range c.after.Topics {
		was := c.before.topic(topic.Name)
		if was == nil || topic.Kind != RepartitionTopic || was.Kind != RepartitionTopic || was.Partitions == topic.Partitions {
			continue
		}
		what := fmt.Sprintf("repartition topic %s with %s instead of %s", topic.Name, partitionsText(topic.Partitions), partitionsText(was.Partitions))
		if was.Partitions == 0 || topic.Partitions == 0 {
			c.add(Change{
				Meaning: MeansNothing, Topic: topic.Name, What: what,
				Effect: "nothing as long as that is how many it has; the application refuses to start if it is not",
			})
			continue
		}
		c.add(Change{
			Meaning: MeansRebuild, Topic: topic.Name, Group: strings.Join(topic.ReadBy, ", "), What: what,
			Effect: "keys would come to other partitions than those that have their state",
			Remedy: "give the repartition and the stores behind it other names, or leave the number",
		})
	}
	for _, was := range c.before.Topics {
		if was.Kind == RepartitionTopic && c.after.topic(was.Name) == nil {
			c.add(Change{
				Meaning: MeansOrphan, Topic: was.Name, What: fmt.Sprintf("repartition topic %s is gone", was.Name),
				Effect: "nobody writes or reads it any more; records that were not read yet are not processed",
				Remedy: fmt.Sprintf("when no older version will run again, delete it (kafka-topics --delete --topic %s)", was.Name),
			})
		}
	}
}

func partitionsText(n int32) string {
	switch n {
	case 0:
		return "as many partitions as its sources"
	case 1:
		return "1 partition"
	default:
		return fmt.Sprintf("%d partitions", n)
	}
}

// outputs compares the external topics that a group writes to.
func (c *comparison) outputs(was, sub *SubTopology) {
	external := func(d *Topology, topic string) bool { return d.topic(topic).Kind == ExternalTopic }
	for _, topic := range sub.Outputs {
		if external(c.after, topic) && !slices.Contains(was.Outputs, topic) {
			c.add(Change{
				Meaning: MeansNothing, Group: sub.Group, Topic: topic, What: fmt.Sprintf("output %s of group %s", topic, sub.Group),
				Effect: "it gets what is processed from now on",
			})
		}
	}
	for _, topic := range was.Outputs {
		if t := c.before.topic(topic); t != nil && t.Kind == ExternalTopic && !slices.Contains(sub.Outputs, topic) {
			c.add(Change{
				Meaning: MeansNothing, Group: sub.Group, Topic: topic, What: fmt.Sprintf("output %s is gone from group %s", topic, sub.Group),
				Effect: "nothing more is written to it",
			})
		}
	}
}

// operators compares the operators that have no state.
func (c *comparison) operators(was, sub *SubTopology) {
	old, now := processorsOf(was), processorsOf(sub)
	var words []string
	for _, n := range sub.Nodes {
		if label, ok := now[n.Name]; ok && old[n.Name] != label {
			words = append(words, "+ "+label)
		}
	}
	for _, n := range was.Nodes {
		if label, ok := old[n.Name]; ok && now[n.Name] != label {
			words = append(words, "- "+label)
		}
	}
	if len(words) == 0 && rewired(was, sub) {
		words = append(words, "they are connected in another way")
	}
	if len(words) > 0 {
		c.add(Change{
			Meaning: MeansNothing, Group: sub.Group, What: fmt.Sprintf("operators without state of group %s", sub.Group),
			Effect: strings.Join(words, ", "),
		})
	}
}

// processorsOf returns the labels of the operators that have neither state nor topic, by name.
func processorsOf(sub *SubTopology) map[string]string {
	all := make(map[string]string)
	for _, n := range sub.Nodes {
		if n.Role == RoleProcessor && !slices.ContainsFunc(sub.Stores, func(s Store) bool { return s.Operator == n.Name }) {
			all[n.Name] = fmt.Sprintf("%s %q", n.Kind, n.Name)
		}
	}
	return all
}

// rewired reports whether a node of both versions has other parents now.
func rewired(was, sub *SubTopology) bool {
	parents := make(map[string][]string)
	for _, n := range was.Nodes {
		parents[n.Name] = n.Parents
	}
	return slices.ContainsFunc(sub.Nodes, func(n Node) bool {
		old, ok := parents[n.Name]
		return ok && !slices.Equal(old, n.Parents)
	})
}
