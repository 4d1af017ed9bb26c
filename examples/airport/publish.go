package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/processors"
)

// tablesTime is the timestamp of all rows of the reference tables. It is before any flight: a task merges its inputs by
// timestamp, so the airlines are loaded before the first departure.
const tablesTime = 0

// publishTables creates the topics of the airport and writes the reference tables. It may be repeated: only the last
// row of each key counts, and that row stays the same.
func publishTables(ctx context.Context, brokers []string, logger *slog.Logger) error {
	topics := []processors.Topic{{Name: eventsTopic, Kind: processors.EventLog, Partitions: partitions}}
	for _, table := range []string{airlinesTopic, airportsTopic, planesTopic, weatherTopic} {
		topics = append(topics, processors.Topic{Name: table, Kind: processors.TableTopic, Partitions: partitions})
	}
	if err := (processors.Config{Brokers: brokers, Logger: logger}).EnsureTopics(ctx, topics...); err != nil {
		return err
	}
	producer, err := kgo.NewClient(kgo.SeedBrokers(brokers...))
	if err != nil {
		return fmt.Errorf("open producer of tables: %w", err)
	}
	defer producer.Close()
	p := publisher{ctx: ctx, producer: producer}
	publish(&p, airlinesTopic, readAirlines, func(a Airline) string { return a.Carrier })
	publish(&p, airportsTopic, readAirports, func(a Airport) string { return a.Code })
	publish(&p, planesTopic, readPlanes, func(a Plane) string { return a.TailNumber })
	publish(&p, weatherTopic, readWeather, func(w Weather) string { return weatherKey(w.Origin, w.Hour) })
	return p.err
}

// publisher keeps the first error.
type publisher struct {
	ctx      context.Context //nolint:containedctx // lives as long as one call
	producer *kgo.Client
	err      error
}

// publish writes one table and returns when the brokers have all rows.
func publish[V any](p *publisher, topic string, read func() ([]V, error), key func(V) string) {
	if p.err != nil {
		return
	}
	rows, err := read()
	if err != nil {
		p.err = err
		return
	}
	records := make([]*kgo.Record, len(rows))
	for i, row := range rows {
		value, err := codecs.JSON[V]().Append(nil, row)
		if err != nil {
			p.err = fmt.Errorf("encode row %s of topic %s: %w", key(row), topic, err)
			return
		}
		records[i] = &kgo.Record{Topic: topic, Key: []byte(key(row)), Value: value, Timestamp: time.UnixMilli(tablesTime)}
	}
	if err := p.producer.ProduceSync(p.ctx, records...).FirstErr(); err != nil {
		p.err = fmt.Errorf("fill topic %s: %w", topic, err)
	}
}
