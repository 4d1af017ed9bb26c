package describe

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// Identify sets the fingerprints of the topology and of its sub-topologies. A fingerprint has twelve hexadecimal
// digits.
//
// The fingerprint of a sub-topology identifies what all instances of its group must have in common, so that each may
// take over the work of another: the topics that it reads, the repartition topics that it writes, and its stores, with
// the meaning of their rows and the topics that the rows are made from. Functions, stateless operators, other outputs
// and how long rows are kept are not part of it: a program may change these while its instances are replaced one after
// the other.
//
// The fingerprint of the topology identifies its groups and their fingerprints.
func (d *Topology) Identify() {
	facts := []string{fmt.Sprintf("application %q", d.Application)}
	for i := range d.SubTopologies {
		sub := &d.SubTopologies[i]
		sub.Fingerprint = digest(d.factsOf(sub))
		facts = append(facts, fmt.Sprintf("group %q %s", sub.Group, sub.Fingerprint))
	}
	d.Fingerprint = digest(facts)
}

// factsOf returns the facts that the fingerprint of a sub-topology is made of.
func (d *Topology) factsOf(sub *SubTopology) []string {
	var facts []string
	repartition := func(name string) (*Topic, bool) {
		topic := d.topic(name)
		return topic, topic != nil && topic.Kind == RepartitionTopic
	}
	for _, name := range sub.Inputs {
		topic, internal := repartition(name)
		var partitions int32
		if internal {
			partitions = topic.Partitions
		}
		facts = append(facts, fmt.Sprintf("input %q repartition %t partitions %d", name, internal, partitions))
	}
	for _, name := range sub.Outputs {
		if _, internal := repartition(name); internal {
			facts = append(facts, fmt.Sprintf("repartition %q", name))
		}
	}
	for _, s := range sub.Stores {
		fact := fmt.Sprintf("store %q %s of %s from %q window %d expires %t",
			s.Name, s.Kind, s.OperatorKind, s.Sources, s.WindowSize, s.TTL != 0)
		if s.Calendar != "" {
			fact += fmt.Sprintf(" calendar %q", s.Calendar)
		}
		facts = append(facts, fact)
	}
	return facts
}

// digest is a short hash of facts, whatever their order.
func digest(facts []string) string {
	slices.Sort(facts)
	sum := sha256.Sum256([]byte(strings.Join(facts, "\n")))
	return hex.EncodeToString(sum[:6])
}
