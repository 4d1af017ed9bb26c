package edge

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the metrics of one server.
type metrics struct {
	requests *prometheus.HistogramVec // seconds, by method, route template and status
	batch    *prometheus.HistogramVec // commands in a batch, by aggregate
	commit   *prometheus.HistogramVec // seconds of a transaction, by aggregate
}

func newMetrics() *metrics {
	return &metrics{
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "millrace_edge_request_duration_seconds", Help: "How long requests took, by method, route template and status (0: cut off).",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, []string{"method", "route", "status"}),
		batch: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "millrace_edge_command_batch_size", Help: "How many commands were taken from the queue together.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 11),
		}, []string{"aggregate"}),
		commit: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "millrace_edge_commit_duration_seconds", Help: "How long the transactions of commands took.",
			Buckets: prometheus.ExponentialBuckets(.0005, 2, 15),
		}, []string{"aggregate"}),
	}
}

// register adds the metrics of s to its registry.
func (m *metrics) register(s *Server) error {
	var mistakes []error
	for _, c := range []prometheus.Collector{m.requests, m.batch, m.commit, &ownerCollector{s}} {
		if err := s.config.Registry.Register(c); err != nil {
			mistakes = append(mistakes, err)
		}
	}
	if err := errors.Join(mistakes...); err != nil {
		return fmt.Errorf("edge: metrics: %w; give each server a registry of its own", err)
	}
	return nil
}

// ownerCollector reads the state of the owners at each collection.
type ownerCollector struct{ s *Server }

func ownerDescs() (serving, queue, commits, fenced, damaged *prometheus.Desc) {
	labels := []string{"aggregate", "partition"}
	return prometheus.NewDesc("millrace_edge_owner_state", "1 for the state that an owner is in.", append(labels, "state"), nil),
		prometheus.NewDesc("millrace_edge_owner_queue_commands", "Commands that wait for an owner.", labels, nil),
		prometheus.NewDesc("millrace_edge_owner_commits_total", "Transactions that an owner committed.", labels, nil),
		prometheus.NewDesc("millrace_edge_owner_fenced_total", "How often an owner lost its fence.", labels, nil),
		prometheus.NewDesc("millrace_edge_owner_state_damaged_total", "How often damaged local state was dropped, to be restored.", labels, nil)
}

// Describe implements prometheus.Collector.
func (c *ownerCollector) Describe(ch chan<- *prometheus.Desc) {
	status, queue, commits, fenced, damaged := ownerDescs()
	for _, desc := range []*prometheus.Desc{status, queue, commits, fenced, damaged} {
		ch <- desc
	}
}

// Collect implements prometheus.Collector.
func (c *ownerCollector) Collect(ch chan<- prometheus.Metric) {
	statusDesc, queue, commits, fencedDesc, damaged := ownerDescs()
	for _, v := range c.s.served {
		if v.owners == nil {
			continue
		}
		aggregate := v.typ.Name()
		for _, o := range v.owners.all() {
			partition := strconv.Itoa(int(o.partition))
			now := o.report()
			for _, status := range []ownerStatus{takingOver, restoring, serving, fenced, stopped} {
				value := 0.
				if status == now.Status {
					value = 1
				}
				ch <- prometheus.MustNewConstMetric(statusDesc, prometheus.GaugeValue, value, aggregate, partition, string(status))
			}
			ch <- prometheus.MustNewConstMetric(queue, prometheus.GaugeValue, float64(now.Queue), aggregate, partition)
			ch <- prometheus.MustNewConstMetric(commits, prometheus.CounterValue, float64(now.Commits), aggregate, partition)
			ch <- prometheus.MustNewConstMetric(fencedDesc, prometheus.CounterValue, float64(now.Fenced), aggregate, partition)
			ch <- prometheus.MustNewConstMetric(damaged, prometheus.CounterValue, float64(now.Damaged), aggregate, partition)
		}
	}
}

// methodLabel returns "other" for unknown methods, so that clients cannot create series.
func methodLabel(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
		http.MethodConnect, http.MethodOptions, http.MethodTrace, methodQuery:
		return method
	}
	return "other"
}
