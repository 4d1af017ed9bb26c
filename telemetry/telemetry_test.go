package telemetry_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/otel/codes"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
	"go.uber.org/goleak"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/embedded"
	"github.com/seed84377926/millrace/internal/brokertest"
	"github.com/seed84377926/millrace/processors"
	"github.com/seed84377926/millrace/telemetry"
	"github.com/seed84377926/millrace/topology"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	traceID    = "4bf92f3577b34da6a3ce929d0e0e4736"
	producerID = "00f067aa0ba902b7"
	sampled    = "00-" + traceID + "-" + producerID + "-01"
	unsampled  = "00-" + traceID + "-" + producerID + "-00"
	stumble    = "stumble" // the first operator fails on it, once
)

// runChain runs source → repartition → count → sink until the input records came out, and returns them by key.
func runChain(t *testing.T, tracer processors.Tracer, in ...*kgo.Record) map[string]*kgo.Record {
	t.Helper()
	broker := brokertest.Start(t, embedded.Config{Dir: t.TempDir(), NoSync: true})
	kafka, err := kgo.NewClient(kgo.SeedBrokers(broker.Addrs()...), kgo.ConsumeTopics("counts-out"), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	require.NoError(t, err)
	defer kafka.Close()
	_, err = kadm.NewClient(kafka).CreateTopics(t.Context(), 1, 1, nil, "words", "counts-out")
	require.NoError(t, err)
	require.NoError(t, kafka.ProduceSync(t.Context(), in...).FirstErr())

	b := topology.NewBuilder("chain")
	var stumbled atomic.Bool
	topology.Source(b, "words", codecs.String, codecs.String).
		MapValues(func(word string) string {
			if word == stumble && stumbled.CompareAndSwap(false, true) {
				panic("stumbled")
			}
			return word
		}).
		Rekey(func(_, word string) string { return word }).
		Repartition("by-word", codecs.String, codecs.String).
		GroupByKey().Count("counts").ToStream().To("counts-out", codecs.String, codecs.Int64)
	top, err := b.Build()
	require.NoError(t, err)
	app, err := processors.New(top, processors.Config{
		Brokers: broker.Addrs(), Dir: t.TempDir(), CommitInterval: time.Millisecond, Tracer: tracer,
	})
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- app.Run(ctx) }()
	out := make(map[string]*kgo.Record)
	for len(out) < len(in) {
		fetches := kafka.PollFetches(ctx)
		require.NoError(t, ctx.Err())
		fetches.EachRecord(func(r *kgo.Record) { out[string(r.Key)] = r })
	}
	cancel()
	require.NoError(t, <-done)
	return out
}

func word(word string, headers ...string) *kgo.Record {
	r := &kgo.Record{Topic: "words", Key: []byte("k"), Value: []byte(word)}
	for i := 0; i < len(headers); i += 2 {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: headers[i], Value: []byte(headers[i+1])})
	}
	return r
}

func headersOf(r *kgo.Record) map[string]string {
	headers := make(map[string]string)
	for _, h := range r.Headers {
		headers[h.Key] = string(h.Value)
	}
	return headers
}

func newProvider(t *testing.T, options ...sdk.TracerProviderOption) (*sdk.TracerProvider, *tracetest.InMemoryExporter) {
	t.Helper()
	exporter := tracetest.NewInMemoryExporter()
	provider := sdk.NewTracerProvider(append(options, sdk.WithSyncer(exporter))...)
	t.Cleanup(func() { require.NoError(t, provider.Shutdown(context.Background())) })
	return provider, exporter
}

func named(spans tracetest.SpanStubs, name string) (found tracetest.SpanStubs) {
	for _, s := range spans {
		if s.Name == name {
			found = append(found, s)
		}
	}
	return found
}

