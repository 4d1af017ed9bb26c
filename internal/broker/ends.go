package broker

import (
	"context"
	"fmt"

	"github.com/seed84377926/millrace/state"
)

// LogEnd is where the log of a partition ends.
type LogEnd struct {
	Committed     int64 // last stable offset: a read_committed reader gets no further
	HighWatermark int64 // what lies between belongs to transactions that are open
}

// Ends returns the ends of all partitions of the topics, at about one moment. Partitions whose leader does not answer
// are left out; an error says that nothing is known.
func (c *Client) Ends(ctx context.Context, topics ...string) (map[state.TopicPartition]LogEnd, error) {
	committed, err := c.admin.ListCommittedOffsets(ctx, topics...)
	if err != nil {
		return nil, fmt.Errorf("committed ends of %v: %w", topics, c.denied(err, "Describe", "them"))
	}
	// Asked for later, so that it is not below.
	high, err := c.admin.ListEndOffsets(ctx, topics...)
	if err != nil {
		return nil, fmt.Errorf("ends of %v: %w", topics, c.denied(err, "Describe", "them"))
	}
	ends := make(map[state.TopicPartition]LogEnd)
	for topic, partitions := range committed {
		for p, end := range partitions {
			if top, ok := high.Lookup(topic, p); ok && end.Err == nil && top.Err == nil {
				ends[state.TopicPartition{Topic: topic, Partition: p}] = LogEnd{Committed: end.Offset, HighWatermark: top.Offset}
			}
		}
	}
	return ends, nil
}
