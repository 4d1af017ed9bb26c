package conformance_test

import (
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/topology"
	"github.com/seed84377926/millrace/topology/topologytest"
)

// folded is the naive aggregate of some records, in their order.
type folded struct {
	value     string
	n         int64
	gone      bool // nothing is there, or it was deleted
	timestamp int64
}

// fold aggregates records; a result longer than limit deletes the row.
func fold(records []record, limit int) folded {
	f := folded{gone: true}
	for _, r := range records {
		if f.gone {
			f = folded{timestamp: r.Timestamp}
		}
		f.value, f.n, f.timestamp = cat(f.value, r.Value), f.n+1, max(f.timestamp, r.Timestamp)
		f.gone = len(f.value) > limit
	}
	return f
}

const unlimited = 1 << 30

func (f folded) record(key string) record {
	if f.gone {
		return record{Key: key, NullValue: true, Timestamp: f.timestamp}
	}
	return record{Key: key, Value: f.value, Timestamp: f.timestamp}
}

func (f folded) count(key string) record {
	return record{Key: key, Value: str(f.n), Timestamp: f.timestamp}
}

// ofKey returns the records with the key of the last one, the last one included, if an aggregation uses it; nil if not.
func ofKey(past []event) []record {
	last := past[len(past)-1]
	if last.NullKey || last.NullValue {
		return nil
	}
	var records []record
	for _, e := range past {
		if !e.NullKey && !e.NullValue && e.Key == last.Key {
			records = append(records, e.record)
		}
	}
	return records
}

func countReference(dice *rand.Rand) reference {
	return reference{
		name:  "count",
		left:  randomChain(dice, true),
		after: randomChain(dice, false),
		define: func(b *topology.Builder, left, _ chain) stream {
			return left.build(source(b, "a")).GroupByKey().Count("s").ToStream().MapValues(str)
		},
		outputs: func(past []event) []record {
			records := ofKey(past)
			if records == nil {
				return nil
			}
			return []record{fold(records, unlimited).count(records[0].Key)}
		},
		rows: func(d *topologytest.Driver) (rows []record) {
			for _, row := range topologytest.Rows(d, "s", codecs.String, codecs.Int64) {
				rows = append(rows, record{Key: row.Key, Value: str(row.Value), Timestamp: row.Timestamp})
			}
			return rows
		},
	}
}

func aggregateReference(dice *rand.Rand) reference {
	limit := 8 + dice.IntN(20)
	return reference{
		name:  "aggregate, deleted when longer than " + str(int64(limit)),
		left:  randomChain(dice, true),
		after: randomChain(dice, false),
		define: func(b *topology.Builder, left, _ chain) stream {
			long := func(all string) bool { return len(all) > limit }
			return left.build(source(b, "a")).GroupByKey().
				Aggregate("s", none, add, codecs.String, topology.DeleteWhen(long)).ToStream()
		},
		outputs: func(past []event) []record {
			records := ofKey(past)
			if records == nil {
				return nil
			}
			return []record{fold(records, limit).record(records[0].Key)}
		},
		rows: tableRows("s"),
	}
}

// tableRows reads the rows of a key-value store.
func tableRows(store string) func(d *topologytest.Driver) []record {
	return func(d *topologytest.Driver) (rows []record) {
		for _, row := range topologytest.Rows(d, store, codecs.String, codecs.String) {
			rows = append(rows, record{Key: row.Key, Value: row.Value, Timestamp: row.Timestamp})
		}
		return rows
	}
}

// The aggregates of groups and sessions are sorted lists, so that it does not matter in which order values came and
// sessions were merged.

func sortedAdd(_, value, all string) string { return sortedMerge("", all, value) }

func sortedMerge(_, left, right string) string {
	var values []string
	for _, s := range []string{left, right} {
		if s != "" {
			values = append(values, strings.Split(s, "+")...)
		}
	}
	slices.Sort(values)
	return strings.Join(values, "+")
}