// One trace goes from the producer through both groups to the output; the records beside it are not traced and keep
// their headers.
func TestTracer_aSampledRecordKeepsOneTraceThroughRepartitionToTheSink(t *testing.T) {
	provider, exporter := newProvider(t)
	out := runChain(t, telemetry.NewTracer(provider),
		word("traced", "traceparent", sampled, "tracestate", "vendor=1", "baggage", "user=7"),
		word("not-sampled", "traceparent", unsampled, "x", "y"),
		word("plain"),
		word("nonsense", "traceparent", "nonsense"),
	)
	spans := exporter.GetSpans()

	first := named(spans, "process words")
	require.Len(t, first, 1, "one record of four is sampled")
	require.Equal(t, traceID, first[0].SpanContext.TraceID().String())
	require.Equal(t, producerID, first[0].Parent.SpanID().String())
	require.Equal(t, trace.SpanKindConsumer, first[0].SpanKind)

	second := named(spans, "process chain-by-word-repartition")
	require.Len(t, second, 1)
	require.Equal(t, traceID, second[0].SpanContext.TraceID().String())
	require.Equal(t, first[0].SpanContext.SpanID(), second[0].Parent.SpanID())

	headers := headersOf(out["traced"])
	require.Equal(t, "00-"+traceID+"-"+second[0].SpanContext.SpanID().String()+"-01", headers["traceparent"])
	require.Equal(t, "vendor=1", headers["tracestate"])
	require.Equal(t, "user=7", headers["baggage"])
	require.Len(t, out["traced"].Headers, 3, "no header twice")
	require.Equal(t, map[string]string{"traceparent": unsampled, "x": "y"}, headersOf(out["not-sampled"]))
	require.Empty(t, out["plain"].Headers)
	require.Equal(t, map[string]string{"traceparent": "nonsense"}, headersOf(out["nonsense"]))

	for _, group := range []string{"chain-words", "chain-counts"} {
		for _, operation := range []string{"take over", "restore", "transaction", "process", "commit"} {
			require.NotEmpty(t, named(spans, operation+" "+group), "%s of %s", operation, group)
		}
	}
	for _, unit := range named(spans, "process chain-words") {
		require.NotEqual(t, traceID, unit.SpanContext.TraceID().String())
		if unit.SpanContext.SpanID() == first[0].Links[0].SpanContext.SpanID() {
			transactions := named(spans, "transaction chain-words")
			require.Contains(t, ids(transactions), unit.Parent.SpanID(), "the unit belongs to a transaction")
			return
		}
	}
	t.Fatal("the record links to no unit")
}

func ids(spans tracetest.SpanStubs) (ids []trace.SpanID) {
	for _, s := range spans {
		ids = append(ids, s.SpanContext.SpanID())
	}
	return ids
}

// A failure shows in the spans of the record, its unit and its transaction. The output belongs to the attempt that was
// committed.
func TestTracer_failedAttemptsShow(t *testing.T) {
	provider, exporter := newProvider(t)
	out := runChain(t, telemetry.NewTracer(provider), word(stumble, "traceparent", sampled))
	spans := exporter.GetSpans()
	attempts := named(spans, "process words")
	require.Len(t, attempts, 2)
	require.Equal(t, codes.Error, attempts[0].Status.Code)
	require.Contains(t, attempts[0].Status.Description, "stumbled")
	require.Equal(t, codes.Unset, attempts[1].Status.Code)
	for _, operation := range []string{"process chain-words", "transaction chain-words"} {
		require.Equal(t, codes.Error, named(spans, operation)[0].Status.Code, operation)
	}
	second := named(spans, "process chain-by-word-repartition")
	require.Len(t, second, 1)
	require.Equal(t, attempts[1].SpanContext.SpanID(), second[0].Parent.SpanID())
	require.Contains(t, headersOf(out[stumble])["traceparent"], second[0].SpanContext.SpanID().String())
	require.Equal(t, len(named(spans, "transaction chain-words")), len(named(spans, "commit chain-words"))+1, "every span ended")
}

// A sampler that drops a span must not cut the trace: later spans are children of the producer's span.
func TestTracer_aSpanThatIsNotSampledLeavesTheContextAlone(t *testing.T) {
	provider, exporter := newProvider(t, sdk.WithSampler(sdk.NeverSample()))
	out := runChain(t, telemetry.NewTracer(provider), word("w", "traceparent", sampled))
	require.Equal(t, sampled, headersOf(out["w"])["traceparent"])
	require.Empty(t, exporter.GetSpans())
}

// Contexts pass through with a provider that does nothing, and without a provider.
func TestTracer_withoutAProviderContextsTravel(t *testing.T) {
	for name, tracer := range map[string]processors.Tracer{"noop": telemetry.NewTracer(noop.NewTracerProvider()), "none": nil} {
		t.Run(name, func(t *testing.T) {
			out := runChain(t, tracer, word("w", "traceparent", sampled))
			require.Equal(t, sampled, headersOf(out["w"])["traceparent"])
		})
	}
}
