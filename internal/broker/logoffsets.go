package broker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/seed84377926/millrace/state"
)

// LogEnd is where the log of a partition ends.
type LogEnd struct {
	Committed     int64 // last stable offset, where a read_committed reader stops
	HighWatermark int64 // the records between the two belong to open transactions
}

// Ends returns the ends of all partitions of the topics, at about the same moment. Partitions whose leader does not
// answer are left out.
func (c *Client) Ends(ctx context.Context, topics ...string) (map[state.TopicPartition]LogEnd, error) {
	committed, err := c.admin.ListCommittedOffsets(ctx, topics...)
	if err != nil {
		return nil, fmt.Errorf("committed ends of %v: %w", topics, c.denied(err, "Describe", "them"))
	}
	// The high watermarks are asked for later, so that none is below the last stable offset.
	high, err := c.EndOffsets(ctx, topics...)
	if err != nil {
		return nil, err
	}
	ends := make(map[state.TopicPartition]LogEnd)
	for topic, partitions := range committed {
		for p, end := range partitions {
			tp := state.TopicPartition{Topic: topic, Partition: p}
			if top, ok := high[tp]; ok && end.Err == nil {
				ends[tp] = LogEnd{Committed: end.Offset, HighWatermark: top}
			}
		}
	}
	return ends, nil
}

// EndOffsets returns the high watermarks of all partitions of the topics. Partitions whose leader does not answer are
// left out.
func (c *Client) EndOffsets(ctx context.Context, topics ...string) (state.Offsets, error) {
	high, err := c.admin.ListEndOffsets(ctx, topics...)
	if err != nil {
		return nil, fmt.Errorf("ends of %v: %w", topics, c.denied(err, "Describe", "them"))
	}
	ends := make(state.Offsets)
	for topic, partitions := range high {
		for p, end := range partitions {
			if end.Err == nil {
				ends[state.TopicPartition{Topic: topic, Partition: p}] = end.Offset
			}
		}
	}
	return ends, nil
}

// GroupNotes returns the metadata of the committed offsets of a group, none for a group that does not exist. What
// Writer.SetNote added is at the end.
func (c *Client) GroupNotes(ctx context.Context, group string) (map[state.TopicPartition]string, error) {
	notes := make(map[state.TopicPartition]string)
	responses, err := c.admin.FetchOffsets(ctx, group)
	if errors.Is(err, kerr.GroupIDNotFound) {
		return notes, nil
	}
	if err != nil {
		return nil, fmt.Errorf("committed offsets of group %s: %w", group, c.denied(err, "Describe", "this group"))
	}
	for topic, partitions := range responses {
		for p, r := range partitions {
			if r.Err == nil && r.At >= 0 {
				notes[state.TopicPartition{Topic: topic, Partition: p}] = r.Metadata
			}
		}
	}
	return notes, nil
}

// Special timestamps of the ListOffsets request.
const (
	latestOffset   = -1
	earliestOffset = -2
)

// Isolation levels of the Fetch and ListOffsets requests: with or without open and aborted transactions.
const (
	everything    = 0
	committedOnly = 1
)

// EndOffset returns the high watermark of a partition: the offset of the next record. Records of open transactions lie
// below it; it is not the last stable offset. A missing topic or partition is ErrTopicMissing.
func (c *Client) EndOffset(ctx context.Context, topic string, partition int32) (int64, error) {
	return c.offset(ctx, topic, partition, latestOffset, everything)
}

// StartOffset returns the offset at which the log of a partition begins; retention and deletion of records move it. A
// missing topic or partition is ErrTopicMissing.
func (c *Client) StartOffset(ctx context.Context, topic string, partition int32) (int64, error) {
	return c.offset(ctx, topic, partition, earliestOffset, everything)
}

// OffsetAt returns the offset of the first record of a partition with this timestamp or a later one, or the last stable
// offset if there is none.
func (c *Client) OffsetAt(ctx context.Context, topic string, partition int32, at time.Time) (int64, error) {
	offset, err := c.offset(ctx, topic, partition, max(0, at.UnixMilli()), everything)
	if err == nil && offset < 0 {
		return c.CommittedEnd(ctx, topic, partition)
	}
	return offset, err
}

// offset returns one offset of one partition. kadm would ask for all partitions of the topic, which adds up when every
// task takes over its own.
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

// missingPartition returns an error that says whether the topic or only the partition is missing.
func (c *Client) missingPartition(ctx context.Context, topic string, partition int32) error {
	count, err := c.Partitions(ctx, topic)
	if err != nil {
		return err
	}
	return fmt.Errorf("broker: %w: partition %d of %q, which has %d partitions", ErrTopicMissing, partition, topic, count)
}

// CommittedEnd returns the last stable offset of a partition, where a read_committed reader stops.
func (c *Client) CommittedEnd(ctx context.Context, topic string, partition int32) (int64, error) {
	end, err := c.offset(ctx, topic, partition, latestOffset, committedOnly)
	if err != nil {
		return 0, fmt.Errorf("committed end of %s/%d: %w", topic, partition, err)
	}
	return end, nil
}
