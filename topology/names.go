package topology

import (
	"errors"
	"fmt"
	"regexp"

	"github.com/seed84377926/millrace/state"
)

// checkName returns an error unless name can be the name of an operator. The rules are the same as for names of stores.
func checkName(name string) error {
	if name == "" {
		return errors.New("name is empty; choose one, it becomes part of the names of topics and stores")
	}
	if state.ValidateStoreName(name) != nil {
		return fmt.Errorf("name %q is not allowed: want lower-case letters, digits and hyphens, the first one no hyphen", name)
	}
	return nil
}

const maxTopicName = 249

// checkTopic returns an error unless Kafka allows name as the name of a topic.
func checkTopic(name string) error {
	switch {
	case name == "":
		return errors.New("the topic is empty")
	case len(name) > maxTopicName:
		return fmt.Errorf("topic name %q has %d characters; Kafka allows %d", name, len(name), maxTopicName)
	case name == ".", name == "..", !regexp.MustCompile(`^[a-zA-Z0-9._-]+$`).MatchString(name):
		return fmt.Errorf("topic name %q is not allowed: Kafka wants letters, digits, '.', '_' and '-'", name)
	}
	return nil
}
