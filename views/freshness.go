package views

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"sync"

	"github.com/seed84377926/millrace/state"
)

// BehindError is returned by a Wait that ended before the view covered the required offsets.
type BehindError struct {
	Required state.Offsets // the offsets that Wait was given
	Current  state.Offsets // the offsets that the view reflects
}

// Error names an offset that is missing.
func (e *BehindError) Error() string {
	for tp, want := range e.Required {
		if have, ok := e.Current[tp]; !ok || have < want {
			return fmt.Sprintf("view is behind: it reflects %s up to offset %d, %d is required", tp, have, want)
		}
	}
	return "view is behind"
}

// freshness tracks which source offsets a group's view reflects, and wakes the callers that wait for more.
type freshness struct {
	direct, derived sources // source topics that the group reads itself, and those it reads through repartition topics

	mu struct {
		sync.Mutex
		positions []state.Position // by partition
		changed   chan struct{}    // closed and replaced whenever a position moves
	}
}

// sources is a set of source topics, given by names and by patterns.
type sources struct {
	topics   []string
	matching []*regexp.Regexp
}

func (s *sources) add(topics, matching []string) error {
	s.topics = append(s.topics, topics...)
	for _, expression := range matching {
		re, err := regexp.Compile("^(?:" + expression + ")$")
		if err != nil {
			return fmt.Errorf("source topics: %w", err)
		}
		s.matching = append(s.matching, re)
	}
	return nil
}

func (s *sources) has(topic string) bool {
	return slices.Contains(s.topics, topic) || slices.ContainsFunc(s.matching, func(re *regexp.Regexp) bool { return re.MatchString(topic) })
}

// newFreshness returns the freshness of the stores in refs, all of one group. A source topic counts if it reaches any
// of them, because they share the commits of the group and therefore its positions.
func newFreshness(partitions int32, refs []state.TableRef) (*freshness, error) {
	f := &freshness{}
	for _, ref := range refs {
		if err := errors.Join(f.direct.add(ref.Direct, ref.DirectMatching), f.derived.add(ref.Derived, ref.DerivedMatching)); err != nil {
			return nil, err
		}
	}
	f.mu.positions = make([]state.Position, partitions)
	f.mu.changed = make(chan struct{})
	return f, nil
}

// advance sets the position of one partition.
func (f *freshness) advance(partition int32, position state.Position) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mu.positions[partition] = position
	close(f.mu.changed)
	f.mu.changed = make(chan struct{})
}

// wait blocks until the view reflects all required offsets whose topics reach it. Offsets of other topics are ignored.
func (f *freshness) wait(ctx context.Context, required state.Offsets) error {
	for {
		f.mu.Lock()
		covered, changed := f.coveredLocked(required), f.mu.changed
		f.mu.Unlock()
		if covered {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return &BehindError{Required: required, Current: f.position()}
		}
	}
}

func (f *freshness) coveredLocked(required state.Offsets) bool {
	for tp, want := range required {
		if have, relevant := f.reflectedLocked(tp); relevant && have < want {
			return false
		}
	}
	return true
}

// reflectedLocked returns the offset up to which the whole view reflects a source partition, and false if the topic
// never reaches the view. Records that a task reads itself have effects in its own partition only. Records that come
// through a repartition topic may have effects in any partition, so the slowest partition counts.
func (f *freshness) reflectedLocked(tp state.TopicPartition) (offset int64, relevant bool) {
	if f.direct.has(tp.Topic) && int(tp.Partition) < len(f.mu.positions) {
		offset, relevant = f.mu.positions[tp.Partition].Direct[tp], true
	}
	if f.derived.has(tp.Topic) {
		for _, position := range f.mu.positions {
			have := position.Derived[tp]
			if !relevant || have < offset {
				offset, relevant = have, true
			}
		}
	}
	return offset, relevant
}

// position returns the source offsets that the whole view reflects.
func (f *freshness) position() state.Offsets {
	f.mu.Lock()
	defer f.mu.Unlock()
	known := make(map[state.TopicPartition]bool)
	for _, position := range f.mu.positions {
		for tp := range position.Direct {
			known[tp] = true
		}
		for tp := range position.Derived {
			known[tp] = true
		}
	}
	offsets := make(state.Offsets)
	for tp := range known {
		if offset, relevant := f.reflectedLocked(tp); relevant && offset > 0 {
			offsets[tp] = offset
		}
	}
	return offsets
}
