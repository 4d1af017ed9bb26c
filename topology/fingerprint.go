package topology

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// Fingerprint identifies what all instances of the processor group must have in common, so that each may take over what
// another one did: the topics it reads and writes and the stores it keeps, with all their settings. Functions and stateless
// operators are not part of it: a program may change these while its instances are replaced one after the other. Twelve
// hexadecimal digits.
func (s *SubTopology) Fingerprint() string {
	var facts []string
	for _, in := range s.inputs {
		facts = append(facts, fmt.Sprintf("input %q repartition %t\n", in.Topic, in.Repartition))
	}
	for _, topic := range s.outputs {
		facts = append(facts, fmt.Sprintf("output %q\n", topic))
	}
	if s.dynamic {
		facts = append(facts, "output by record\n")
	}
	for _, spec := range s.stores {
		facts = append(facts, fmt.Sprintf("store %+v\n", spec))
	}
	slices.Sort(facts) // the order in the program means nothing
	sum := sha256.Sum256([]byte(strings.Join(facts, "")))
	return hex.EncodeToString(sum[:6])
}
