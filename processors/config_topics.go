package processors

import (
	"context"
	"fmt"

	"github.com/seed84377926/millrace/internal/broker"
)

// TopicKind is the use of a topic, which decides how it must be configured.
type TopicKind uint8

const (
	// EventLog keeps every record for ever (cleanup.policy=delete, retention.ms=-1).
	EventLog TopicKind = iota + 1
	// TableTopic keeps the last record of each key (cleanup.policy=compact).
	TableTopic
	// StreamTopic keeps records for as long as the broker's default.
	StreamTopic
)

// Topic is a topic of the application's own, such as a source or a sink. Run creates internal topics itself.
type Topic struct {
	Name       string
	Kind       TopicKind
	Partitions int32
	// Replication is the replication factor; 0 means the broker's default.
	Replication int16
}

// EnsureTopics creates the topics that are missing and verifies those that exist. If any topic cannot be used as it is,
// the error names all such topics, with the remedy, and nothing is created. EnsureTopics uses only Brokers, Security
// and Logger of the Config.
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
