//go:build unix

package main

import (
	"encoding/json"

	"github.com/twmb/franz-go/pkg/kgo"
)

// checkNoneMissing compares an output topic of a run at least once: every id that belongs to a key must be among the
// outputs of the key, once or more often.
func checkNoneMissing(v *verdict, t topics, topic string, got [][]*kgo.Record, want map[string][]int64) {
	records := byOutputKey(v, t, topic, got)
	v.compared(len(want))
	for key, ids := range want {
		seen := make(map[int64]bool, len(ids))
		for _, r := range records[key] {
			var out struct{ ID, Last int64 } // of joined, of a tally
			if err := json.Unmarshal(r.Value, &out); err != nil {
				v.wrong(topic, key, "offset %d/%d: %v", r.Partition, r.Offset, err)
				break
			}
			seen[out.ID+out.Last] = true
		}
		for _, id := range ids {
			if !seen[id] {
				v.wrong(topic, key, "id %d never came out, in %d records of %d ids", id, len(records[key]), len(ids))
				break
			}
		}
	}
	reportStrangers(v, topic, records, want)
}

// idsOf returns the ids of updates.
func idsOf(want map[string][]update) map[string][]int64 {
	ids := make(map[string][]int64, len(want))
	for key, updates := range want {
		for _, u := range updates {
			ids[key] = append(ids[key], u.id)
		}
	}
	return ids
}

// countsMore reports whether a row counts every record that it should, and some of them more than once.
func countsMore(row, expected any) bool {
	got, is := row.(tally)
	want, both := expected.(tally)
	return is && both && got.N > want.N
}
