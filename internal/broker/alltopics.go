package broker

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Topics returns all topics of the cluster that the client may describe, Kafka's own left out, with their numbers of partitions:
// 0 for one that exists and cannot be described at this moment. The answer is never an old one.
func (c *Client) Topics(ctx context.Context) (map[string]int32, error) {
	request := kmsg.NewPtrMetadataRequest()
	request.Topics = nil // all
	response, err := request.RequestWith(ctx, c.kafka)
	if err != nil {
		return nil, fmt.Errorf("all topics: %w", err)
	}
	topics := make(map[string]int32, len(response.Topics))
	for _, topic := range response.Topics {
		if topic.Topic == nil || topic.IsInternal {
			continue
		}
		topics[*topic.Topic] = 0
		if kerr.ErrorForCode(topic.ErrorCode) == nil {
			topics[*topic.Topic] = int32(len(topic.Partitions))
		}
	}
	return topics, nil
}
