package processors

import (
	"github.com/seed84377926/millrace/internal/broker"
	"github.com/seed84377926/millrace/topology"
	"github.com/seed84377926/millrace/topology/engine"
)

// instance is what the groups, tasks and other parts of an App use of it. New and Run fill it in; each field is set
// before the first part that reads it is made, and does not change afterwards.
type instance struct {
	top    *topology.Topology // as it was built; the plans of the groups have it with the topics that match
	cfg    Config
	memory memory
	pauses pauses // by group

	client     *broker.Client
	admission  *admission
	globalRows func(table string) engine.GlobalRows

	fail          func(error) // ends Run with the error
	taskChanged   func()      // recomputes the state of the App
	lookForTopics func()      // looks at once for topics that match a source
}
