package observe

import (
	"sync"
	"sync/atomic"
	"time"
)

// Group is what the tasks of a group on this instance record together: tasks come and go, and these numbers outlive
// them. It is safe for concurrent use.
type Group struct {
	// InputChanges counts how often the group went on with other topics that match a source.
	InputChanges atomic.Int64

	rebalances [Rebalances]SharedHistogram

	mu struct {
		sync.Mutex
		latencies map[LatencyPoint]*SharedHistogram
		tableEnds map[int32]int64 // committed ends of the changelog, as last read
	}
}

// Where the age of a record is measured.
const (
	AtSource = "source" // an input record, when it is processed
	AtCommit = "commit" // an input record, when its effects can be seen
	AtSink   = "sink"   // an output record, when it can be seen
)

// LatencyPoint is a place where the ages of the records of a topic are measured.
type LatencyPoint struct{ At, Topic string }

// NewGroup returns a Group that has nothing recorded.
func NewGroup() *Group {
	g := &Group{}
	g.mu.latencies = make(map[LatencyPoint]*SharedHistogram)
	return g
}

// Latency returns the histogram of a place.
func (g *Group) Latency(at, topic string) *SharedHistogram {
	g.mu.Lock()
	defer g.mu.Unlock()
	point := LatencyPoint{at, topic}
	h := g.mu.latencies[point]
	if h == nil {
		h = new(SharedHistogram)
		g.mu.latencies[point] = h
	}
	return h
}

// EachLatency calls fn with every place and its histogram.
func (g *Group) EachLatency(fn func(LatencyPoint, Histogram)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for point, h := range g.mu.latencies {
		fn(point, h.Read())
	}
}

// RecordTableEnds replaces the known ends of the changelog, by partition.
func (g *Group) RecordTableEnds(ends map[int32]int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.mu.tableEnds = ends
}

// TableEnd returns the end of the changelog of a partition, and false if it is not known.
func (g *Group) TableEnd(partition int32) (int64, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	end, ok := g.mu.tableEnds[partition]
	return end, ok
}

// Rebalance is what a rebalance does with tasks.
type Rebalance uint8

// The steps of a rebalance.
const (
	TasksAssigned Rebalance = iota
	TasksRevoked
	TasksLost
	Rebalances // their number
)

var rebalanceNames = [Rebalances]string{"assigned", "revoked", "lost"} //nolint:gochecknoglobals // a table

// String returns the step as metrics have it.
func (r Rebalance) String() string { return rebalanceNames[r] }

// RecordRebalance counts a step of a rebalance and how long it took.
func (g *Group) RecordRebalance(step Rebalance, took time.Duration) { g.rebalances[step].Observe(took) }

// Rebalance returns how long the steps of one kind took.
func (g *Group) Rebalance(step Rebalance) Histogram { return g.rebalances[step].Read() }
