package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// ErrUnreachable is wrapped by the error of Connect when no broker answers.
var ErrUnreachable = errors.New("no broker answers")

// ErrTopicMissing is wrapped by errors about topics that do not exist.
var ErrTopicMissing = errors.New("topic does not exist")

// Client is a connection to one Kafka cluster for requests about the cluster:
// topics, offsets, groups. It neither produces nor consumes; the writers and
// readers that do so make clients of their own from Options. Safe for
// concurrent use.
type Client struct {
	config     Config
	protection protection
	kafka      *kgo.Client
	admin      *kadm.Client
	clusterID  string
}

// Connect opens a connection to the cluster of config and proves that it
// works: a broker answers, and one under the address that the cluster itself
// advertises. The caller owns the client and must Close it. If nothing answers,
// the error wraps ErrUnreachable, and if one side does not trust the other,
// ErrUntrusted; it names the addresses, the cause and the remedy.
func Connect(ctx context.Context, config Config) (*Client, error) {
	if err := config.validate(); err != nil {
		return nil, err
	}
	config = config.withDefaults()
	protection, err := config.protect(ctx)
	if err != nil {
		return nil, err
	}
	kafka, err := kgo.NewClient(append(config.options(), protection.options...)...)
	if err != nil {
		return nil, fmt.Errorf("broker: %w", err)
	}
	client := newClient(config, kafka)
	client.protection = protection
	if err := client.handshake(ctx); err != nil {
		client.Close()
		return nil, err
	}
	return client, nil
}

func newClient(config Config, kafka *kgo.Client) *Client {
	return &Client{config: config, kafka: kafka, admin: kadm.NewClient(kafka)}
}

// handshake asks the cluster who it is, first at the given and then at an
// advertised address. The second step exists because a broker that advertises
// an address its clients cannot reach is the most common mistake in a Kafka
// setup, and without it shows only as endless retries much later.
func (c *Client) handshake(ctx context.Context) error {
	if err := c.kafka.Ping(ctx); err != nil {
		remedy, kind := c.config.explain(err)
		if remedy == "" {
			remedy = "start Kafka there, correct the addresses, or start the embedded broker"
		}
		return fmt.Errorf("broker: %w at %s: %w; %s", kind, strings.Join(c.config.Brokers, ", "), err, remedy)
	}
	metadata, err := c.admin.BrokerMetadata(ctx)
	if err != nil {
		return fmt.Errorf("broker: asking %s for the cluster: %w", strings.Join(c.config.Brokers, ", "), err)
	}
	c.clusterID = metadata.Cluster
	var advertised []string
	var failure error
	for _, node := range metadata.Brokers {
		if _, failure = c.kafka.Broker(int(node.NodeID)).Request(ctx, kmsg.NewPtrApiVersionsRequest()); failure == nil {
			return nil
		}
		advertised = append(advertised, fmt.Sprintf("%s:%d", node.Host, node.Port))
	}
	remedy, kind := c.config.explain(failure)
	if remedy == "" {
		remedy = "correct advertised.listeners of the broker"
	}
	return fmt.Errorf("broker: %w: %s answers, but advertises %s, and that cannot be reached from here: %w; %s",
		kind, strings.Join(c.config.Brokers, ", "), strings.Join(advertised, ", "), failure, remedy)
}

// ClusterID returns the identity of the cluster, which transactional ids begin
// with: it stays the same as long as the cluster keeps its data.
func (c *Client) ClusterID() string { return c.clusterID }

// Rack returns where this program runs, "" if nobody said.
func (c *Client) Rack() string { return c.config.Rack }

// Options returns the options for further franz-go clients of the same
// cluster: addresses, client id, logger, dial timeout, security. The slice is
// the caller's, to append to.
func (c *Client) Options() []kgo.Opt { return append(c.config.options(), c.protection.options...) }

// Admin returns the administrative client. It is valid until Close; do not
// close it.
func (c *Client) Admin() *kadm.Client { return c.admin }

// Logger returns the logger of the configuration, never nil.
func (c *Client) Logger() *slog.Logger { return c.config.Logger }

// Close ends the connection and waits for nothing else: requests that are
// under way fail. It may be called more than once.
func (c *Client) Close() { c.kafka.Close() }

