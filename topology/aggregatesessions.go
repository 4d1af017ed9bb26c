package topology

import (
	"iter"
	"time"

	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/topology/engine"
)

// sessionAggregate aggregates records in sessions (Kafka Streams: KStreamSessionWindowAggregate).
type sessionAggregate[K, A any] struct {
	h                     *engine.Host
	n                     *node
	keys                  keying[K]
	gap, grace, retention int64
	aggregation[A]
	merge func(key K, a, b A) A
	*openWindows[*state.Sessions[K, A]]
	finals *finals[K, A] // nil if every update is forwarded
	next   receiver[change[K, A]]
	change change[K, A]
	found  []state.SessionEntry[K, A] // those that the record continues
}

func aggregateSessions[K, A any](
	n *node, w SessionWindows, e emission, a aggregation[A], merge func(key K, a, b A) A, streams ...feeder[K, A],
) WindowedTable[K, A] {
	a.store.refuse(n)
	keys, spec := streams[0].keys, w.spec(n.name)
	gap, grace, retention := w.gap.Milliseconds(), w.grace.Milliseconds(), spec.Retention.Milliseconds()
	n.timed = true
	info := n.keep(spec)
	reach := gap + grace + 2
	if e.onClose {
		n.behind = reach
	}
	store := &aggregateStore[*state.Sessions[K, A]]{
		info: info, streams: len(streams), keeping: &keeping{info: info, retention: retention, wait: gap + grace},
		create: func(h *engine.Host) (*state.Sessions[K, A], error) {
			return state.NewSessions(spec, h.State(), h.Budget(), keys.codec, a.codec)
		},
		expire: func(rows *state.Sessions[K, A], kept int64) error {
			// A session of exactly this age is not continued any more, but has not closed yet.
			_, err := rows.Expire(kept - retention)
			return err
		},
	}
	if e.onClose {
		store.keeping.fromClose()
	}
	return WindowedTable[K, A]{
		keys:    SessionWindowedCodec(keys.codec),
		closing: closing{wait: gap + grace, graced: w.graced, keeping: store.keeping},
		view: &view[Windowed[K], A]{value: a.codec, stores: []*storeInfo{store.info}, open: func(h *engine.Host) lookup[Windowed[K], A] {
			o := store.open(h)
			return func(w Windowed[K], encoded []byte) (value A, timestamp int64, ok bool, err error) {
				if w.Window.End < o.kept()-retention {
					return value, 0, false, nil
				}
				return o.rows.GetEncoded(encoded, state.Session(w.Window))
			}
		}},
		out: collect(n, streams, func(h *engine.Host, next receiver[change[K, A]]) func(int, *entry[K, A]) error {
			o := &sessionAggregate[K, A]{
				h: h, n: n, keys: keys, gap: gap, grace: grace, retention: retention,
				aggregation: a, merge: merge, openWindows: store.open(h), next: next,
			}
			if e.onClose {
				closed := func(now int64) int64 { return now - grace - gap - 1 }
				f := finals[K, A]{h: h, n: n, reach: reach, closed: closed, ended: o.ended, next: next}
				if e.withinRetention {
					segment := max(retention/2, time.Minute.Milliseconds())
					f.lost = func(w state.Window) bool { return w.End/segment < (o.now()-retention)/segment }
				}
				o.finals = newFinals(f, o.clocks[0])
			}
			return o.process
		}),
	}
}

func (o *sessionAggregate[K, A]) ended(after, last int64) iter.Seq2[state.WindowEntry[K, A], error] {
	return func(yield func(state.WindowEntry[K, A], error) bool) {
		for e, err := range o.rows.Ended(after, last) {
			w := state.WindowEntry[K, A]{Key: e.Key, Window: state.Window(e.Session), Value: e.Value, Timestamp: e.Timestamp}
			if !yield(w, err) {
				return
			}
		}
	}
}

func (o *sessionAggregate[K, A]) process(stream int, e *entry[K, A]) error {
	o.h.Enter(o.n)
	if e.NullKey {
		o.h.Drop(o.n, DropNullKey, e.Timestamp)
		return nil
	}
	encoded, err := o.keys.encode(o.h, o.n, e.key, e.Key)
	if err != nil {
		return err
	}
	before := o.now()
	gone := before - o.retention
	clock := o.clocks[stream]
	clock.Advance(e.Timestamp)
	o.lateness.moved(before, o.now())
	session, err := o.find(encoded, e.Timestamp, gone)
	if err != nil {
		return err
	}
	if late := clock.Now - o.gap - o.grace - session.End; late > 0 {
		o.h.DropLate(o.n, DropLateWindow, e.Timestamp, late)
	} else if err := o.update(encoded, session, e); err != nil {
		return err
	}
	return o.finals.record(clock.Now, e.Headers)
}

// find reads the sessions that a record continues, and returns the session that it makes of them.
func (o *sessionAggregate[K, A]) find(encoded []byte, at, gone int64) (state.Session, error) {
	clear(o.found)
	o.found = o.found[:0]
	session := state.Session{Start: at, End: at}
	var err error
	if o.found, err = o.rows.FindSessionsEncoded(o.found, encoded, max(at-o.gap, gone+1), at+o.gap); err != nil {
		return session, o.h.NodeError(o.n, err)
	}
	for i := range o.found {
		s := &o.found[i]
		session.Start, session.End = min(session.Start, s.Session.Start), max(session.End, s.Session.End)
	}
	return session, nil
}

// update makes one session of the sessions found and the record.
func (o *sessionAggregate[K, A]) update(encoded []byte, session state.Session, e *entry[K, A]) error {
	aggregate, had := o.begin()
	for i := range o.found {
		if had {
			aggregate = o.merge(e.Key, aggregate, o.found[i].Value)
		} else {
			aggregate, had = o.found[i].Value, true
		}
	}
	c := &o.change
	// A record at the only time of a session changes nothing but the value.
	same := session.Start == session.End && len(o.found) > 0
	if !same {
		for i := range o.found {
			old := &o.found[i]
			if err := o.rows.RemoveEncoded(encoded, old.Session); err != nil {
				return o.h.NodeError(o.n, err)
			}
			*c = change[K, A]{
				Key: e.Key, Window: state.Window(old.Session), Old: old.Value, HasOld: true, Timestamp: old.Session.End, key: e.key,
			}
			if err := o.forward(); err != nil {
				return err
			}
		}
	}
	o.h.Enter(o.n)
	*c = change[K, A]{Key: e.Key, Window: state.Window(session), Timestamp: session.End, key: e.key}
	if same {
		c.Old, c.HasOld = o.found[0].Value, true
	}
	c.New, c.HasNew = o.add(e.add, aggregate, had)
	var err error
	if c.HasNew {
		err = o.rows.PutEncoded(encoded, session, c.New, c.Timestamp)
	} else {
		err = o.rows.RemoveEncoded(encoded, session)
	}
	if err != nil {
		return o.h.NodeError(o.n, err)
	}
	return o.forward()
}

func (o *sessionAggregate[K, A]) forward() error {
	if o.finals != nil {
		return nil
	}
	return o.next(&o.change)
}
