//go:build unix

package main

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/state"
)

// commits follows the group's table like any reader and records when the commits of each task become visible.
type commits struct {
	kafka *kgo.Client
	topic string

	mu struct {
		sync.Mutex
		seen [][]time.Time // by partition
	}
}

func followCommits(o options, topic string) (*commits, error) {
	c := &commits{topic: topic}
	c.mu.seen = make([][]time.Time, o.partitions)
	var err error
	c.kafka, err = kgo.NewClient(
		kgo.SeedBrokers(strings.Split(o.brokers, ",")...), kgo.ConsumeTopics(topic),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtEnd()), kgo.FetchMaxWait(50*time.Millisecond),
	)
	return c, err
}

// run follows until ctx ends.
func (c *commits) run(ctx context.Context) error {
	defer c.kafka.Close()
	for {
		fetches := c.kafka.PollFetches(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err := fetches.Err0(); err != nil {
			return fmt.Errorf("read %s: %w", c.topic, err)
		}
		now := time.Now()
		c.mu.Lock()
		fetches.EachRecord(func(r *kgo.Record) {
			if string(r.Key) == state.PositionKey {
				c.mu.seen[r.Partition] = append(c.mu.seen[r.Partition], now)
			}
		})
		c.mu.Unlock()
	}
}

// gap returns the longest time between two commits of a partition, of which the later one came after from. The time
// since the last commit counts.
func (c *commits) gap(partition int, from time.Time) (longest time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var last time.Time
	for _, at := range append(c.mu.seen[partition], time.Now()) {
		if !last.IsZero() && at.After(from) {
			longest = max(longest, at.Sub(last))
		}
		last = at
	}
	return longest
}

// after returns how long after a moment the first commit of a partition came.
func (c *commits) after(partition int, moment time.Time) (time.Duration, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, at := range c.mu.seen[partition] {
		if at.After(moment) {
			return at.Sub(moment), true
		}
	}
	return 0, false
}

// readCounts returns the last committed count of each key.
func readCounts(ctx context.Context, o options, topic string) (map[string]int64, error) {
	kafka, err := kgo.NewClient(
		kgo.SeedBrokers(strings.Split(o.brokers, ",")...), kgo.ConsumeTopics(topic), kgo.KeepControlRecords(),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
	)
	if err != nil {
		return nil, err
	}
	defer kafka.Close()
	ends, err := endsOf(ctx, kafka, topic)
	if err != nil {
		return nil, err
	}
	counts := make(map[string]int64, o.keys)
	for len(ends) > 0 {
		fetches := kafka.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return nil, fmt.Errorf("read %s: %w", topic, err)
		}
		var bad error
		fetches.EachRecord(func(r *kgo.Record) {
			if r.Offset >= ends[r.Partition]-1 {
				delete(ends, r.Partition)
			}
			store, key, ok := state.SplitRowKey(r.Key)
			if r.Attrs.IsControl() || !ok || store != storeName {
				return
			}
			_, value, err := state.SplitRowValue(r.Value)
			if err == nil {
				counts[string(key)], err = codecs.Int64.Decode(value)
			}
			if err != nil {
				bad = fmt.Errorf("row at %s/%d offset %d: %w", topic, r.Partition, r.Offset, err)
			}
		})
		if bad != nil {
			return nil, bad
		}
	}
	return counts, nil
}

// endsOf returns the ends of the partitions of a topic.
func endsOf(ctx context.Context, kafka *kgo.Client, topic string) (map[int32]int64, error) {
	listed, err := kadm.NewClient(kafka).ListEndOffsets(ctx, topic)
	if err == nil {
		err = listed.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("ends of %s: %w", topic, err)
	}
	ends := make(map[int32]int64)
	listed.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			ends[o.Partition] = o.Offset
		}
	})
	return ends, nil
}
