package observe

import (
	"math/bits"
	"sync"
	"time"
)

const (
	// histogramStep is the bound of the first bucket of a histogram; each bound is twice the one before.
	histogramStep = 500 * time.Microsecond
	// histogramBuckets reach to 262 s; one more bucket holds everything longer.
	histogramBuckets = 20
)

// Histogram counts durations in buckets of doubling width, so that finding the bucket takes no search. It is plain
// numbers that one goroutine owns.
type Histogram struct {
	counts [histogramBuckets + 1]uint64
	sum    float64 // seconds
}

// Observe counts a duration n times. A negative one, from a clock that is ahead of ours, counts as 0.
func (h *Histogram) Observe(d time.Duration, n uint64) {
	d = max(d, 0)
	var bucket int
	if d > 0 {
		bucket = min(bits.Len64(uint64((d-1)/histogramStep)), histogramBuckets)
	}
	h.counts[bucket] += n
	h.sum += d.Seconds() * float64(n)
}

// Add adds what other has counted.
func (h *Histogram) Add(other *Histogram) {
	for i, n := range other.counts {
		h.counts[i] += n
	}
	h.sum += other.sum
}

// Count returns how many durations were counted.
func (h *Histogram) Count() (n uint64) {
	for _, c := range h.counts {
		n += c
	}
	return n
}

// Sum returns the sum of the durations in seconds.
func (h *Histogram) Sum() float64 { return h.sum }

// Buckets returns how many durations are not longer than the bound of each bucket, by the bound in seconds.
func (h *Histogram) Buckets() map[float64]uint64 {
	buckets := make(map[float64]uint64, histogramBuckets)
	var below uint64
	for i, bound := 0, histogramStep; i < histogramBuckets; i, bound = i+1, 2*bound {
		below += h.counts[i]
		buckets[bound.Seconds()] = below
	}
	return buckets
}

// SharedHistogram is a histogram that several goroutines add to.
type SharedHistogram struct {
	mu struct {
		sync.Mutex
		counts Histogram
	}
}

// Observe counts a duration.
func (s *SharedHistogram) Observe(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.counts.Observe(d, 1)
}

// Take adds the counts of h to s and empties h.
func (s *SharedHistogram) Take(h *Histogram) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.counts.Add(h)
	*h = Histogram{}
}

// Read returns a copy.
func (s *SharedHistogram) Read() Histogram {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.counts
}

// Pending holds the timestamps of records whose latency is known only at the commit. Consecutive records with the same
// timestamp take one entry; records beyond maxPending entries count with the last one.
type Pending []pendingRun

type pendingRun struct {
	timestamp int64 // milliseconds
	records   uint64
}

const maxPending = 1 << 14

// Add adds a record with a timestamp in milliseconds.
func (p *Pending) Add(timestamp int64) {
	if n := len(*p); n > 0 && ((*p)[n-1].timestamp == timestamp || n == maxPending) {
		(*p)[n-1].records++
		return
	}
	*p = append(*p, pendingRun{timestamp, 1})
}

// Observe adds the ages of the records at the time now (milliseconds) to h, and forgets the records.
func (p *Pending) Observe(now int64, h *Histogram) {
	for _, run := range *p {
		h.Observe(Millis(now-run.timestamp), run.records)
	}
	*p = (*p)[:0]
}

// Millis returns a duration of ms milliseconds, or the longest duration if that is too long.
func Millis(ms int64) time.Duration {
	const longest = int64(1<<63-1) / int64(time.Millisecond)
	return time.Duration(min(ms, longest)) * time.Millisecond
}
