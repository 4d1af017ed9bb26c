//go:build unix

package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// readCommitted reads topics from their beginnings to their ends and returns the committed records by topic and
// partition, in the order of their offsets. It reads up to the high watermarks at the call. If an open transaction
// keeps readers below one of them until ctx ends, it returns an error.
func readCommitted(ctx context.Context, brokers string, topics ...string) (map[string][][]*kgo.Record, error) {
	kafka, err := kgo.NewClient(kgo.SeedBrokers(brokers), kgo.ClientID("crash-check"),
		kgo.ConsumeTopics(topics...), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(), kgo.FetchMaxWait(100*time.Millisecond))
	if err != nil {
		return nil, fmt.Errorf("read %v: %w", topics, err)
	}
	defer kafka.Close()
	admin := kadm.NewClient(kafka)
	starts, err := admin.ListStartOffsets(ctx, topics...)
	if err == nil {
		err = starts.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("starts of %v: %w", topics, err)
	}
	ends, err := admin.ListEndOffsets(ctx, topics...)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("ends of %v: %w", topics, err)
	}
	left := make(map[string]map[int32]int64)
	records := make(map[string][][]*kgo.Record)
	ends.Each(func(o kadm.ListedOffset) {
		if left[o.Topic] == nil {
			left[o.Topic] = make(map[int32]int64)
		}
		for len(records[o.Topic]) <= int(o.Partition) {
			records[o.Topic] = append(records[o.Topic], nil)
		}
		if start, _ := starts.Lookup(o.Topic, o.Partition); start.Offset < o.Offset {
			left[o.Topic][o.Partition] = o.Offset
		}
	})
	if len(records) != len(topics) {
		return nil, fmt.Errorf("read %v: only %d of the topics exist", topics, len(records))
	}
	unread := func() (n int) {
		for _, partitions := range left {
			n += len(partitions)
		}
		return n
	}
	for unread() > 0 {
		fetches := kafka.PollFetches(ctx)
		if ctx.Err() != nil {
			return nil, fmt.Errorf("read to the end: %w; still to be reached: %v", context.Cause(ctx), left)
		}
		if err := fetches.Err0(); err != nil {
			return nil, fmt.Errorf("read %v: %w", topics, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			end := left[r.Topic][r.Partition]
			if r.Offset+1 >= end {
				delete(left[r.Topic], r.Partition)
			}
			if !r.Attrs.IsControl() {
				records[r.Topic][r.Partition] = append(records[r.Topic][r.Partition], r)
			}
		})
	}
	return records, nil
}

// flatten returns the records of all partitions, one partition after the other.
func flatten(byPartition [][]*kgo.Record) []*kgo.Record { return slices.Concat(byPartition...) }
