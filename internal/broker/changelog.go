package broker

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Restore reads a changelog partition from an offset on, record by record, and passes its committed records to apply,
// one fetch at a time. It ends when the position has reached the high watermark that the log had at the call, and
// returns that position. apply owns the records and their slices. After [TakeOver] Restore sees everything that earlier
// owners committed: their commits are below the watermark, and their open transactions were aborted. The tables of
// tasks are restored in bulk instead, see tableReader.
//
// Restore ends when its position reaches the high watermark, not at the last record and not at the last stable offset.
// The last entries of a transactional log are markers, which readers do not get. While another transaction is open, the
// last stable offset may be below committed records (KAFKA-10167).
func Restore(ctx context.Context, client *Client, topic string, partition int32, from int64, apply func([]*kgo.Record) error) (int64, error) {
	fail := func(err error) (int64, error) {
		return 0, fmt.Errorf("restore %s/%d: %w", topic, partition, err)
	}
	end, err := client.EndOffset(ctx, topic, partition)
	if err != nil {
		return fail(err)
	}
	start, err := client.StartOffset(ctx, topic, partition)
	if err != nil {
		return fail(err)
	}
	position := max(from, start)
	if position >= end {
		return position, nil
	}
	reader, err := newPartitionReader(client, topic, partition, position)
	if err != nil {
		return fail(err)
	}
	defer reader.Close()
	for position < end {
		records, next, err := reader.Poll(ctx)
		if err != nil {
			return fail(err)
		}
		if len(records) > 0 {
			if err := apply(records); err != nil {
				return fail(err)
			}
		}
		position = max(position, next)
	}
	return position, nil
}

// partitionReader reads one partition read_committed and counts its position past markers.
type partitionReader struct {
	client *Client
	kafka  *kgo.Client
}

func newPartitionReader(client *Client, topic string, partition int32, from int64) (*partitionReader, error) {
	opts := append(client.Options(),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(), // without them the position would stop before the last marker
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {partition: kgo.NewOffset().At(from)}}),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.FetchMaxWait(fetchMaxWait),
	)
	kafka, err := kgo.NewClient(opts...)
	if err != nil {
		return nil, err
	}
	return &partitionReader{client: client, kafka: kafka}, nil
}

// Poll waits for the next fetch and returns its records without markers and the position after it, markers included.
func (r *partitionReader) Poll(ctx context.Context) (records []*kgo.Record, next int64, err error) {
	fetches := r.kafka.PollFetches(ctx)
	if err := ctx.Err(); err != nil {
		return nil, 0, err
	}
	var failed error
	fetches.EachError(func(_ string, _ int32, err error) { failed = err })
	if failed != nil {
		return nil, 0, r.client.denied(failed, "Read", "this topic")
	}
	fetches.EachPartition(func(p kgo.FetchTopicPartition) {
		if len(p.Records) == 0 {
			return
		}
		next = p.Records[len(p.Records)-1].Offset + 1
		records = withoutControl(p.Records)
	})
	return records, next, nil
}

func (r *partitionReader) Close() { r.kafka.Close() }

// withoutControl removes transaction markers, in place.
func withoutControl(records []*kgo.Record) []*kgo.Record {
	kept := records[:0]
	for _, rec := range records {
		if !rec.Attrs.IsControl() {
			kept = append(kept, rec)
		}
	}
	return kept
}
