package conformance_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
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

func randomHopping(dice *rand.Rand) timeWindows {
	w := randomTumbling(dice)
	w.advance = 1 + dice.Int64N(w.size)
	return w
}

func (w timeWindows) String() string {
	return fmt.Sprintf("size=%d advance=%d grace=%d retention=%d", w.size, w.advance, w.grace, w.retention)
}

func (w timeWindows) topology() topology.TimeWindows {
	return topology.Hopping(millis(w.size), millis(w.advance)).Grace(millis(w.grace)).Retention(millis(w.retention))
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

// held returns the records that a window of a key holds, and whether it is open after the last record. A record is too
// late for a window that was closed when it came. Null values count.
func (w timeWindows) held(past []event, key string, window state.Window) (records []record, open bool) {
	now := int64(-1)
	for _, e := range past {
		if e.NullKey {
			continue
		}
		now = max(now, e.Timestamp)
		open = window.End > now-w.grace
		if open && e.Key == key && window.Start <= e.Timestamp && e.Timestamp < window.End {
			records = append(records, e.record)
		}
	}
	return records, open
}

// outputs returns an output for each window that the last record updates; result makes it of the records of the window.
func (w timeWindows) outputs(result func(key string, records []record) record) func(past []event) []record {
	return func(past []event) (out []record) {
		last := past[len(past)-1]
		if last.NullKey {
			return nil
		}
		for _, window := range w.of(last.Timestamp) {
			if records, open := w.held(past, last.Key, window); open {
				out = append(out, result(inWindow(last.Key, window), records))
			}
		}
		return out
	}
}

// finals returns an output for each window that the last record closes, in the order of their starts and keys.
func (w timeWindows) finals(result func(key string, records []record) record) func(past []event) []record {
	return func(past []event) (out []record) {
		if past[len(past)-1].NullKey {
			return nil
		}
		before, now := nowOf(past[:len(past)-1], hasKey), nowOf(past, hasKey)
		done := make(map[string]bool)
		for _, e := range past {
			if e.NullKey {
				continue
			}
			for _, window := range w.of(e.Timestamp) {
				key, closes := inWindow(e.Key, window), window.End+w.grace
				if done[key] || closes <= before || closes > now {
					continue
				}
				done[key] = true
				if records, _ := w.held(past, e.Key, window); len(records) > 0 {
					out = append(out, result(key, records))
				}
			}
		}
		sortByStart(out)
		return out
	}
}

// sortByStart sorts by the starts of windows, then by keys.
func sortByStart(records []record) {
	slices.SortFunc(records, func(a, b record) int {
		return cmp.Or(cmp.Compare(windowOf(a.Key).Start, windowOf(b.Key).Start), strings.Compare(a.Key, b.Key))
	})
}

func hasKey(e event) bool { return !e.NullKey }

// The results of windows.

func foldedWindow(key string, records []record) record { return fold(records, unlimited).record(key) }

func countedWindow(key string, records []record) record { return fold(records, unlimited).count(key) }

// kept reports whether a window is in the store still.
func (w timeWindows) kept(past []event, row record) bool {
	return windowOf(row.Key).Start+w.retention > nowOf(past, hasKey)
}

// windowOf reads what inWindow wrote.
func windowOf(key string) (w state.Window) {
	var inner string
	if _, err := fmt.Sscanf(key, "%1s@%d/%d", &inner, &w.Start, &w.End); err != nil {
		panic(err)
	}
	return w
}

func windowReference(windows func(dice *rand.Rand) timeWindows) func(dice *rand.Rand) reference {
	return func(dice *rand.Rand) reference {
		w := windows(dice)
		return reference{
			name: "windows " + w.String(), left: randomChain(dice, true), after: randomChain(dice, false),
			outputs: w.outputs(foldedWindow), rows: windowRows("w"), kept: w.kept,
			define: func(b *topology.Builder, left, _ chain) stream {
				return left.build(source(b, "a")).GroupByKey().WindowedBy(w.topology()).
					Aggregate("w", none, add, codecs.String).ToStream(inWindow)
			},
		}
	}
}

func windowCountReference(dice *rand.Rand) reference {
	w := randomHopping(dice)
	return reference{
		name: "counts of windows " + w.String(), left: randomChain(dice, true), after: randomChain(dice, false),
		outputs: w.outputs(countedWindow),
		define: func(b *topology.Builder, left, _ chain) stream {
			return left.build(source(b, "a")).GroupByKey().WindowedBy(w.topology()).Count("w").ToStream(inWindow).MapValues(str)
		},
	}
}

func windowCloseReference(dice *rand.Rand) reference {
	w := randomHopping(dice)
	return reference{
		name: "closed windows " + w.String(), left: randomChain(dice, true), after: randomChain(dice, false),
		outputs: w.finals(foldedWindow),
		define: func(b *topology.Builder, left, _ chain) stream {
			return left.build(source(b, "a")).GroupByKey().WindowedBy(w.topology()).EmitOnClose().
				Aggregate("w", none, add, codecs.String).ToStream(inWindow)
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
