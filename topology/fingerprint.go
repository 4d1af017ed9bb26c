package topology

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// Fingerprint identifies what all instances of the processor group must have in common, so that each may take over what
// another one did: the topics it reads, the repartition topics it writes, and the stores it keeps with what their rows are
// and what they are made from. Functions, stateless operators, other outputs and how long rows are kept are not part of it:
// a program may change these while its instances are replaced one after the other. Twelve hexadecimal digits.
func (s *SubTopology) Fingerprint() string { return s.describe(newOrigins()).Fingerprint }

// Fingerprint identifies the topology in the same way: two topologies with the same one have the same groups, and each group
// the same fingerprint. Twelve hexadecimal digits.
func (t *Topology) Fingerprint() string { return t.Description().Fingerprint }

func (d *SubTopologyDescription) fingerprint(inputs []Input, repartitions []string) string {
	var facts []string
	for _, in := range inputs {
		facts = append(facts, fmt.Sprintf("input %q repartition %t partitions %d", in.label(), in.Repartition, in.Partitions))
	}
	for _, topic := range repartitions {
		facts = append(facts, fmt.Sprintf("repartition %q", topic))
	}
	for _, s := range d.Stores {
		facts = append(facts, fmt.Sprintf("store %q %s of %s from %q window %d expires %t",
			s.Name, s.Kind, s.OperatorKind, s.Sources, s.WindowSize, s.TTL != 0))
	}
	return digest(facts)
}

func (d *Description) fingerprint() string {
	facts := []string{fmt.Sprintf("application %q", d.Application)}
	for _, sub := range d.SubTopologies {
		facts = append(facts, fmt.Sprintf("group %q %s", sub.Group, sub.Fingerprint))
	}
	return digest(facts)
}

// digest is a short hash of facts in any order: that of the program means nothing.
func digest(facts []string) string {
	slices.Sort(facts)
	sum := sha256.Sum256([]byte(strings.Join(facts, "\n")))
	return hex.EncodeToString(sum[:6])
}
