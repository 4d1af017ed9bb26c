package conformance_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/topology"
)

// slidingWindows are sliding windows, in milliseconds. Late records make what windows hold depend on which one was made
// from which, so that the naive definition is for a grace that nothing is late for; the recordings have late ones.
type slidingWindows struct{ difference, grace int64 }

func randomSliding(dice *rand.Rand) slidingWindows {
	return slidingWindows{difference: 1 + dice.Int64N(12), grace: maxLag + dice.Int64N(10)}
}

func (w slidingWindows) String() string {
	return fmt.Sprintf("difference=%d grace=%d", w.difference, w.grace)
}

func (w slidingWindows) topology() topology.SlidingWindows {
	return topology.Sliding(millis(w.difference)).Grace(millis(w.grace))
}

// windows returns the windows of some records of one key, by start: windows that end at a record and, if they are not
// empty, windows that begin right after a record. None begins before 0.
func (w slidingWindows) windows(records []record) map[int64][]record {
	in := func(start int64) (held []record) {
		for _, r := range records {
			if start <= r.Timestamp && r.Timestamp <= start+w.difference {
				held = append(held, r)
			}
		}
		return held
	}
	all := make(map[int64][]record)
	for _, r := range records {
		for _, start := range []int64{max(0, r.Timestamp-w.difference), r.Timestamp + 1} {
			if held := in(start); len(held) > 0 {
				all[start] = held
			}
		}
	}
	return all
}

// behind reports whether a window that ends with the last record is also made as the one that begins right after the
// record before: Kafka Streams then has two outputs for it. It looks for the record before in windows that start up to
// two differences earlier.
func (w slidingWindows) behind(records []record, before map[int64][]record, start int64) bool {
	return slices.ContainsFunc(records, func(r record) bool { return r.Timestamp == start-1 }) &&
		slices.ContainsFunc(slices.Collect(maps.Keys(before)), func(s int64) bool { return start-w.difference <= s && s < start })
}

// outputs are the windows that hold the last record and the windows that exist because of it.
func (w slidingWindows) outputs(past []event) (out []record) {
	records := ofKey(past)
	if records == nil {
		return nil
	}
	last := records[len(records)-1]
	before, after := w.windows(records[:len(records)-1]), w.windows(records)
	for _, start := range slices.Sorted(maps.Keys(after)) {
		if _, was := before[start]; was && (last.Timestamp < start || start+w.difference < last.Timestamp) {
			continue
		}
		window := state.Window{Start: start, End: start + w.difference}
		r := fold(after[start], unlimited).record(inWindow(last.Key, window))
		out = append(out, r)
		if _, was := before[start]; !was && window.End == last.Timestamp && w.behind(records, before, start) {
			out = append(out, r)
		}
	}
	return out
}

// finals are the windows that the last record closes, in the order of their starts and keys.
func (w slidingWindows) finals(past []event) (out []record) {
	if ofKey(past) == nil {
		return nil
	}
	before, now := nowOf(past[:len(past)-1], usable), nowOf(past, usable)
	keys := make(map[string][]record)
	for _, e := range past {
		if usable(e) {
			keys[e.Key] = append(keys[e.Key], e.record)
		}
	}
	for key, records := range keys {
		for start, held := range w.windows(records) {
			window := state.Window{Start: start, End: start + w.difference}
			if closes := window.End + w.grace; before <= closes && closes < now {
				out = append(out, fold(held, unlimited).record(inWindow(key, window)))
			}
		}
	}
	sortByStart(out)
	return out
}

func slidingReference(dice *rand.Rand) reference {
	w := randomSliding(dice)
	return reference{
		name: "sliding windows " + w.String(), left: randomChain(dice, true), after: randomChain(dice, false),
		outputs: w.outputs, anyOrder: true,
		define: func(b *topology.Builder, left, _ chain) stream {
			return left.build(source(b, "a")).GroupByKey().WindowedBy(w.topology()).
				Aggregate("w", none, add, codecs.String).ToStream(inWindow)
		},
	}
}

func slidingCloseReference(dice *rand.Rand) reference {
	w := randomSliding(dice)
	return reference{
		name: "closed sliding windows " + w.String(), left: randomChain(dice, true), after: randomChain(dice, false), outputs: w.finals,
		define: func(b *topology.Builder, left, _ chain) stream {
			return left.build(source(b, "a")).GroupByKey().WindowedBy(w.topology()).EmitOnClose().
				Aggregate("w", none, add, codecs.String).ToStream(inWindow)
		},
	}
}
