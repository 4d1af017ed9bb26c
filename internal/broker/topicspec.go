package broker

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// TopicKind says what a topic is for. Its configuration follows from that.
type TopicKind uint8

// The kinds of topics.
const (
	// EventLog keeps every event for ever, since aggregates are rebuilt from it. Never compacted, no retention.
	EventLog TopicKind = iota + 1

	// Changelog holds the state of a processor group. Compacted; nothing may expire, since a row that is never written
	// again must survive.
	Changelog

	// Repartition carries records between sub-topologies. The runtime deletes the processed records; retention would
	// delete others.
	Repartition

	// Table is an external topic that is read as a table: the last value of each key counts. Compacted.
	Table

	// Stream is any other topic; its owner configures it.
	Stream
)

// String returns the kind in words, for messages.
func (k TopicKind) String() string {
	switch k {
	case EventLog:
		return "event log"
	case Changelog:
		return "changelog"
	case Repartition:
		return "repartition topic"
	case Table:
		return "table"
	case Stream:
		return "stream"
	default:
		return fmt.Sprintf("topic kind %d", uint8(k))
	}
}

// TopicSpec says what a topic must be like.
type TopicSpec struct {
	// Name of the topic. Required.
	Name string

	// Partitions is the number it must have. 0 accepts any number, and a topic that is created gets the broker's
	// default.
	Partitions int32

	// Kind decides the configuration. Required.
	Kind TopicKind

	// Replication is the smallest acceptable replication factor, and the one of a topic that is created. 0 accepts any,
	// and a topic that is created gets the broker's default.
	Replication int16

	// MustExist forbids the creation of the topic, because it belongs to another program.
	MustExist bool

	// OwnTimes says that the records of the topic have times of their own, which the broker must keep whatever they
	// are. It is implied for internal topics.
	OwnTimes bool
}

// configs returns the configuration that a new topic gets. limits are the names of the settings by which the broker
// refuses timestamps. What correctness depends on is stated, whatever the defaults of the cluster are
// (docs/decisions/0018-internal-topics-state-their-settings.md).
func (s TopicSpec) configs(limits []string) map[string]string {
	configs := make(map[string]string)
	switch s.Kind {
	case EventLog, Repartition:
		configs["cleanup.policy"], configs["retention.ms"], configs["retention.bytes"] = "delete", "-1", "-1"
	case Changelog, Table:
		configs["cleanup.policy"] = "compact"
	case Stream: // its owner decides
	}
	if s.Kind == Changelog || s.keepsTimes() {
		configs[timestampType], configs["compression.type"] = ownTimes, "producer"
		for _, limit := range limits {
			configs[limit] = anyTime
		}
	}
	return configs
}

