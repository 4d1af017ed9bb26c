//go:build unix

package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// load produces the input and knows how often each key was produced.
type load struct {
	o     options
	topic string
	kafka *kgo.Client
	admin *kadm.Client
	value []byte
	rng   *rand.Rand

	mu struct {
		sync.Mutex
		counts []int64 // by key; acknowledged or not: the run fails if one is not
		total  int64
		err    error
	}
}

func newLoad(ctx context.Context, o options, topic string) (*load, error) {
	kafka, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(o.brokers, ",")...), kgo.MaxBufferedRecords(200_000), kgo.ProducerLinger(5*time.Millisecond))
	if err != nil {
		return nil, err
	}
	l := &load{
		o: o, topic: topic, kafka: kafka, admin: kadm.NewClient(kafka),
		value: bytes.Repeat([]byte("v"), 100), rng: rand.New(rand.NewPCG(1, 1)),
	}
	l.mu.counts = make([]int64, o.keys)
	if _, err := l.admin.CreateTopic(ctx, int32(o.partitions), 1, nil, topic); err != nil {
		kafka.Close()
		return nil, fmt.Errorf("create topic %s: %w", topic, err)
	}
	return l, nil
}

func (l *load) close() { l.kafka.Close() }

func keyName(key int) []byte { return fmt.Appendf(nil, "%08d", key) }

func (l *load) produce(ctx context.Context, key int) {
	l.mu.Lock()
	l.mu.counts[key]++
	l.mu.total++
	l.mu.Unlock()
	l.kafka.Produce(ctx, &kgo.Record{Topic: l.topic, Key: keyName(key), Value: l.value}, func(_ *kgo.Record, err error) {
		if err != nil {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.mu.err = fmt.Errorf("produce to %s: %w", l.topic, err)
		}
	})
}

// all produces every key once.
func (l *load) all(ctx context.Context) error {
	for key := range l.o.keys {
		l.produce(ctx, key)
	}
	return l.flush(ctx)
}

func (l *load) flush(ctx context.Context) error {
	if err := l.kafka.Flush(ctx); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.err
}

// run produces random keys at the rate of the options until ctx ends.
func (l *load) run(ctx context.Context) error {
	const every = 10 * time.Millisecond
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for begun, sent := time.Now(), 0; ; {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return l.flush(context.WithoutCancel(ctx))
		}
		for due := int(time.Since(begun).Seconds() * float64(l.o.rate)); sent < due; sent++ {
			l.produce(context.WithoutCancel(ctx), l.rng.IntN(l.o.keys))
		}
	}
}

func (l *load) produced() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.total
}

// committed returns how many records the group has processed.
func (l *load) committed(ctx context.Context) (n int64, err error) {
	offsets, err := l.admin.FetchOffsets(ctx, l.topic+"-"+storeName)
	if err != nil {
		return 0, err
	}
	offsets.Each(func(o kadm.OffsetResponse) { n += max(0, o.At) })
	return n, nil
}
