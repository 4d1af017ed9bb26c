//go:build unix

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/state"
)

// The shape of the input.
const (
	eventKeys = 400
	wordCount = 97
	firstTime = int64(1_700_000_000_000) // event time of the first step, ms
	stepTime  = int64(100)               // event time of a step, ms
	lateBy    = int64(5_000)             // how far late records are behind, ms
	stepEvery = 50 * time.Millisecond    // wall time of a step
	stepPause = 2 * time.Millisecond     // between profiles and events
)

// sent is one record of the input.
type sent struct {
	key       string
	timestamp int64
	event     event // of the source topic
	version   int64 // of the profiles topic, 0 for a deletion; of an event: the version its key has then
	partition int32
	offset    int64
}

// input produces records without end, step by step, and keeps them. A step is first some updates of profiles and then,
// when the broker has them, events with later timestamps: so the version an event must be joined with is known, since
// tasks merge their inputs by timestamp.
type input struct {
	kafka  *kgo.Client
	topics topics
	rng    *rand.Rand
	rate   int

	// gate is held during a step: the holder knows that no record is being sent.
	gate sync.Mutex

	mu struct {
		sync.Mutex
		events   [partitions][]sent // in the order of their offsets
		profiles [partitions][]sent
		total    int
	}
	step     int64
	nextID   int64
	versions map[string]int64 // current version of each profile, 0 for none
	updates  map[string]int64 // versions given so far
}

func newInput(brokers string, t topics, seed int64, rate int) (*input, error) {
	// Idempotent: a retry after a lost answer does not add a second record.
	kafka, err := kgo.NewClient(kgo.SeedBrokers(brokers), kgo.ClientID("crash-input"), kgo.ProducerLinger(0))
	if err != nil {
		return nil, fmt.Errorf("input: %w", err)
	}
	return &input{
		kafka: kafka, topics: t, rate: rate, rng: rand.New(rand.NewPCG(uint64(seed), 1)),
		versions: make(map[string]int64), updates: make(map[string]int64),
	}, nil
}

// run produces until ctx ends.
func (in *input) run(ctx context.Context) error {
	for next := time.Now(); ; next = next.Add(stepEvery) {
		if wait(ctx, time.Until(next)) != nil {
			return nil //nolint:nilerr // the end of ctx is the end of the input
		}
		if time.Since(next) > time.Second {
			next = time.Now() // it was held up: go on, do not catch up
		}
		in.gate.Lock()
		// A step is not interrupted: all sent records must be known.
		err := in.produceStep(context.WithoutCancel(ctx))
		in.gate.Unlock()
		if err != nil {
			return fmt.Errorf("input: %w", err)
		}
	}
}

// wait waits for d, at most until ctx ends.
func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (in *input) produceStep(ctx context.Context) error {
	now := firstTime + in.step*stepTime
	in.step++
	changed := make(map[string]bool)
	updates := 1 + in.rng.IntN(4)
	if in.step == 1 {
		updates = eventKeys // most events find a profile from the beginning
	}
	profiles := make([]sent, 0, updates)
	for range updates {
		key := in.randomKey()
		if changed[key] {
			continue
		}
		changed[key] = true
		in.updates[key]++
		in.versions[key] = in.updates[key]
		if in.step > 1 && in.rng.IntN(10) == 0 {
			in.versions[key] = 0
		}
		profiles = append(profiles, sent{key: key, timestamp: now, version: in.versions[key]})
	}
	if err := in.produce(ctx, in.topics.profiles, profiles, &in.mu.profiles); err != nil {
		return err
	}
	if err := wait(ctx, stepPause); err != nil {
		return err
	}

	n := max(1, in.rate*int(stepEvery/time.Millisecond)/1000)
	events := make([]sent, 0, n)
	for i := range n {
		key := in.randomKey()
		s := sent{key: key, timestamp: now + 1 + int64(i)*(stepTime-1)/int64(n), version: in.versions[key]}
		// A late record may be processed before the profiles of its step: only one whose profile did not change.
		if !changed[key] && in.rng.IntN(50) == 0 {
			s.timestamp = max(firstTime, s.timestamp-lateBy)
		}
		in.nextID++
		s.event = event{ID: in.nextID, Word: fmt.Sprintf("w%02d", hash(in.nextID)%wordCount)}
		events = append(events, s)
	}
	return in.produce(ctx, in.topics.events, events, &in.mu.events)
}

func (in *input) randomKey() string { return fmt.Sprintf("k%03d", in.rng.IntN(eventKeys)) }

// produce sends the records, waits until the broker has them and records them.
func (in *input) produce(ctx context.Context, topic string, all []sent, log *[partitions][]sent) error {
	records := make([]*kgo.Record, len(all))
	for i, s := range all {
		r := &kgo.Record{Topic: topic, Key: []byte(s.key), Timestamp: time.UnixMilli(s.timestamp)}
		var err error
		switch {
		case s.event.ID != 0:
			r.Value, err = json.Marshal(s.event)
		case s.version != 0:
			r.Value, err = codecs.Int64.Append(nil, s.version)
		}
		if err != nil {
			return err
		}
		records[i] = r
	}
	if err := in.kafka.ProduceSync(ctx, records...).FirstErr(); err != nil {
		return fmt.Errorf("produce to %s: %w", topic, err)
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	for i, r := range records {
		all[i].partition, all[i].offset = r.Partition, r.Offset
		log[r.Partition] = append(log[r.Partition], all[i])
	}
	in.mu.total += len(all)
	return nil
}

// produced returns how many records the broker has.
func (in *input) produced() int {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.mu.total
}

// offsets returns the offsets after everything produced.
func (in *input) offsets() state.Offsets {
	in.mu.Lock()
	defer in.mu.Unlock()
	offsets := make(state.Offsets)
	for topic, log := range map[string]*[partitions][]sent{in.topics.events: &in.mu.events, in.topics.profiles: &in.mu.profiles} {
		for p, all := range log {
			if len(all) > 0 {
				offsets[state.TopicPartition{Topic: topic, Partition: int32(p)}] = all[len(all)-1].offset + 1
			}
		}
	}
	return offsets
}

func (in *input) close() { in.kafka.Close() }
