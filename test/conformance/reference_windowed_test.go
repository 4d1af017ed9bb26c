package conformance_test

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/topology"
	"github.com/seed84377926/millrace/topology/topologytest"
)

// timeWindows are tumbling or hopping windows, in milliseconds.
type timeWindows struct{ size, advance, grace, retention int64 }

func randomTumbling(dice *rand.Rand) timeWindows {
	size, grace := 1+dice.Int64N(20), dice.Int64N(15)
	return timeWindows{size: size, advance: size, grace: grace, retention: size + grace + dice.Int64N(30)}
}

func (w timeWindows) String() string {
	return fmt.Sprintf("size=%d advance=%d grace=%d retention=%d", w.size, w.advance, w.grace, w.retention)
}

func (w timeWindows) topology() topology.TimeWindows {
	return topology.Tumbling(millis(w.size)).Grace(millis(w.grace)).Retention(millis(w.retention))
}

func millis(n int64) time.Duration { return time.Duration(n) * time.Millisecond }

// of returns the windows that hold a timestamp, the earliest first.
func (w timeWindows) of(timestamp int64) (windows []state.Window) {
	for start := int64(0); start <= timestamp; start += w.advance {
		if timestamp < start+w.size {
			windows = append(windows, state.Window{Start: start, End: start + w.size})
		}
	}
	return windows
}

// updates returns the windows that the last record updates, each with all records that it holds by then. A record is too late for
// a window that had closed when it came. Null values count.
func (w timeWindows) updates(past []event) (windows []state.Window, records [][]record) {
	last := past[len(past)-1]
	if last.NullKey {
		return nil, nil
	}
	for _, window := range w.of(last.Timestamp) {
		var held []record
		now, open := int64(-1), false
		for _, e := range past {
			if e.NullKey {
				continue
			}
			now = max(now, e.Timestamp)
			open = window.End > now-w.grace
			if open && e.Key == last.Key && window.Start <= e.Timestamp && e.Timestamp < window.End {
				held = append(held, e.record)
			}
		}
		if open {
			windows, records = append(windows, window), append(records, held)
		}
	}
	return windows, records
}

// kept reports whether a window is in the store still.
func (w timeWindows) kept(past []event, row record) bool {
	now := int64(-1)
	for _, e := range past {
		if !e.NullKey {
			now = max(now, e.Timestamp)
		}
	}
	return windowOf(row.Key).Start+w.retention > now
}

// windowOf reads what inWindow wrote.
func windowOf(key string) (w state.Window) {
	var inner string
	if _, err := fmt.Sscanf(key, "%1s@%d/%d", &inner, &w.Start, &w.End); err != nil {
		panic(err)
	}
	return w
}

func tumblingReference(dice *rand.Rand) reference {
	w := randomTumbling(dice)
	return reference{
		name:  "windowed aggregate " + w.String(),
		left:  randomChain(dice, true),
		after: randomChain(dice, false),
		define: func(b *topology.Builder, left, _ chain) stream {
			return left.build(source(b, "a")).GroupByKey().WindowedBy(w.topology()).
				Aggregate("w", none, add, codecs.String).ToStream(inWindow)
		},
		outputs: func(past []event) (out []record) {
			windows, records := w.updates(past)
			for i, window := range windows {
				out = append(out, fold(records[i], unlimited).record(inWindow(records[i][0].Key, window)))
			}
			return out
		},
		rows: windowRows("w"),
		kept: w.kept,
	}
}

func tumblingCountReference(dice *rand.Rand) reference {
	w := randomTumbling(dice)
	return reference{
		name:  "windowed count " + w.String(),
		left:  randomChain(dice, true),
		after: randomChain(dice, false),
		define: func(b *topology.Builder, left, _ chain) stream {
			return left.build(source(b, "a")).GroupByKey().WindowedBy(w.topology()).Count("w").ToStream(inWindow).MapValues(str)
		},
		outputs: func(past []event) (out []record) {
			windows, records := w.updates(past)
			for i, window := range windows {
				out = append(out, fold(records[i], unlimited).count(inWindow(records[i][0].Key, window)))
			}
			return out
		},
	}
}

// windowRows reads the rows of a window store.
func windowRows(store string) func(d *topologytest.Driver) []record {
	return func(d *topologytest.Driver) (rows []record) {
		for _, row := range topologytest.Windows(d, store, codecs.String, codecs.String) {
			rows = append(rows, record{Key: inWindow(row.Key, row.Window), Value: row.Value, Timestamp: row.Timestamp})
		}
		return rows
	}
}
