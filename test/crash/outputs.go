//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed84377926/millrace/codecs"
)

// checkInput compares the source topics with the records that were produced: a record that was lost or duplicated on
// its way to the broker is not caused by the application, and would invalidate all other findings.
func checkInput(v *verdict, topic string, got [][]*kgo.Record, log *[partitions][]sent) {
	for p, records := range got {
		if len(records) != len(log[p]) {
			v.wrong(topic, fmt.Sprintf("partition %d", p), "the input itself: expected %d records, got %d", len(log[p]), len(records))
			continue
		}
		for i, r := range records {
			if s := log[p][i]; r.Offset != s.offset || string(r.Key) != s.key || r.Timestamp.UnixMilli() != s.timestamp {
				v.wrong(topic, fmt.Sprintf("partition %d", p), "the input itself: expected %v, got offset %d key %s", s, r.Offset, r.Key)
				break
			}
		}
	}
}

// outputKey decodes the key of an output topic to its name in the truth.
func outputKey(t topics, topic string, key []byte) (string, error) {
	size := recentSize
	switch topic {
	case t.hours:
		size = hourSize
	case t.recent:
	default:
		return string(key), nil
	}
	w, err := windowCodec(size).Decode(key)
	return windowedKey(w.Key, w.Window.Start), err
}

// byOutputKey sorts the records of an output topic by key, in the order of their offsets. A key lives in one partition.
func byOutputKey(v *verdict, t topics, topic string, got [][]*kgo.Record) map[string][]*kgo.Record {
	byKey := make(map[string][]*kgo.Record)
	for _, r := range flatten(got) {
		key, err := outputKey(t, topic, r.Key)
		if err != nil {
			v.wrong(topic, fmt.Sprintf("%x", r.Key), "undecodable key: %v", err)
			continue
		}
		if before := byKey[key]; len(before) > 0 && before[0].Partition != r.Partition {
			v.wrong(topic, key, "it is in partitions %d and %d", before[0].Partition, r.Partition)
		}
		byKey[key] = append(byKey[key], r)
	}
	return byKey
}

// checkOutputs compares all output topics.
func checkOutputs(v *verdict, t topics, records map[string][][]*kgo.Record, tr *truth) {
	for topic, want := range tr.ordered {
		if v.atLeastOnce {
			checkNoneMissing(v, t, topic, records[topic], idsOf(want))
		} else {
			checkOrdered(v, t, topic, records[topic], want)
		}
	}
	for topic, want := range tr.unordered {
		if v.atLeastOnce {
			checkNoneMissing(v, t, topic, records[topic], want)
		} else {
			checkUnordered(v, t, topic, records[topic], want)
		}
	}
}

// checkOrdered compares an output topic whose order is known.
func checkOrdered(v *verdict, t topics, topic string, got [][]*kgo.Record, want map[string][]update) {
	records := byOutputKey(v, t, topic, got)
	v.compared(len(want))
	for key, updates := range want {
		var sum tally
		for i, u := range updates {
			var expected any
			if topic == t.joined {
				expected = joined{ID: u.id, Word: fmt.Sprintf("w%02d", hash(u.id)%wordCount), Version: u.version}
			} else {
				sum = sum.add(u.id)
				expected = sum
			}
			if i >= len(records[key]) {
				v.wrong(topic, key, "expected %d records, got %d; the first that is missing is %+v", len(updates), len(records[key]), expected)
				break
			}
			r := records[key][i]
			if what := differs(r, expected, u.timestamp); what != "" {
				v.wrong(topic, key, "record %d of %d (%d came), offset %d/%d: %s", i+1, len(updates), len(records[key]), r.Partition, r.Offset, what)
				break
			}
		}
		if extra := len(records[key]) - len(updates); extra > 0 {
			v.wrong(topic, key, "expected %d records, got %d more, the first at %d/%d: %s", len(updates), extra,
				records[key][len(updates)].Partition, records[key][len(updates)].Offset, records[key][len(updates)].Value)
		}
	}
	reportStrangers(v, topic, records, want)
}

// differs describes how a record differs from the expected value and timestamp, "" if it does not.
func differs(r *kgo.Record, expected any, timestamp int64) string {
	want, err := json.Marshal(expected)
	if err != nil {
		return err.Error()
	}
	if string(want) != string(r.Value) {
		return fmt.Sprintf("expected %s, got %s", want, r.Value)
	}
	if timestamp != 0 && r.Timestamp.UnixMilli() != timestamp {
		return fmt.Sprintf("expected timestamp %d, got %d, of %s", timestamp, r.Timestamp.UnixMilli(), r.Value)
	}
	return ""
}

// checkUnordered compares an output topic after the repartition: in any order, each record must add one id to the
// record before it, which belongs to the key and was not counted before.
func checkUnordered(v *verdict, t topics, topic string, got [][]*kgo.Record, want map[string][]int64) {
	records := byOutputKey(v, t, topic, got)
	v.compared(len(want))
	for key, ids := range want {
		if len(records[key]) != len(ids) {
			v.wrong(topic, key, "expected %d records, got %d", len(ids), len(records[key]))
			continue
		}
		left := make(map[int64]bool, len(ids))
		for _, id := range ids {
			left[id] = true
		}
		var before tally
		for i, r := range records[key] {
			var now tally
			if err := json.Unmarshal(r.Value, &now); err != nil {
				v.wrong(topic, key, "record %d, offset %d/%d: %v", i+1, r.Partition, r.Offset, err)
				break
			}
			if !left[now.Last] {
				v.wrong(topic, key, "record %d, offset %d/%d counts id %d, which is not its own or was counted before", i+1, r.Partition, r.Offset, now.Last)
				break
			}
			delete(left, now.Last)
			if step := before.add(now.Last); now != step {
				v.wrong(topic, key, "record %d, offset %d/%d: expected %+v, got %+v", i+1, r.Partition, r.Offset, step, now)
				break
			}
			before = now
		}
	}
	reportStrangers(v, topic, records, want)
}

// reportStrangers reports keys that should not exist.
func reportStrangers[W any](v *verdict, topic string, got map[string][]*kgo.Record, want map[string][]W) {
	for _, key := range slices.Sorted(maps.Keys(got)) {
		if _, ok := want[key]; !ok {
			v.wrong(topic, key, "expected nothing, got %d records", len(got[key]))
		}
	}
}

// compareTable compares the final rows of one store, from any source.
func compareTable(v *verdict, where string, got, want map[string]any) {
	v.compared(len(want))
	for key, expected := range want {
		if row, ok := got[key]; !ok {
			v.wrong(where, key, "expected %+v, got no row", expected)
		} else if row != expected && (!v.atLeastOnce || !countsMore(row, expected)) {
			v.wrong(where, key, "expected %+v, got %+v", expected, row)
		}
	}
	for key, row := range got {
		if _, ok := want[key]; !ok {
			v.wrong(where, key, "expected no row, got %+v", row)
		}
	}
}

// rowValue decodes the value of a store to its form in the truth.
func rowValue(store string, value []byte) (any, error) {
	if store == storeProfiles {
		return codecs.Int64.Decode(value)
	}
	sum, err := codecs.JSON[tally]().Decode(value)
	return orderless(store, sum), err
}

// orderless removes the parts of an aggregate that depend on the order of arrival.
func orderless(store string, sum tally) tally {
	if store == storeByWord || store == storeHours {
		sum.Last = 0
	}
	return sum
}
