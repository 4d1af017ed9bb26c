package broker

import (
	"context"
	"fmt"
)

// TopicNames returns the names of all topics of the cluster that the client may describe, Kafka's own left out. Sorted.
func (c *Client) TopicNames(ctx context.Context) ([]string, error) {
	topics, err := c.admin.ListTopics(ctx)
	if err != nil {
		return nil, fmt.Errorf("names of topics: %w", err)
	}
	return topics.Names(), nil
}
