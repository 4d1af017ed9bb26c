package edge

import (
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed84377926/millrace/aggregates"
)

// eventRecord returns an event as a CloudEvent in binary mode. The time of the CloudEvent is the time that fact has, or
// now if fact has none.
func (o *owner) eventRecord(p *pending, fact aggregates.Fact, event eventReply, now int64) *kgo.Record {
	timestamp := fact.Time
	if timestamp == aggregates.NoTime {
		timestamp = now
	}
	at := time.UnixMilli(timestamp).UTC()
	header := func(key, value string) kgo.RecordHeader { return kgo.RecordHeader{Key: key, Value: []byte(value)} }
	return &kgo.Record{
		Topic: o.topic, Partition: o.partition, Key: []byte(p.id), Value: fact.Data, Timestamp: at,
		Headers: []kgo.RecordHeader{
			header("ce_specversion", "1.0"),
			header("ce_id", event.ID),
			header("ce_type", fact.Type),
			header("ce_source", o.source),
			header("ce_subject", p.id),
			header("ce_time", at.Format(time.RFC3339Nano)),
			header("ce_commandid", p.commandID),
			header("ce_traceparent", string(p.about.trace)),
			header("content-type", jsonType),
			header("millrace-version", fmt.Sprint(event.Version)),
		},
	}
}
