package topology

import (
	"slices"

	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/topology/engine"
)

// slidingAggregate aggregates records in sliding windows, by the rules of Kafka Streams
// (KStreamSlidingWindowAggregate). Each record at t makes a left window, which ends at t, and a right window, which
// starts directly after t. The store holds a row for each window that is not empty. The rows show which records exist:
// the timestamp of a row is the timestamp of the last record in its window, and each record has its left window.
type slidingAggregate[K, A any] struct {
	h                            *engine.Host
	n                            *node
	keys                         keying[K]
	difference, grace, retention int64
	aggregation[A]
	*openWindows[*state.Windowed[K, A]]
	finals *finals[K, A]    // nil if every update is forwarded
	latest *engine.KeptTime // the start of the last window; nil if no operator needs it
	next   receiver[change[K, A]]
	change change[K, A]

	// The record that is processed.
	e       *entry[K, A]
	encoded []byte
	closed  int64                     // windows that end before are closed
	found   []state.WindowEntry[K, A] // windows that the record may affect, by start
}

func aggregateSlidingWindows[K, A any](
	n *node, w SlidingWindows, e emission, a aggregation[A], streams []feeder[K, A],
) WindowedTable[K, A] {
	keys, spec := streams[0].keys, w.spec(n.name)
	difference, grace, retention := w.difference.Milliseconds(), w.grace.Milliseconds(), spec.Retention.Milliseconds()
	reach := 2*difference + grace + 2
	store := keepWindows(n, spec, len(streams), keys.codec, a.codec, grace, func(kept int64) int64 { return kept - retention - 1 })
	if e.onClose {
		n.behind = reach
		store.keeping.fromClose()
	}
	return WindowedTable[K, A]{
		keys:    TimeWindowedCodec(keys.codec, w.difference),
		closing: closing{wait: grace, length: 2*difference + 1, graced: w.graced, keeping: store.keeping},
		view: &view[Windowed[K], A]{value: a.codec, stores: []*storeInfo{store.info}, open: func(h *engine.Host) lookup[Windowed[K], A] {
			o := store.open(h)
			return func(w Windowed[K], encoded []byte) (value A, timestamp int64, ok bool, err error) {
				if w.Window.End < o.kept()-retention {
					return value, 0, false, nil
				}
				return o.rows.GetEncoded(encoded, w.Window.Start)
			}
		}},
		out: collect(n, streams, func(h *engine.Host, next receiver[change[K, A]]) func(int, *entry[K, A]) error {
			o := &slidingAggregate[K, A]{
				h: h, n: n, keys: keys, difference: difference, grace: grace, retention: retention,
				aggregation: a, openWindows: store.open(h), next: next,
			}
			if e.onClose {
				closed := func(now int64) int64 { return now - grace - 1 }
				f := finals[K, A]{h: h, n: n, reach: reach, closed: closed, ended: o.rows.Ended, next: next}
				if e.withinRetention {
					o.latest = h.StoredTime(n.name + "/latest")
					f.lost = func(w state.Window) bool { return w.Start < o.latest.Now-retention }
				}
				o.finals = newFinals(f, o.clocks[0])
			}
			return o.process
		}),
	}
}

func (o *slidingAggregate[K, A]) process(stream int, e *entry[K, A]) (err error) {
	o.h.Enter(o.n)
	switch {
	case e.NullKey:
		o.h.Drop(o.n, DropNullKey, e.Timestamp)
		return nil
	case e.NullValue:
		o.h.Drop(o.n, DropNullValue, e.Timestamp)
		return nil
	}
	clock, before := o.clocks[stream], o.now()
	clock.Advance(e.Timestamp)
	o.lateness.moved(before, o.now())
	o.closed = clock.Now - o.grace
	if late := o.closed - e.Timestamp - o.difference; late > 0 {
		o.h.DropLate(o.n, DropLateWindow, e.Timestamp, late)
		return nil
	}
	o.e = e
	if o.encoded, err = o.keys.encode(o.h, o.n, e.key, e.Key); err != nil {
		return err
	}
	if err := o.find(); err != nil {
		return err
	}
	if e.Timestamp < o.difference {
		err = o.early()
	} else {
		err = o.regular()
	}
	if err != nil {
		return err
	}
	return o.finals.record(clock.Now, e.Headers)
}

// find reads the windows of the key that the record may affect: from the windows that hold the record before it, to the
// window directly after it.
func (o *slidingAggregate[K, A]) find() error {
	clear(o.found)
	o.found = o.found[:0]
	at := o.e.Timestamp
	// Older rows may or may not have expired.
	from := max(0, at-2*o.difference, o.now()-o.retention-o.difference)
	var err error
	if o.found, err = o.rows.FetchEncoded(o.found, o.encoded, from, at+2); err != nil {
		return o.h.NodeError(o.n, err)
	}
	return nil
}

