package processors

import (
	"math/bits"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	// histogramStep is the bound of the first bucket of a histogram; each bound is twice the one before.
	histogramStep = 500 * time.Microsecond
	// histogramBuckets reach to 262 s, then comes the bucket for all that is longer.
	histogramBuckets = 20
)

// histogram counts durations in buckets of doubling width, so that finding one takes no search: plain numbers of the
// goroutine that owns it.
type histogram struct {
	counts [histogramBuckets + 1]uint64
	sum    float64 // seconds
}

// observe counts a duration n times. A negative one, of a clock that is ahead of ours, counts as 0.
func (h *histogram) observe(d time.Duration, n uint64) {
	d = max(d, 0)
	var bucket int
	if d > 0 {
		bucket = min(bits.Len64(uint64((d-1)/histogramStep)), histogramBuckets)
	}
	h.counts[bucket] += n
	h.sum += d.Seconds() * float64(n)
}

func (h *histogram) add(other *histogram) {
	for i, n := range other.counts {
		h.counts[i] += n
	}
	h.sum += other.sum
}

func (h *histogram) count() (n uint64) {
	for _, c := range h.counts {
		n += c
	}
	return n
}

// metric is the histogram as Prometheus wants it.
func (h *histogram) metric(desc *prometheus.Desc, labels ...string) prometheus.Metric {
	buckets := make(map[float64]uint64, histogramBuckets)
	var below uint64
	for i, bound := 0, histogramStep; i < histogramBuckets; i, bound = i+1, 2*bound {
		below += h.counts[i]
		buckets[bound.Seconds()] = below
	}
	return prometheus.MustNewConstHistogram(desc, h.count(), h.sum, buckets, labels...)
}

// sharedHistogram is a histogram that several tasks add to.
type sharedHistogram struct {
	mu     sync.Mutex
	counts histogram
}

func (s *sharedHistogram) observe(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts.observe(d, 1)
}

// take adds h and empties it.
func (s *sharedHistogram) take(h *histogram) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts.add(h)
	*h = histogram{}
}

func (s *sharedHistogram) read() histogram {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts
}

// pending are the timestamps of records whose latency is known at the commit only. Records with one timestamp that follow
// each other take one entry; beyond maxPending entries they count with the last one.
type pending []pendingRun

type pendingRun struct {
	timestamp int64 // milliseconds
	records   uint64
}

const maxPending = 1 << 14

func (p *pending) add(timestamp int64) {
	if n := len(*p); n > 0 && ((*p)[n-1].timestamp == timestamp || n == maxPending) {
		(*p)[n-1].records++
		return
	}
	*p = append(*p, pendingRun{timestamp, 1})
}

// observe counts how old the records are at the time now (milliseconds), and forgets them.
func (p *pending) observe(now int64, h *histogram) {
	for _, run := range *p {
		h.observe(millis(now-run.timestamp), run.records)
	}
	*p = (*p)[:0]
}

// millis is a duration of ms milliseconds, the longest there is if that is too long.
func millis(ms int64) time.Duration {
	const longest = int64(1<<63-1) / int64(time.Millisecond)
	return time.Duration(min(ms, longest)) * time.Millisecond
}