// legalTopicName is Kafka's own rule.
var legalTopicName = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`)

// validate reports what is wrong with the spec itself.
func (s TopicSpec) validate() error {
	switch {
	case !legalTopicName.MatchString(s.Name) || s.Name == "." || s.Name == "..":
		return fmt.Errorf("topic name %q is illegal; use 1 to 249 letters, digits, '.', '_' and '-'", s.Name)
	case s.Kind < EventLog || s.Kind > Stream:
		return fmt.Errorf("topic %q: unknown kind %d; use one of the TopicKind constants", s.Name, s.Kind)
	case s.Partitions < 0:
		return fmt.Errorf("topic %q: %d partitions; give a positive number, or 0 for any", s.Name, s.Partitions)
	case s.Replication < 0:
		return fmt.Errorf("topic %q: replication factor %d; give a positive number, or 0 for any", s.Name, s.Replication)
	}
	return nil
}

// mergeSpecs validates specs and merges specs of the same topic: several parts of a program may each ask for a topic,
// as long as they agree. The result is sorted by name.
func mergeSpecs(specs []TopicSpec) ([]TopicSpec, []error) {
	var problems []error
	byName := make(map[string]TopicSpec, len(specs))
	for _, spec := range specs {
		if err := spec.validate(); err != nil {
			problems = append(problems, err)
			continue
		}
		other, ok := byName[spec.Name]
		if !ok {
			byName[spec.Name] = spec
			continue
		}
		merged, err := mergePair(other, spec)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		byName[spec.Name] = merged
	}
	merged := make([]TopicSpec, 0, len(byName))
	for _, spec := range byName {
		merged = append(merged, spec)
	}
	slices.SortFunc(merged, func(a, b TopicSpec) int { return strings.Compare(a.Name, b.Name) })
	return merged, problems
}

// mergePair merges two specs of one topic.
func mergePair(a, b TopicSpec) (TopicSpec, error) {
	switch {
	case a.Partitions != 0 && b.Partitions != 0 && a.Partitions != b.Partitions:
		return a, fmt.Errorf("topic %q is asked for with %d and with %d partitions; use one number", a.Name, a.Partitions, b.Partitions)
	case a.Kind != b.Kind && a.Kind != Stream && b.Kind != Stream:
		return a, fmt.Errorf("topic %q is asked for as %s and as %s; use two topics", a.Name, a.Kind, b.Kind)
	}
	if a.Kind == Stream {
		a.Kind = b.Kind
	}
	a.Partitions = max(a.Partitions, b.Partitions)
	a.Replication = max(a.Replication, b.Replication)
	a.MustExist = a.MustExist || b.MustExist
	a.OwnTimes = a.OwnTimes || b.OwnTimes
	return a, nil
}

// existingTopic is what a cluster says about one of its topics.
type existingTopic struct {
	name        string
	partitions  int32
	replication int16             // the smallest of any partition
	configs     map[string]string // the ones that matter here
}

// verify reports every difference between an existing topic and the spec, each with its remedy.
func (s TopicSpec) verify(t existingTopic) error {
	var problems []error
	if s.Partitions != 0 && t.partitions != s.Partitions {
		problems = append(problems, fmt.Errorf(
			"topic %q has %d partitions, but %d are wanted; ask for %d, or use a new topic: a change would send keys to other partitions than before",
			s.Name, t.partitions, s.Partitions, t.partitions))
	}
	if t.replication < s.Replication {
		problems = append(problems, fmt.Errorf(
			"topic %q has replication factor %d, but at least %d is wanted; raise it with kafka-reassign-partitions, or ask for %d",
			s.Name, t.replication, s.Replication, t.replication))
	}
	problems = append(problems, s.verifyRetention(t), s.verifyTimes(t))
	return errors.Join(problems...)
}

// verifyRetention checks that neither retention nor compaction deletes what the kind must keep.
func (s TopicSpec) verifyRetention(t existingTopic) error {
	policy := t.configs["cleanup.policy"]
	compacts, deletes := strings.Contains(policy, "compact"), strings.Contains(policy, "delete")
	setting, limited := finiteRetention(t.configs)
	switch s.Kind {
	case EventLog, Repartition:
		if compacts {
			return fmt.Errorf("%s %q is compacted (cleanup.policy=%s), which removes all but the last record of a key; %s",
				s.Kind, s.Name, policy, alter(s.Name, "cleanup.policy=delete"))
		}
		if limited {
			return fmt.Errorf("%s %q has a finite retention (%s), which deletes records that are still needed; %s",
				s.Kind, s.Name, setting, alter(s.Name, "retention.ms=-1,retention.bytes=-1"))
		}
	case Changelog:
		if !compacts || deletes {
			return fmt.Errorf("%s %q has cleanup.policy=%s, which would delete rows of the state or keep every version of them; %s",
				s.Kind, s.Name, policy, alter(s.Name, "cleanup.policy=compact"))
		}
	case Table:
		// A table that is never compacted is only slow to read. A table that loses rows is wrong.
		if deletes && limited {
			return fmt.Errorf("%s %q has cleanup.policy=%s and a finite retention (%s), which deletes rows that are still current; %s",
				s.Kind, s.Name, policy, setting, alter(s.Name, "cleanup.policy=compact"))
		}
	case Stream: // its owner decides
	}
	return nil
}

// finiteRetention returns the first setting that lets records expire.
func finiteRetention(configs map[string]string) (setting string, limited bool) {
	for _, key := range []string{"retention.ms", "retention.bytes"} {
		if value, ok := configs[key]; ok && value != "-1" {
			return key + "=" + value, true
		}
	}
	return "", false
}

// alter returns the remedy for a wrong setting, ready to paste.
func alter(topic, settings string) string {
	return fmt.Sprintf("correct it with kafka-configs --alter --topic %s --add-config %s", topic, settings)
}
