package topology

import (
	"iter"

	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/topology/engine"
)

// timeAggregate aggregates records in time windows (Kafka Streams: KStreamWindowAggregate).
type timeAggregate[K, A any] struct {
	h       *engine.Host
	n       *node
	keys    keying[K]
	windows millis
	aggregation[A]
	*openWindows[*state.Windowed[K, A]]
	finals   *finals[K, A] // nil if every update is forwarded
	wantsOld bool
	next     receiver[change[K, A]]
	change   change[K, A]
}

func aggregateTimeWindows[K, A any](
	n *node, spec state.Spec, windows millis, graced bool, e emission, a aggregation[A], streams []feeder[K, A],
) WindowedTable[K, A] {
	keys := streams[0].keys
	store := keepWindows(n, spec, len(streams), keys.codec, a.codec, windows.size+windows.grace, func(kept int64) int64 {
		return windows.inTask(spec).gone(kept, len(streams))
	})
	if e.onClose {
		n.behind = windows.size + windows.grace
		store.keeping.fromClose()
	}
	return WindowedTable[K, A]{
		keys:    timeWindowedCodec[K]{keys.codec, spec.WindowSize.Milliseconds(), spec.Calendar},
		closing: closing{wait: windows.grace, length: windows.size, graced: graced, keeping: store.keeping},
		view: &view[Windowed[K], A]{value: a.codec, stores: []*storeInfo{store.info}, open: func(h *engine.Host) lookup[Windowed[K], A] {
			o, windows := store.open(h), windows.inTask(spec)
			return func(w Windowed[K], encoded []byte) (value A, timestamp int64, ok bool, err error) {
				if w.Window.End <= windows.gone(o.kept(), len(streams)) {
					return value, 0, false, nil
				}
				return o.rows.GetEncoded(encoded, w.Window.Start)
			}
		}},
		out: collect(n, streams, func(h *engine.Host, next receiver[change[K, A]]) func(int, *entry[K, A]) error {
			windows := windows.inTask(spec)
			o := &timeAggregate[K, A]{
				h: h, n: n, keys: keys, windows: windows, aggregation: a, openWindows: store.open(h), next: next,
				wantsOld: n.oldWanted(),
			}
			if e.onClose {
				f := finals[K, A]{h: h, n: n, reach: windows.size + windows.grace, closed: windows.lastClosed, ended: o.ended, next: next}
				if e.withinRetention {
					f.lost = func(w state.Window) bool { return w.Start < windows.last(o.now())-windows.retention }
				}
				o.finals = newFinals(f, o.clocks[0])
			}
			return o.process
		}),
	}
}

func (o *timeAggregate[K, A]) ended(after, last int64) iter.Seq2[state.WindowEntry[K, A], error] {
	return o.rows.Ended(after, last)
}

func (o *timeAggregate[K, A]) process(stream int, e *entry[K, A]) error {
	o.h.Enter(o.n)
	if e.NullKey {
		o.h.Drop(o.n, DropNullKey, e.Timestamp)
		return nil
	}
	clock, before := o.clocks[stream], o.now()
	clock.Advance(e.Timestamp)
	o.lateness.moved(before, o.now())
	encoded, err := o.keys.encode(o.h, o.n, e.key, e.Key)
	if err != nil {
		return err
	}
	gone := o.windows.gone(o.kept(), len(o.clocks))
	// A negative start has overflowed, or there is no other window.
	for w := o.windows.first(e.Timestamp); 0 <= w.Start && w.Start <= e.Timestamp; w = o.windows.after(w) {
		if o.windows.closed(w.End, clock.Now) {
			o.h.DropLate(o.n, DropLateWindow, e.Timestamp, clock.Now-o.windows.grace-w.End+1)
			continue
		}
		if err := o.update(encoded, w, gone, e); err != nil {
			return err
		}
	}
	return o.finals.record(clock.Now, e.Headers)
}

// update adds a record to a window.
func (o *timeAggregate[K, A]) update(encoded []byte, w state.Window, gone int64, e *entry[K, A]) (err error) {
	c := &o.change
	*c = change[K, A]{
		Key: e.Key, Window: w,
		Timestamp: e.Timestamp, Headers: e.Headers, key: e.key,
	}
	// A window that another stream has moved beyond is still open for this stream, but no longer kept
	// (docs/semantics.md, Expired rows).
	if w.End > gone {
		var timestamp int64
		if c.Old, timestamp, c.HasOld, err = o.rows.GetEncoded(encoded, w.Start); err != nil {
			return o.h.NodeError(o.n, err)
		}
		if c.HasOld {
			c.Timestamp = max(timestamp, e.Timestamp)
		}
	}
	o.h.Enter(o.n)
	c.New, c.HasNew = o.add(e.add, c.Old, c.HasOld)
	if w.End > gone {
		if err := setWindow(o.rows, encoded, c); err != nil {
			return o.h.NodeError(o.n, err)
		}
	}
	if o.finals != nil {
		return nil
	}
	if !c.HasOld && o.wantsOld {
		c.Old, c.HasOld = o.begin()
		c.Began = c.HasOld
	}
	return o.next(c)
}

// setWindow stores the new value of a change.
func setWindow[K, V any](store *state.Windowed[K, V], key []byte, c *change[K, V]) error {
	if c.HasNew {
		return store.PutEncoded(key, c.Window.Start, c.New, c.Timestamp)
	}
	return store.DeleteEncoded(key, c.Window.Start)
}
