package processors

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/seed84377926/millrace/internal/broker"
	"github.com/seed84377926/millrace/state"
)

// sourceEnds knows where the source topics upstream of a group end. The tasks of the group on this instance share its
// questions to Kafka.
type sourceEnds struct {
	client *broker.Client

	mu   sync.Mutex // held while Kafka is asked
	plan *groupPlan
	at   time.Time // when it was asked
	ends state.Offsets
}

// read returns the ends, open transactions included, of all source topics whose records reach the group through
// repartition topics, as of this call or later. The caller does not modify them.
func (s *sourceEnds) read(ctx context.Context, plan *groupPlan) (state.Offsets, error) {
	called := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ends != nil && s.plan == plan && s.at.After(called) {
		return s.ends, nil // another task has asked since
	}
	sources := make(map[string]bool)
	for _, in := range plan.inputs {
		if in.Repartition {
			for _, source := range in.Origins {
				sources[source] = true
			}
		}
	}
	if len(sources) == 0 {
		return nil, nil //nolint:nilnil // no source has an end
	}
	at := time.Now()
	ends, err := s.client.EndOffsets(ctx, slices.Sorted(maps.Keys(sources))...)
	if err != nil {
		return nil, fmt.Errorf("source topics of group %s: %w", plan.sub.Group(), err)
	}
	s.plan, s.at, s.ends = plan, at, ends
	return ends, nil
}

// outdated says whether a source has records that the mark of an upstream task does not reflect. The sources that this
// task reads itself are direct; one of them may be newer than the mark.
func outdated(m state.Mark, ends state.Offsets, direct map[string]bool, partition int32) bool {
	for tp, reflected := range m.Offsets {
		if end, known := ends[tp]; !known || reflected < end {
			return true
		}
	}
	for topic := range direct {
		tp := state.TopicPartition{Topic: topic, Partition: partition}
		if _, reflected := m.Offsets[tp]; !reflected && ends[tp] > 0 {
			return true
		}
	}
	return false
}
