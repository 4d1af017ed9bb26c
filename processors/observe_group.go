package processors

import (
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed84377926/millrace/internal/broker"
	"github.com/seed84377926/millrace/state"
)

// groupStats is what all tasks of a group on this instance count together: tasks come and go, and what was counted must
// not go with them.
type groupStats struct {
	moves        [moves]sharedHistogram
	inputChanges atomic.Int64 // see group.replan

	mu struct {
		sync.Mutex
		latencies map[latencyPoint]*sharedHistogram
		tableEnds map[int32]int64 // committed ends of the changelog, as last asked for
	}
}

// Where the age of a record is measured.
const (
	atSource = "source" // an input record, when it is processed
	atCommit = "commit" // an input record, when all that it led to can be seen
	atSink   = "sink"   // an output record, when it can be seen
)

type latencyPoint struct{ at, topic string }

func newGroupStats() *groupStats {
	s := &groupStats{}
	s.mu.latencies = make(map[latencyPoint]*sharedHistogram)
	return s
}

func (s *groupStats) latency(at, topic string) *sharedHistogram {
	s.mu.Lock()
	defer s.mu.Unlock()
	point := latencyPoint{at, topic}
	h := s.mu.latencies[point]
	if h == nil {
		h = new(sharedHistogram)
		s.mu.latencies[point] = h
	}
	return h
}

// knownTable remembers where the changelog ends.
func (s *groupStats) knownTable(topic string, ends map[state.TopicPartition]broker.LogEnd) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.tableEnds = make(map[int32]int64)
	for tp, end := range ends {
		if tp.Topic == topic {
			s.mu.tableEnds[tp.Partition] = end.Committed
		}
	}
}

func (s *groupStats) tableEnd(partition int32) (int64, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	end, ok := s.mu.tableEnds[partition]
	return end, ok
}

// eachLatency calls fn with all points and what was counted there.
func (s *groupStats) eachLatency(fn func(latencyPoint, histogram)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for point, h := range s.mu.latencies {
		fn(point, h.read())
	}
}

// move is what a rebalance does with tasks.
type move uint8

const (
	tasksAssigned move = iota
	tasksRevoked
	tasksLost
	moves
)

var moveNames = [moves]string{"assigned", "revoked", "lost"} //nolint:gochecknoglobals // a table

// moved carries out what the group wants of this instance's tasks, and tells of it.
func (g *group) moved(what move, partitions []int32, change func()) {
	start := time.Now()
	change()
	took := time.Since(start)
	g.stats.moves[what].observe(took)
	owned := make([]int32, 0)
	for _, t := range g.tasks() {
		owned = append(owned, t.partition)
	}
	slices.Sort(owned)
	logger := g.logger.With(slog.Any("partitions", slices.Sorted(slices.Values(partitions))), slog.Any("owned", owned), slog.Duration("took", took))
	switch what {
	case tasksAssigned:
		logger.Info("tasks assigned")
	case tasksRevoked:
		logger.Info("tasks revoked")
	default:
		logger.Warn("tasks lost: the group gave them to others already")
	}
}
