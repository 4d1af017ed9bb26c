//go:build unix

package main

import (
	"fmt"
	"time"
)

// update is what an output topic must carry for one step of one key.
type update struct {
	id        int64
	version   int64 // of the profile, in the joined topic
	timestamp int64 // 0 if it depends on the order of arrival
}

// truth is what must come out of an input. It is a second, naive implementation of the application: lists and maps, no
// state, no commits.
type truth struct {
	// ordered holds the updates of each key in the order they must have, by output topic.
	ordered map[string]map[string][]update
	// unordered holds the ids that each key must have counted after the repartition, in any order, by output topic.
	unordered map[string]map[string][]int64
	// tables holds the final rows of each store: a tally, or the version of a profile.
	tables map[string]map[string]any
	late   int // events that are late for the window recent
}

// windowedKey is how the key of a window is called everywhere in the check.
func windowedKey(key string, start int64) string { return fmt.Sprintf("%s@%d", key, start) }

// newTruth computes what must come out of what was sent, given by partition in the order of offsets.
func newTruth(t topics, events, profiles *[partitions][]sent) *truth {
	tr := &truth{
		ordered:   map[string]map[string][]update{t.byKey: {}, t.recent: {}, t.joined: {}},
		unordered: map[string]map[string][]int64{t.byWord: {}, t.hours: {}},
		tables:    map[string]map[string]any{storeByKey: {}, storeProfiles: {}, storeRecent: {}, storeByWord: {}, storeHours: {}},
	}
	for _, log := range events {
		tr.recent(t, log)
		for _, s := range log {
			tr.count(t.byKey, storeByKey, s.key, s)
			if s.version == 0 {
				continue // no profile, no result
			}
			tr.ordered[t.joined][s.key] = append(tr.ordered[t.joined][s.key], update{s.event.ID, s.version, s.timestamp})
			tr.unite(t.byWord, storeByWord, s.event.Word, s.event.ID)
			tr.unite(t.hours, storeHours, windowedKey(s.event.Word, windowStart(s.timestamp, hourSize)), s.event.ID)
		}
	}
	for _, log := range profiles {
		for _, s := range log {
			if s.version == 0 {
				delete(tr.tables[storeProfiles], s.key)
			} else {
				tr.tables[storeProfiles][s.key] = s.version
			}
		}
	}
	return tr
}

// count notes one update of an aggregate whose order is known.
func (tr *truth) count(topic, store, key string, s sent) {
	before := tr.ordered[topic][key]
	timestamp := s.timestamp
	if len(before) > 0 {
		timestamp = max(timestamp, before[len(before)-1].timestamp)
	}
	tr.ordered[topic][key] = append(before, update{id: s.event.ID, timestamp: timestamp})
	sum, _ := tr.tables[store][key].(tally)
	tr.tables[store][key] = sum.add(s.event.ID)
}

// unite records one update of an aggregate after the repartition.
func (tr *truth) unite(topic, store, key string, id int64) {
	tr.unordered[topic][key] = append(tr.unordered[topic][key], id)
	sum, _ := tr.tables[store][key].(tally)
	sum = sum.add(id)
	sum.Last = 0 // depends on the order
	tr.tables[store][key] = sum
}

// recent runs one partition of events through the window that drops and expires: the partition's stream time decides
// about both.
func (tr *truth) recent(t topics, log []sent) {
	now := int64(-1)
	starts := make(map[string]int64)
	for _, s := range log {
		now = max(now, s.timestamp)
		start := windowStart(s.timestamp, recentSize)
		if start+ms(recentSize) <= now-ms(recentGrace) {
			tr.late++
			continue
		}
		key := windowedKey(s.key, start)
		starts[key] = start
		tr.count(t.recent, storeRecent, key, s)
	}
	for key, start := range starts {
		if start+ms(recentRetention) <= now {
			delete(tr.tables[storeRecent], key)
		}
	}
}

func ms(d time.Duration) int64 { return d.Milliseconds() }
