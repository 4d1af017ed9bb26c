package processors

import (
	"context"
	"fmt"

	"github.com/seed84377926/millrace/internal/broker"
)

// TopicKind says what a topic is for, and so how it must be configured.
type TopicKind uint8

const (
	// EventLog keeps every record for ever (cleanup.policy=delete, retention.ms=-1).
	EventLog TopicKind = iota + 1
	// TableTopic keeps the last record of each key (cleanup.policy=compact).
	TableTopic
	// StreamTopic keeps records as long as the broker's default says.
	StreamTopic
)

// Topic is a topic of the application's own, such as a source or a sink. Internal topics are made by Run.
type Topic struct {
	Name       string
	Kind       TopicKind
	Partitions int32
	// Replication is the replication factor; 0 means the broker's default.
	Replication int16
}

// EnsureTopics creates those of the topics that are missing, and verifies those that exist. If any cannot be used as it
// is, the error names all of them, with the remedy, and nothing is created. Only Brokers, Security and Logger of the
// Config are used.
func (c Config) EnsureTopics(ctx context.Context, topics ...Topic) error {
	kinds := map[TopicKind]broker.TopicKind{EventLog: broker.EventLog, TableTopic: broker.Table, StreamTopic: broker.Stream}
	specs := make([]broker.TopicSpec, len(topics))
	for i, t := range topics {
		kind, ok := kinds[t.Kind]
		if !ok {
			return fmt.Errorf("topic %q: kind %d is not one of EventLog, TableTopic, StreamTopic", t.Name, t.Kind)
		}
		specs[i] = broker.TopicSpec{Name: t.Name, Kind: kind, Partitions: t.Partitions, Replication: t.Replication}
	}
	client, err := broker.Connect(ctx, broker.Config{Brokers: c.Brokers, Security: c.Security, Logger: c.Logger})
	if err != nil {
		return err
	}
	defer client.Close()
	return client.EnsureTopics(ctx, specs...)
}
