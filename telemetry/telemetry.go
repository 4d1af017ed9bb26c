// Package telemetry traces applications of package processors with OpenTelemetry:
//
//	processors.Config{Tracer: telemetry.NewTracer(provider)}
//
// It is a module of its own: a program that does not import it inherits nothing of OpenTelemetry.
//
// # Records
//
// A record whose traceparent header (W3C Trace Context) names a sampled trace gets a span for its processing, a child
// of the span that produced it. All records derived from it carry the context of that span, through repartition topics
// to the last sink, so that one trace shows the whole way. Records without such a header, or of traces that are not
// sampled, get no span and keep their headers: the producer decides how much is traced. Baggage and all other headers
// travel on unchanged.
//
// # Tasks
//
// Takeovers, restores and transactions are traces of their own. A transaction holds a span for each unit of records and
// a span for its commit. The sampler of the provider decides how many of them are kept; at ten commits per second and
// task, sample by ratio. The span of a record links to the span of its unit.
package telemetry

import (
	"context"
	"slices"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/seed84377926/millrace/processors"
	"github.com/seed84377926/millrace/topology/engine"
)

// scope names the library that makes the spans.
const scope = "github.com/seed84377926/millrace/telemetry"

// NewTracer returns a tracer for processors.Config that creates its spans with provider. The caller owns the provider
// with its sampler and exporters, and shuts it down after the application has ended. The tracer is safe for concurrent
// use.
func NewTracer(provider trace.TracerProvider) processors.Tracer {
	return &tracer{spans: provider.Tracer(scope)}
}

type tracer struct {
	spans      trace.Tracer
	propagator propagation.TraceContext
}

// Start implements processors.Tracer.
func (t *tracer) Start(op processors.Operation, parent processors.Span) processors.Span {
	ctx := context.Background()
	if p, ok := parent.(span); ok {
		ctx = trace.ContextWithSpan(ctx, p.span)
	}
	_, s := t.spans.Start(ctx, string(op.Kind)+" "+op.Group,
		trace.WithAttributes(
			attribute.String("messaging.consumer.group.name", op.Group),
			attribute.Int("messaging.destination.partition.id", int(op.Partition)),
		))
	return span{s}
}

// StartRecord implements processors.Tracer.
func (t *tracer) StartRecord(rec processors.TracedRecord, unit processors.Span) (processors.Span, []engine.Header) {
	if !slices.ContainsFunc(rec.Headers, isParent) {
		return nil, nil
	}
	ctx := t.propagator.Extract(context.Background(), carrier{headers: &rec.Headers})
	if !trace.SpanContextFromContext(ctx).IsSampled() {
		return nil, nil
	}
	options := []trace.SpanStartOption{
		trace.WithSpanKind(trace.SpanKindConsumer),
		// The names are OpenTelemetry's conventions for messaging.
		trace.WithAttributes(
			attribute.String("messaging.system", "kafka"),
			attribute.String("messaging.operation.type", "process"),
			attribute.String("messaging.operation.name", "process"),
			attribute.String("messaging.destination.name", rec.Topic),
			attribute.Int("messaging.destination.partition.id", int(rec.Partition)),
			attribute.Int64("messaging.kafka.offset", rec.Offset),
			attribute.String("messaging.consumer.group.name", rec.Group),
		),
	}
	if u, ok := unit.(span); ok {
		options = append(options, trace.WithLinks(trace.Link{SpanContext: u.span.SpanContext()}))
	}
	ctx, s := t.spans.Start(ctx, "process "+rec.Topic, options...)
	if !s.SpanContext().IsSampled() {
		// The sampler dropped the span, so records derived from this one stay children of the producer's span.
		s.End()
		return nil, nil
	}
	headers := slices.Clone(rec.Headers)
	t.propagator.Inject(ctx, carrier{headers: &headers})
	return span{s}, headers
}

// span is a processors.Span.
type span struct{ span trace.Span }

// Count implements processors.Span.
func (s span) Count(what string, n int64) {
	s.span.SetAttributes(attribute.Int64("millrace."+what, n))
}

// End implements processors.Span.
func (s span) End(err error) {
	if err != nil {
		s.span.RecordError(err)
		s.span.SetStatus(codes.Error, err.Error())
	}
	s.span.End()
}

func isParent(h engine.Header) bool { return h.Key == "traceparent" }

// carrier reads and writes the headers of a record. It replaces slices of values and never modifies them.
type carrier struct{ headers *[]engine.Header }

var _ propagation.TextMapCarrier = carrier{}

// Get implements propagation.TextMapCarrier.
func (c carrier) Get(key string) string {
	for _, h := range *c.headers {
		if h.Key == key {
			return string(h.Value)
		}
	}
	return ""
}

// Set implements propagation.TextMapCarrier. Kafka allows repeated keys, but a trace context must occur once.
func (c carrier) Set(key, value string) {
	kept := slices.DeleteFunc(*c.headers, func(h engine.Header) bool { return h.Key == key })
	*c.headers = append(kept, engine.Header{Key: key, Value: []byte(value)})
}

// Keys implements propagation.TextMapCarrier.
func (c carrier) Keys() []string {
	keys := make([]string, len(*c.headers))
	for i, h := range *c.headers {
		keys[i] = h.Key
	}
	return keys
}
