package broker

import (
	"slices"
	"sync"
)

// heldPartitions are the topic partitions that a member has, by partition number. The member has a partition of the
// group as long as it has that partition of at least one topic. So topics can be added and removed, and no member has
// to give up a partition of the group, see Member.Subscribe.
type heldPartitions struct {
	mu     sync.Mutex
	topics map[int32]map[string]bool
}

// add adds topic partitions and returns the partitions of the group that the member did not have before, in order.
func (h *heldPartitions) add(assigned map[string][]int32) (fresh []int32) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.topics == nil {
		h.topics = make(map[int32]map[string]bool)
	}
	for topic, partitions := range assigned {
		for _, p := range partitions {
			if h.topics[p] == nil {
				h.topics[p] = make(map[string]bool)
				fresh = append(fresh, p)
			}
			h.topics[p][topic] = true
		}
	}
	slices.Sort(fresh)
	return fresh
}

// remove removes topic partitions and returns the partitions of the group that the member no longer has, in order.
func (h *heldPartitions) remove(revoked map[string][]int32) (gone []int32) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for topic, partitions := range revoked {
		for _, p := range partitions {
			if !h.topics[p][topic] {
				continue
			}
			delete(h.topics[p], topic)
			if len(h.topics[p]) == 0 {
				delete(h.topics, p)
				gone = append(gone, p)
			}
		}
	}
	slices.Sort(gone)
	return gone
}