// Partitions returns how many partitions topic has. A missing topic is
// ErrTopicMissing.
func (c *Client) Partitions(ctx context.Context, topic string) (int32, error) {
	found, err := c.topic(ctx, topic)
	if err != nil {
		return 0, err
	}
	return int32(len(found.Partitions)), nil
}

// TopicID returns the id that the cluster gave topic when it was created; a
// topic that was deleted and created again has another one. A missing topic is
// ErrTopicMissing.
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

// topic returns the metadata of one topic, which may be a few seconds old: it
// is asked for with every commit. That a topic is missing is never an old
// answer, since it may have just been created.
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

// topics asks for the metadata of those topics of names that exist. Unlike
// kadm it never answers from a cache, which lacks a topic that was created a
// moment ago.
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

// metadataRequest asks for topics without creating them.
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

// TopicUnusable says whether err is about a topic that does not exist or that the client may not use, and not about brokers.
func TopicUnusable(err error) bool {
	return errors.Is(err, ErrTopicMissing) || errors.Is(err, kerr.TopicAuthorizationFailed) || errors.Is(err, kerr.InvalidTopicException)
}

func missing(topic string) error {
	return fmt.Errorf("broker: %w: %q; create it or correct the name", ErrTopicMissing, topic)
}

// Special timestamps of the ListOffsets request.
const (
	latestOffset   = -1
	earliestOffset = -2
)

// Isolation levels of the Fetch and ListOffsets requests: open and aborted
// transactions count, or what is committed only.
const (
	everything    = 0
	committedOnly = 1
)

// EndOffset returns the high watermark of a partition: the offset that the
// next record will get. Records of open transactions lie below it; this is not
// the last stable offset. A missing topic or partition is ErrTopicMissing.
func (c *Client) EndOffset(ctx context.Context, topic string, partition int32) (int64, error) {
	return c.offset(ctx, topic, partition, latestOffset, everything)
}

// StartOffset returns the offset of the first record that a partition still
// holds, or would hold: retention and deletion of records move it. A missing
// topic or partition is ErrTopicMissing.
func (c *Client) StartOffset(ctx context.Context, topic string, partition int32) (int64, error) {
	return c.offset(ctx, topic, partition, earliestOffset, everything)
}

// OffsetAt returns the offset of the first record of a partition that has this timestamp or a later one, and the last stable
// offset if there is none.
func (c *Client) OffsetAt(ctx context.Context, topic string, partition int32, at time.Time) (int64, error) {
	offset, err := c.offset(ctx, topic, partition, max(0, at.UnixMilli()), everything)
	if err == nil && offset < 0 {
		return c.CommittedEnd(ctx, topic, partition)
	}
	return offset, err
}

// offset asks for one offset of one partition. kadm would ask for all
// partitions of the topic, which adds up when every task takes over its own.
func (c *Client) offset(ctx context.Context, topic string, partition int32, timestamp int64, isolation int8) (int64, error) {
	part := kmsg.NewListOffsetsRequestTopicPartition()
	part.Partition, part.Timestamp = partition, timestamp
	requested := kmsg.NewListOffsetsRequestTopic()
	requested.Topic, requested.Partitions = topic, []kmsg.ListOffsetsRequestTopicPartition{part}
	request := kmsg.NewPtrListOffsetsRequest()
	request.ReplicaID, request.IsolationLevel = -1, isolation
	request.Topics = append(request.Topics, requested)

	response, err := request.RequestWith(ctx, c.kafka)
	if err == nil && (len(response.Topics) != 1 || len(response.Topics[0].Partitions) != 1) {
		err = errors.New("the broker answered for other partitions")
	}
	if err == nil {
		err = kerr.ErrorForCode(response.Topics[0].Partitions[0].ErrorCode)
	}
	switch {
	case errors.Is(err, kerr.UnknownTopicOrPartition):
		return 0, c.missingPartition(ctx, topic, partition)
	case err != nil:
		return 0, fmt.Errorf("broker: offset of %s/%d: %w", topic, partition, c.denied(err, "Describe", "topic "+topic))
	}
	return response.Topics[0].Partitions[0].Offset, nil
}

// missingPartition finds out which of the two is missing, the topic or its
// partition, for the sake of the message.
func (c *Client) missingPartition(ctx context.Context, topic string, partition int32) error {
	count, err := c.Partitions(ctx, topic)
	if err != nil {
		return err
	}
	return fmt.Errorf("broker: %w: partition %d of %q, which has %d partitions", ErrTopicMissing, partition, topic, count)
}
