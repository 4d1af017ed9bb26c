//go:build linux

package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed84377926/millrace/state"
)

// keyOf returns the key of record i: each key once, in a scattered order, then random ones. Every run has the same
// records.
func (o options) keyOf(i int) uint32 {
	if i < o.keys {
		return uint32((uint64(i)*2_654_435_761 + 17) % uint64(o.keys)) // a prime: all keys come up if keys is no multiple of it
	}
	x := uint64(i) * 0x9e3779b97f4a7c15
	x ^= x >> 29
	x *= 0xbf58476d1ce4e5b9
	return uint32((x ^ x>>32) % uint64(o.keys))
}

func (o options) records() int { return o.keys + o.updates }

// produce writes the records from one to another as fast as the brokers take them.
func produce(ctx context.Context, o options, topic string, from, to int) error {
	kafka, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(o.brokers, ",")...),
		kgo.MaxBufferedRecords(20_000), kgo.ProducerBatchCompression(kgo.NoCompression()))
	if err != nil {
		return err
	}
	defer kafka.Close()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	random := rand.NewChaCha8([32]byte{1})
	for i := from; i < to && ctx.Err() == nil; i++ {
		data := make([]byte, 8+valueSize-counterSize)
		binary.BigEndian.PutUint64(data, uint64(o.keyOf(i)))
		_, _ = random.Read(data[8:]) // cannot fail
		kafka.Produce(ctx, &kgo.Record{Topic: topic, Key: data[:8:8], Value: data[8:]}, func(_ *kgo.Record, err error) {
			if err != nil {
				cancel(fmt.Errorf("produce: %w", err))
			}
		})
	}
	if err := kafka.Flush(ctx); err != nil {
		return context.Cause(ctx)
	}
	return context.Cause(ctx)
}

// check reads the table, read_committed, and counts the keys whose counter differs from the number of produced records.
func check(ctx context.Context, o options, topic string, tell func(read int64)) (wrong int, err error) {
	want := make([]uint8, o.keys)
	for i := range o.records() {
		want[o.keyOf(i)]++
	}
	got := make([]uint8, o.keys)
	table := topic + "-" + storeName + "-table"
	kafka, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(o.brokers, ",")...), kgo.ConsumeTopics(table),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return 0, err
	}
	defer kafka.Close()
	ends, err := kadm.NewClient(kafka).ListEndOffsets(ctx, table)
	if err != nil {
		return 0, err
	}
	left := make(map[int32]int64)
	ends.Each(func(end kadm.ListedOffset) {
		if end.Offset > 0 {
			left[end.Partition] = end.Offset
		}
	})
	var read int64
	for len(left) > 0 {
		fetches := kafka.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			return 0, err
		}
		fetches.EachRecord(func(r *kgo.Record) {
			read++
			if r.Offset+1 >= left[r.Partition] {
				delete(left, r.Partition)
			}
			store, key, ok := state.SplitRowKey(r.Key)
			if r.Attrs.IsControl() || !ok || store != storeName || len(key) != 8 {
				return
			}
			_, value, splitErr := state.SplitRowValue(r.Value)
			if k := binary.BigEndian.Uint64(key); k < uint64(len(got)) && splitErr == nil && len(value) == valueSize {
				got[k] = uint8(binary.BigEndian.Uint32(value))
			} else {
				wrong++
			}
		})
		tell(read)
	}
	for k := range want {
		if want[k] != got[k] {
			wrong++
		}
	}
	return wrong, nil
}

// committed returns how many input records the group has committed.
func committed(ctx context.Context, admin *kadm.Client, topic string) (n int64, err error) {
	offsets, err := admin.FetchOffsets(ctx, topic+"-"+storeName)
	if err != nil {
		return 0, err
	}
	offsets.Each(func(o kadm.OffsetResponse) { n += o.At })
	return n, nil
}