func (o *slidingAggregate[K, A]) has(start int64) bool {
	_, ok := slices.BinarySearchFunc(o.found, start, func(w state.WindowEntry[K, A], start int64) int {
		return int(min(max(w.Window.Start-start, -1), 1))
	})
	return ok
}

// regular adds a record whose left window does not start before the epoch.
func (o *slidingAggregate[K, A]) regular() error {
	at := o.e.Timestamp
	var before, later *state.WindowEntry[K, A] // the left window and the right window are made from these
	hasLeft, hasRight := false, false
	previous := int64(engine.UnknownTime) // the timestamp of the record before
	for i := len(o.found) - 1; i >= 0 && before == nil; i-- {
		w := &o.found[i]
		end := w.Window.Start + o.difference
		switch {
		case w.Window.Start == at+1:
			hasRight = true
		case end < at:
			before, previous = w, w.Timestamp
		default:
			if err := o.update(w); err != nil {
				return err
			}
			if end == at {
				hasLeft = true
				if w.Timestamp == at { // there was a record at the same time: all windows were there
					return nil
				}
				previous = w.Timestamp
			} else if later == nil {
				later = w
			}
		}
	}
	if start := previous + 1; previous != engine.UnknownTime && start+o.difference >= at && !o.has(start) {
		if err := o.create(start, nil); err != nil {
			return err
		}
	}
	if !hasLeft {
		if previous == engine.UnknownTime || previous < at-o.difference {
			before = nil
		}
		if err := o.create(at-o.difference, before); err != nil {
			return err
		}
	}
	return o.right(hasRight, later)
}

// early adds a record whose left window would start before the epoch. All such records share the window that starts at
// the epoch.
func (o *slidingAggregate[K, A]) early() error {
	at := o.e.Timestamp
	var first, later *state.WindowEntry[K, A]
	hasRight := false
	previous := int64(engine.UnknownTime)
	for i := range o.found {
		w := &o.found[i]
		switch w.Window.Start {
		case 0:
			first = w
			if w.Timestamp < at {
				previous = w.Timestamp
			}
		case at + 1:
			hasRight = true
		default:
			later = w
			if err := o.update(w); err != nil {
				return err
			}
		}
	}
	if later == nil && first != nil && first.Timestamp > at {
		later = first // all records are later
	}
	if err := o.right(hasRight, later); err != nil {
		return err
	}
	if previous != engine.UnknownTime && !o.has(previous+1) {
		if err := o.create(previous+1, nil); err != nil {
			return err
		}
	}
	if first == nil {
		return o.create(0, nil)
	}
	return o.update(first)
}

// right makes the right window of the record, if there are records for it: later is a window that holds exactly these
// records.
func (o *slidingAggregate[K, A]) right(exists bool, later *state.WindowEntry[K, A]) error {
	if exists || later == nil || later.Timestamp <= o.e.Timestamp {
		return nil
	}
	start := o.e.Timestamp + 1
	o.changeOf(start, later.Timestamp)
	o.change.New, o.change.HasNew = later.Value, true
	return o.finish()
}

// update adds the record to an existing window.
func (o *slidingAggregate[K, A]) update(w *state.WindowEntry[K, A]) error {
	if late := o.closed - w.Window.Start - o.difference; late > 0 {
		o.h.DropLate(o.n, DropLateWindow, o.e.Timestamp, late)
		return nil
	}
	o.changeOf(w.Window.Start, max(w.Timestamp, o.e.Timestamp))
	o.change.Old, o.change.HasOld = w.Value, true
	o.change.New, o.change.HasNew = o.add(o.e.add, w.Value, true)
	return o.finish()
}

// create makes a window of the record and the records of another window, nil if there are none.
func (o *slidingAggregate[K, A]) create(start int64, others *state.WindowEntry[K, A]) error {
	if late := o.closed - start - o.difference; late > 0 {
		o.h.DropLate(o.n, DropLateWindow, o.e.Timestamp, late)
		return nil
	}
	o.changeOf(start, o.e.Timestamp)
	var aggregate A
	if others != nil {
		aggregate = others.Value
	}
	o.change.New, o.change.HasNew = o.add(o.e.add, aggregate, others != nil)
	return o.finish()
}

// changeOf begins the change of a window.
func (o *slidingAggregate[K, A]) changeOf(start, timestamp int64) {
	o.h.Enter(o.n)
	o.change = change[K, A]{
		Key: o.e.Key, Window: state.Window{Start: start, End: start + o.difference},
		Timestamp: timestamp, Headers: o.e.Headers, key: o.e.key,
	}
}

// finish stores and forwards the change of a window.
func (o *slidingAggregate[K, A]) finish() error {
	c := &o.change
	if err := setWindow(o.rows, o.encoded, c); err != nil {
		return o.h.NodeError(o.n, err)
	}
	if o.latest != nil {
		o.latest.Advance(c.Window.Start)
	}
	if o.finals != nil {
		return nil
	}
	return o.next(c)
}
