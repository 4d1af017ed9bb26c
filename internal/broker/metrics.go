package broker

import (
	"net"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// ClientMetrics counts the traffic of a [Client], and of all clients made from its Options, with the brokers:
// connections, requests, bytes, throttling. The names follow Kafka's own clients, by node. The cost is for each
// request, not for each record. It is a prometheus.Collector and safe for concurrent use.
//
// franz-go's kprom plugin registers its metrics for each client and fails on the second one; here a task makes a new
// client at each takeover.
type ClientMetrics struct {
	connected, connectErrors, closed *prometheus.CounterVec
	latency                          *prometheus.SummaryVec
	requestErrors                    *prometheus.CounterVec
	outgoing, incoming, throttled    *prometheus.CounterVec
}

var (
	_ prometheus.Collector     = (*ClientMetrics)(nil)
	_ kgo.HookBrokerConnect    = (*ClientMetrics)(nil)
	_ kgo.HookBrokerDisconnect = (*ClientMetrics)(nil)
	_ kgo.HookBrokerE2E        = (*ClientMetrics)(nil)
	_ kgo.HookBrokerThrottle   = (*ClientMetrics)(nil)
)

// NewClientMetrics returns metrics that have counted nothing, for [Config].Metrics.
func NewClientMetrics() *ClientMetrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "millrace_broker_" + name, Help: help}, append([]string{"node_id"}, labels...))
	}
	return &ClientMetrics{
		connected:     counter("connection_creation_total", "Connections opened to a broker."),
		connectErrors: counter("connection_errors_total", "Connections that could not be opened."),
		closed:        counter("connection_close_total", "Connections closed, by either side."),
		// A summary without quantiles is a count and a sum: the average by broker and request for two series.
		latency: prometheus.NewSummaryVec(prometheus.SummaryOpts{
			Name: "millrace_broker_request_latency_seconds",
			Help: "Time from the first byte of a request to the last byte of its answer.",
		}, []string{"node_id", "request"}),
		requestErrors: counter("request_errors_total", "Requests that were not answered since the connection failed.", "request"),
		outgoing:      counter("outgoing_bytes_total", "Bytes of requests."),
		incoming:      counter("incoming_bytes_total", "Bytes of answers."),
		throttled:     counter("throttle_seconds_total", "Time for which a broker asked to wait, by its quotas."),
	}
}

func (m *ClientMetrics) collectors() []prometheus.Collector {
	return []prometheus.Collector{
		m.connected, m.connectErrors, m.closed, m.latency, m.requestErrors, m.outgoing, m.incoming, m.throttled,
	}
}

// Describe implements prometheus.Collector.
func (m *ClientMetrics) Describe(ch chan<- *prometheus.Desc) {
	for _, c := range m.collectors() {
		c.Describe(ch)
	}
}

// Collect implements prometheus.Collector.
func (m *ClientMetrics) Collect(ch chan<- prometheus.Metric) {
	for _, c := range m.collectors() {
		c.Collect(ch)
	}
}

// OnBrokerConnect implements kgo.HookBrokerConnect.
func (m *ClientMetrics) OnBrokerConnect(broker kgo.BrokerMetadata, _ time.Duration, _ net.Conn, err error) {
	if err != nil {
		m.connectErrors.WithLabelValues(kgo.NodeName(broker.NodeID)).Inc()
		return
	}
	m.connected.WithLabelValues(kgo.NodeName(broker.NodeID)).Inc()
}

// OnBrokerDisconnect implements kgo.HookBrokerDisconnect.
func (m *ClientMetrics) OnBrokerDisconnect(broker kgo.BrokerMetadata, _ net.Conn) {
	m.closed.WithLabelValues(kgo.NodeName(broker.NodeID)).Inc()
}

// OnBrokerE2E implements kgo.HookBrokerE2E.
func (m *ClientMetrics) OnBrokerE2E(broker kgo.BrokerMetadata, key int16, e2e kgo.BrokerE2E) {
	node, request := kgo.NodeName(broker.NodeID), kmsg.NameForKey(key)
	m.outgoing.WithLabelValues(node).Add(float64(e2e.BytesWritten))
	m.incoming.WithLabelValues(node).Add(float64(e2e.BytesRead))
	if e2e.Err() != nil {
		m.requestErrors.WithLabelValues(node, request).Inc()
		return
	}
	m.latency.WithLabelValues(node, request).Observe(e2e.DurationE2E().Seconds())
}

// OnBrokerThrottle implements kgo.HookBrokerThrottle.
func (m *ClientMetrics) OnBrokerThrottle(broker kgo.BrokerMetadata, interval time.Duration, _ bool) {
	m.throttled.WithLabelValues(kgo.NodeName(broker.NodeID)).Add(interval.Seconds())
}
