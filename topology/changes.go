package topology

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Meaning is what a change of a topology means for the state that an earlier version of the application left.
type Meaning uint8

// The meanings of changes. Those from MeansMoved on lose or spoil something, and whoever deploys them must say that it is meant.
const (
	// MeansNothing: the new version goes on as the old one would have.
	MeansNothing Meaning = iota + 1
	// MeansExpiry: rows are kept for a shorter time, and those that are older now expire.
	MeansExpiry
	// MeansNew: there is something new beside what there was, and it begins empty.
	MeansNew
	// MeansOrphan: something is not used any more and stays on the cluster until it is deleted.
	MeansOrphan
	// MeansMoved: state or positions stay behind under another name, and the new version begins again without them.
	MeansMoved
	// MeansRebuild: the new version cannot go on with the rows that there are; they have to be built anew.
	MeansRebuild
)

// String returns the meaning in one word.
func (m Meaning) String() string {
	switch m {
	case MeansNothing:
		return "nothing"
	case MeansExpiry:
		return "expiry"
	case MeansNew:
		return "new"
	case MeansOrphan:
		return "orphan"
	case MeansMoved:
		return "moved"
	case MeansRebuild:
		return "rebuild"
	default:
		return fmt.Sprintf("meaning %d", uint8(m))
	}
}

// MarshalText returns the word, for JSON.
func (m Meaning) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// Refused reports whether a deployment with such a change is refused unless it is accepted.
func (m Meaning) Refused() bool { return m >= MeansMoved }

// Change is one difference between two topologies.
type Change struct {
	Meaning Meaning `json:"meaning"`
	// Group, Store and Topic say what changed, as far as they apply.
	Group string `json:"group,omitempty"`
	Store string `json:"store,omitempty"`
	Topic string `json:"topic,omitempty"`
	// Final says that accepting the change would not help: the state cannot be worked with.
	Final bool `json:"final,omitempty"`
	// What names the thing and the difference, Effect says what comes of it, Remedy what can be done.
	What   string `json:"what"`
	Effect string `json:"effect"`
	Remedy string `json:"remedy,omitempty"`
}

// String returns the change as one line.
func (c Change) String() string {
	text := fmt.Sprintf("%v: %s: %s", c.Meaning, c.What, c.Effect)
	if c.Remedy != "" {
		text += "; " + c.Remedy
	}
	return text
}

// Changes are the differences between two topologies, in the order of the new one, then of the old one.
type Changes []Change

// String returns a line for each change, or says that there is none.
func (c Changes) String() string {
	if len(c) == 0 {
		return "no change\n"
	}
	var out strings.Builder
	for _, change := range c {
		fmt.Fprintln(&out, change)
	}
	return out.String()
}

// Refused returns those that must be accepted.
func (c Changes) Refused() Changes {
	return slices.DeleteFunc(slices.Clone(c), func(change Change) bool { return !change.Meaning.Refused() })
}

// Final returns those that cannot even be accepted.
func (c Changes) Final() Changes {
	return slices.DeleteFunc(slices.Clone(c), func(change Change) bool { return !change.Final })
}

// Fingerprint identifies the changes that must be accepted, so that an acceptance is one of exactly these: what else changes
// does not matter. "" if there are none. Twelve hexadecimal digits.
func (c Changes) Fingerprint() string {
	var facts []string
	for _, change := range c.Refused() {
		change.Effect, change.Remedy = "", "" // words that a later version may choose better
		fact, err := json.Marshal(change)
		if err != nil {
			panic(fmt.Sprintf("topology: change cannot be encoded: %v", err)) // texts only
		}
		facts = append(facts, string(fact))
	}
	if len(facts) == 0 {
		return ""
	}
	return digest(facts)
}
