package topology

import (
	"fmt"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/topology/engine"
)

// aggregateStore is the store of a windowed aggregation. R is its type in a task.
type aggregateStore[R state.Store] struct {
	info    *storeInfo
	keeping *keeping
	streams int // that flow into the aggregate
	create  func(h *engine.Host) (R, error)
	expire  func(rows R, kept int64) error
}

// openWindows is such a store in a task.
type openWindows[R state.Store] struct {
	rows     R
	lateness lateness
	// clocks are the stream times of the streams that flow into the aggregate. As in Kafka Streams, whether a record is
	// late depends on the time of its own stream.
	clocks []*engine.Clock
}

// keepWindows registers the window store of n.
func keepWindows[K, A any](
	n *node, spec state.Spec, streams int, key codecs.Codec[K], value codecs.Codec[A], wait int64, expired func(kept int64) int64,
) *aggregateStore[*state.Windowed[K, A]] {
	n.timed = true
	info := n.keep(spec)
	return &aggregateStore[*state.Windowed[K, A]]{
		info: info, streams: streams, keeping: &keeping{info: info, retention: spec.Retention.Milliseconds(), wait: wait},
		create: func(h *engine.Host) (*state.Windowed[K, A], error) {
			return state.NewWindowed(spec, h.State(), h.Budget(), key, value)
		},
		expire: func(rows *state.Windowed[K, A], kept int64) error {
			_, err := rows.Expire(expired(kept))
			return err
		},
	}
}

// open returns the store in the task of h. All callers get the same store.
func (s *aggregateStore[R]) open(h *engine.Host) *openWindows[R] {
	return engine.Once(h, s, func() *openWindows[R] {
		rows, err := s.create(h)
		if err != nil {
			h.Fail(err)
		} else {
			h.AddStore(rows)
		}
		o := &openWindows[R]{rows: rows, lateness: s.keeping.open(h)}
		expire := func(int64) error { return s.expire(rows, o.kept()) }
		for i := range s.streams {
			name := s.info.spec.Name
			if i > 0 {
				name = fmt.Sprintf("%s/%d", name, i+1)
			}
			o.clocks = append(o.clocks, h.Clock(s.info.owner, name, engine.ClockHooks{
				Expire: expire, Node: s.info.owner, Advanced: func(before, now int64) { o.advanced(i, before, now) },
			}))
		}
		return o
	})
}

// advanced notes that a clock went on without a record.
func (o *openWindows[R]) advanced(clock int, before, now int64) {
	before = max(before, 0) // there are rows although no time was known
	for i, c := range o.clocks {
		if i != clock {
			before = max(before, c.Now)
		}
	}
	o.lateness.moved(before, max(before, now))
}

// kept returns the time by which rows are found or gone, see [keeping].
func (o *openWindows[R]) kept() int64 { return o.lateness.at(o.now()) }

// now returns the largest stream time of all streams: how long windows are kept depends on it.
func (o *openWindows[R]) now() int64 {
	now := o.clocks[0].Now
	for _, c := range o.clocks[1:] {
		now = max(now, c.Now)
	}
	return now
}
