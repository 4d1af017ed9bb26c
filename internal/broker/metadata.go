package broker

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Topics returns all topics of the cluster that the client may describe, without Kafka's internal ones, and their
// numbers of partitions: 0 for a topic that exists but cannot be described at this moment. The answer is never a cached
// one.
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

// ErrTopicMissing is wrapped by errors about topics that do not exist.
var ErrTopicMissing = errors.New("topic does not exist")

// Partitions returns the number of partitions of topic. A missing topic is ErrTopicMissing.
func (c *Client) Partitions(ctx context.Context, topic string) (int32, error) {
	found, err := c.topic(ctx, topic)
	if err != nil {
		return 0, err
	}
	return int32(len(found.Partitions)), nil
}

// TopicID returns the id that the cluster gave topic when it was created; a topic that was deleted and created again
// has another id. A missing topic is ErrTopicMissing.
func (c *Client) TopicID(ctx context.Context, topic string) ([16]byte, error) {
	found, err := c.topic(ctx, topic)
	if err != nil {
		return [16]byte{}, err
	}
	if found.TopicID == [16]byte{} {
		return found.TopicID, fmt.Errorf("broker: topic %q has no id; the cluster is older than Kafka 2.8, upgrade it", topic)
	}
	return found.TopicID, nil
}

// topic returns the metadata of one topic. Since every commit needs it, it may be a few seconds old. That a topic is
// missing is never a cached answer: it may just have been created.
func (c *Client) topic(ctx context.Context, topic string) (kmsg.MetadataResponseTopic, error) {
	found, err := c.cachedTopic(ctx, topic)
	if errors.Is(err, kerr.UnknownTopicOrPartition) {
		var topics map[string]kmsg.MetadataResponseTopic
		topics, err = c.topics(ctx, []string{topic})
		found = topics[topic]
		if err == nil && len(topics) == 0 {
			return found, missing(topic)
		}
	}
	if err != nil {
		return found, fmt.Errorf("broker: asking for topic %q: %w", topic, c.denied(err, "Describe", "it"))
	}
	return found, nil
}

func (c *Client) cachedTopic(ctx context.Context, topic string) (kmsg.MetadataResponseTopic, error) {
	response, err := c.kafka.RequestCachedMetadata(ctx, metadataRequest([]string{topic}), 0)
	if err != nil {
		return kmsg.MetadataResponseTopic{}, err
	}
	if len(response.Topics) != 1 {
		return kmsg.MetadataResponseTopic{}, kerr.UnknownTopicOrPartition
	}
	return response.Topics[0], kerr.ErrorForCode(response.Topics[0].ErrorCode)
}

// topics returns the metadata of those topics of names that exist. Unlike kadm it never answers from a cache, which may
// lack a topic that was created a moment ago.
func (c *Client) topics(ctx context.Context, names []string) (map[string]kmsg.MetadataResponseTopic, error) {
	response, err := metadataRequest(names).RequestWith(ctx, c.kafka)
	if err != nil {
		return nil, err
	}
	topics := make(map[string]kmsg.MetadataResponseTopic, len(names))
	var hidden []string
	for _, topic := range response.Topics {
		err := kerr.ErrorForCode(topic.ErrorCode)
		switch {
		case errors.Is(err, kerr.UnknownTopicOrPartition):
		case IsDenied(err) && topic.Topic != nil:
			hidden = append(hidden, *topic.Topic)
		case err != nil || topic.Topic == nil:
			return nil, fmt.Errorf("%v: %w", names, err)
		default:
			topics[*topic.Topic] = topic
		}
	}
	if len(hidden) > 0 {
		return nil, c.denied(kerr.TopicAuthorizationFailed, "Describe", "topic "+strings.Join(hidden, ", topic "))
	}
	return topics, nil
}

// metadataRequest returns a request for topics that does not create them.
func metadataRequest(names []string) *kmsg.MetadataRequest {
	request := kmsg.NewPtrMetadataRequest()
	request.Topics = []kmsg.MetadataRequestTopic{} // nil would mean all
	for _, name := range names {
		topic := kmsg.NewMetadataRequestTopic()
		topic.Topic = &name
		request.Topics = append(request.Topics, topic)
	}
	return request
}

// TopicUnusable reports whether err means that a topic does not exist or that the client may not use it, rather than a
// failure of the brokers.
func TopicUnusable(err error) bool {
	return errors.Is(err, ErrTopicMissing) || errors.Is(err, kerr.TopicAuthorizationFailed) || errors.Is(err, kerr.InvalidTopicException)
}

func missing(topic string) error {
	return fmt.Errorf("broker: %w: %q; create it or correct the name", ErrTopicMissing, topic)
}

// TopicIDs returns the current ids of those topics that exist. See TopicID.
func (c *Client) TopicIDs(ctx context.Context, topics ...string) (map[string][16]byte, error) {
	found, err := c.topics(ctx, topics)
	if err != nil {
		return nil, fmt.Errorf("broker: asking for the ids of topics: %w", err)
	}
	ids := make(map[string][16]byte, len(found))
	for name, topic := range found {
		ids[name] = topic.TopicID
	}
	return ids, nil
}
