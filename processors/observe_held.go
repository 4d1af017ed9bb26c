package processors

import (
	"fmt"
	"time"

	"github.com/seed84377926/millrace/topology/engine"
)

// heldEvery is how often a busy task publishes what holds its operators back.
const heldEvery = time.Second

// publishTime publishes the stream time, and from time to time what holds it back. mu is held.
func (s *taskStats) publishTime(l *life, waiting bool) {
	s.mu.streamTime = l.operators.StreamTime()
	if l.upstream && (waiting || time.Since(s.mu.heldAt) >= heldEvery) {
		s.mu.held, s.mu.heldAt = l.operators.Held(nil), time.Now()
	}
}

// HeldInfo is an operator whose stream time is held back: its windows, or its records that wait, are open until the
// upstream task has come further.
type HeldInfo struct {
	// Node is the operator, "" for the stream time of the task itself.
	Node string `json:"node"`
	// Time is the stream time of the operator, nil if it has none yet, and Largest the largest timestamp that has
	// reached it.
	Time    *time.Time `json:"time,omitempty"`
	Largest time.Time  `json:"largest"`
	// Upstream is the group of the task that it waits for, and Partition its partition. Upstream is "" if it waits for
	// the external inputs of its own task.
	Upstream  string `json:"upstream_group,omitempty"`
	Partition int32  `json:"upstream_partition"`
	// UpstreamTime is how far that task has come, nil if it has told nothing yet.
	UpstreamTime *time.Time `json:"upstream_time,omitempty"`
}

// remark says what is held back, as the end of a sentence.
func (h HeldInfo) remark() string {
	node, by := fmt.Sprintf("%q", h.Node), fmt.Sprintf("task %d of group %s", h.Partition, h.Upstream)
	if h.Node == "" {
		node = "the stream time of the task"
	}
	if h.Upstream == "" {
		by = "the topics that the task reads itself"
	}
	at, come := "has no time yet", "not known"
	if h.Time != nil {
		at = fmt.Sprintf("is held back at %s, %s behind", h.Time.UTC().Format(time.RFC3339), h.Largest.Sub(*h.Time))
	}
	if h.UpstreamTime != nil {
		come = h.UpstreamTime.UTC().Format(time.RFC3339)
	}
	return fmt.Sprintf("waits: %s %s: %s has come to %s", node, at, by, come)
}

func (p *groupPlan) heldInfo(h engine.Held) HeldInfo {
	return HeldInfo{
		Node: h.Node, Time: timeOf(h.Now), Largest: time.UnixMilli(h.Largest),
		Upstream: p.upstreamGroup(h.By.Topic), Partition: h.By.Partition, UpstreamTime: timeOf(h.By.Time()),
	}
}

// upstreamTask is a task of another group.
type upstreamTask struct {
	group     string
	partition int32
}

// heldBy returns by how many milliseconds upstream tasks hold operators back at most. An operator whose time is not
// known yet counts as one millisecond.
func (p *groupPlan) heldBy(all []engine.Held) map[upstreamTask]int64 {
	by := make(map[upstreamTask]int64)
	for _, h := range all {
		task := upstreamTask{p.upstreamGroup(h.By.Topic), h.By.Partition}
		held := int64(1) // it is not known by how much
		if h.Now != engine.UnknownTime {
			held = h.Largest - h.Now
		}
		by[task] = max(by[task], held)
	}
	return by
}

// timeOf returns a stream time, nil if it is not known.
func timeOf(at int64) *time.Time {
	if at == engine.UnknownTime {
		return nil
	}
	t := time.UnixMilli(at)
	return &t
}
