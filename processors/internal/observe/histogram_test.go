package observe

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"
)

func TestHistogram_bucketsAreThoseThatPrometheusWouldChoose(t *testing.T) {
	desc := prometheus.NewDesc("x", "x", nil, nil)
	bounds := prometheus.ExponentialBuckets(histogramStep.Seconds(), 2, histogramBuckets)
	for _, d := range []time.Duration{
		-time.Hour, 0, 1, histogramStep - 1, histogramStep, histogramStep + 1, time.Millisecond, time.Millisecond + 1,
		7 * time.Second, 262144 * time.Millisecond, 262144*time.Millisecond + 1, 1<<63 - 1,
	} {
		naive := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "x", Help: "x", Buckets: bounds})
		naive.Observe(max(d, 0).Seconds())
		var h Histogram
		h.Observe(d, 1)
		require.Equal(t, buckets(t, naive), buckets(t, prometheus.MustNewConstHistogram(desc, h.Count(), h.Sum(), h.Buckets())), "%s", d)
	}
}

func buckets(t *testing.T, m prometheus.Metric) (counts []uint64) {
	t.Helper()
	var out dto.Metric
	require.NoError(t, m.Write(&out))
	for _, b := range out.GetHistogram().GetBucket() {
		counts = append(counts, b.GetCumulativeCount())
	}
	require.Equal(t, uint64(1), out.GetHistogram().GetSampleCount())
	return counts
}

func TestPending_everyRecordIsObservedOnceAndNoneTwice(t *testing.T) {
	var p Pending
	var h Histogram
	const records = 2 * maxPending
	for i := range int64(records) {
		p.Add(i)
		p.Add(i)
	}
	require.Len(t, p, maxPending, "memory is bounded")
	p.Observe(records, &h)
	require.Equal(t, uint64(2*records), h.Count())
	p.Observe(records, &h)
	require.Equal(t, uint64(2*records), h.Count())
}

func TestPending_ageIsThatOfEachRecord(t *testing.T) {
	var p Pending
	var h Histogram
	p.Add(1000)
	p.Add(1000)
	p.Add(1500)
	p.Add(-1 << 62) // no clock was ever there
	p.Observe(2000, &h)
	require.Equal(t, uint64(2), h.counts[11], "1 s is within 2^11 × 0.5 ms")
	require.Equal(t, uint64(1), h.counts[10])
	require.Equal(t, uint64(1), h.counts[histogramBuckets], "longer than any bucket")
}
