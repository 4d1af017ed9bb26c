package describe

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Meaning is what a change of a topology means for the state of the version before.
type Meaning uint8

// The meanings of changes. From MeansMoved on, a change loses or spoils state: it is refused unless the user accepts
// it.
const (
	// MeansNothing: state and positions fit, and the new version goes on with them.
	MeansNothing Meaning = iota + 1
	// MeansExpiry: rows are kept for a shorter time, and older rows expire.
	MeansExpiry
	// MeansNew: something is added and begins empty.
	MeansNew
	// MeansOrphan: something is not used any more and stays on the cluster until it is deleted.
	MeansOrphan
	// MeansMoved: state or positions stay under another name, and the new version begins without them.
	MeansMoved
	// MeansRebuild: the new version cannot go on with the existing rows; they have to be built again.
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
	// Group, Store and Topic say what changed; those that do not apply are empty.
	Group string `json:"group,omitempty"`
	Store string `json:"store,omitempty"`
	Topic string `json:"topic,omitempty"`
	// Final says that the change cannot be accepted: the new version cannot work with the state.
	Final bool `json:"final,omitempty"`
	// What names the thing and the difference, Effect says what follows from it, Remedy says what the user can do.
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

// Changes are the differences between two topologies: first in the order of the new one, then what only the old one
// has.
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

// Refused returns the changes that the user must accept.
func (c Changes) Refused() Changes {
	return slices.DeleteFunc(slices.Clone(c), func(change Change) bool { return !change.Meaning.Refused() })
}

// Final returns the changes that cannot be accepted.
func (c Changes) Final() Changes {
	return slices.DeleteFunc(slices.Clone(c), func(change Change) bool { return !change.Final })
}

// Fingerprint identifies the changes that must be accepted, so that a user accepts exactly these, whatever else
// changes. Twelve hexadecimal digits, or "" if there are no such changes.
func (c Changes) Fingerprint() string {
	var facts []string
	for _, change := range c.Refused() {
		change.Effect, change.Remedy = "", "" // a later version may find better words for them
		fact, err := json.Marshal(change)
		if err != nil {
			panic(fmt.Sprintf("describe: change cannot be encoded: %v", err)) // texts only
		}
		facts = append(facts, string(fact))
	}
	if len(facts) == 0 {
		return ""
	}
	return digest(facts)
}
