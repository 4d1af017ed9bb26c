package broker_test

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed84377926/millrace/embedded"
	"github.com/seed84377926/millrace/internal/broker"
	"github.com/seed84377926/millrace/internal/brokertest"
)

// Several clients of one configuration count into one set of metrics, by broker and request.
func TestClientMetrics_countTheRequestsOfAllClients(t *testing.T) {
	addrs := brokertest.Start(t, embedded.Config{Dir: t.TempDir()}).Addrs()
	metrics := broker.NewClientMetrics()
	client, err := broker.Connect(t.Context(), broker.Config{Brokers: addrs, Metrics: metrics})
	require.NoError(t, err)
	defer client.Close()
	registry := prometheus.NewPedanticRegistry()
	require.NoError(t, registry.Register(metrics))
	before := sum(t, registry, "millrace_broker_request_latency_seconds", "request", "ApiVersions")
	require.Positive(t, before)

	other, err := kgo.NewClient(client.Options()...)
	require.NoError(t, err)
	defer other.Close()
	require.NoError(t, other.Ping(t.Context()))
	require.Greater(t, sum(t, registry, "millrace_broker_request_latency_seconds", "request", "ApiVersions"), before)
	require.Positive(t, sum(t, registry, "millrace_broker_incoming_bytes_total", "", ""))
	require.Positive(t, sum(t, registry, "millrace_broker_connection_creation_total", "", ""))
}

// sum adds the values, or the counts of summaries, of all series of a metric that have the label.
func sum(t *testing.T, from prometheus.Gatherer, name, label, value string) (total float64) {
	t.Helper()
	families, err := from.Gather()
	require.NoError(t, err)
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, m := range family.GetMetric() {
			if label == "" || hasLabel(m, label, value) {
				total += m.GetCounter().GetValue() + float64(m.GetSummary().GetSampleCount())
			}
		}
	}
	return total
}

func hasLabel(m *dto.Metric, label, value string) bool {
	for _, pair := range m.GetLabel() {
		if pair.GetName() == label && pair.GetValue() == value {
			return true
		}
	}
	return false
}
