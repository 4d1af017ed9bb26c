package topology

import (
	"iter"

	"github.com/seed84377926/millrace/state"

	"github.com/seed84377926/millrace/topology/engine"
)

// EmitOption is an option of EmitOnClose: [WithinRetention].
type EmitOption interface{ applyEmit(e *emission) }

// emission says when results of windows are forwarded.
type emission struct {
	onClose         bool
	withinRetention bool
}

type withinRetention struct{}

func (withinRetention) applyEmit(e *emission) { e.withinRetention = true }

// WithinRetention drops the results that Kafka Streams loses. If the input pauses, or its timestamps jump, for longer
// than the retention, its store no longer retains some windows when stream time shows that they are closed. These are
// time and sliding windows that started more than the retention before the last window, and sessions that ended before
// the segment of time in which the retention begins. A segment is a minute, or half the retention if that is longer.
// The dropped results are counted as [DropExpiredWindow]. Without this option, every window that closes comes out.
func WithinRetention() EmitOption { return withinRetention{} }

// EmitOnClose forwards one result for each window, when it closes, instead of every update (KIP-825). A window closes
// when the stream time of the operator has passed its grace. Results come in the order of their windows' starts, then
// of their encoded keys. Their timestamp is still the largest timestamp of their records.
//
//	records    a ── b ── c ─────────── d
//	window     ├──── w1 ────┤···grace···│
//	                                    └▶ w1: abc
//
// Only records move stream time: the last windows come out when the input goes on.
func (s TimeWindowedStream[K, V]) EmitOnClose(opts ...EmitOption) TimeWindowedStream[K, V] {
	s.emission = onClose(s.grouped.stream.builder(), opts)
	return s
}

// EmitOnClose forwards one result for each session, when it closes, instead of every update and of every deletion of a
// session that became part of another one (KIP-825). A session closes when the stream time of the operator exceeds its
// end plus gap and grace. Results come in the order of their ends, then of their starts, then of their encoded keys.
// Their timestamp is the end of the session.
//
// Only records move stream time: the last sessions come out when the input goes on.
func (s SessionWindowedStream[K, V]) EmitOnClose(opts ...EmitOption) SessionWindowedStream[K, V] {
	s.emission = onClose(s.grouped.stream.builder(), opts)
	return s
}

func onClose(b *Builder, opts []EmitOption) emission {
	e := emission{onClose: true}
	for _, opt := range opts {
		if opt == nil {
			b.errorf(&node{builder: b, kind: "emit-on-close", site: callSite()}, "option is nil")
			continue
		}
		opt.applyEmit(&e)
	}
	return e
}

// finals forwards the results of closed windows.
type finals[K, A any] struct {
	h *engine.Host
	n *node
	// done is the end of the last windows that were forwarded. It is kept in the state: wherever the task continues,
	// every result comes out exactly once.
	done *engine.Clock
	// closed returns the last end of windows that are closed at stream time now.
	closed func(now int64) int64
	reach  int64 // from a record to the time at which all its windows are closed
	ended  func(after, last int64) iter.Seq2[state.WindowEntry[K, A], error]
	// lost reports whether Kafka Streams would have lost a window. May be nil.
	lost    func(w state.Window) bool
	next    receiver[change[K, A]]
	change  change[K, A]
	key     encodedKey
	headers []engine.Header // of the record that moved stream time
}

// newFinals returns the finals that forward results when stream time advances, with or without a record.
func newFinals[K, A any](f finals[K, A], clock *engine.Clock) *finals[K, A] {
	f.done = f.h.Clock(clock.Name()+"/emitted", engine.ClockHooks{})
	clock.Emit, clock.Node, clock.Reach = f.emit, f.n, f.reach
	return &f
}

// record calls emit with the stream time of a record. The results get the headers of this record. It does nothing if f
// is nil.
func (f *finals[K, A]) record(now int64, headers []engine.Header) error {
	if f == nil {
		return nil
	}
	f.headers = headers
	err := f.emit(now)
	f.headers = nil
	return err
}

func (f *finals[K, A]) emit(now int64) error {
	if last := f.closed(now); last > f.done.Now {
		return f.forward(last)
	}
	return nil
}

// forward forwards the results of windows that end at last or before.
func (f *finals[K, A]) forward(last int64) error {
	for e, err := range f.ended(f.done.Now, last) {
		if err != nil {
			return f.h.NodeError(f.n, err)
		}
		if f.lost != nil && f.lost(e.Window) {
			f.h.Drop(f.n, DropExpiredWindow)
			continue
		}
		f.key.reset()
		f.change = change[K, A]{
			Key: e.Key, Window: e.Window, New: e.Value, HasNew: true, Timestamp: e.Timestamp, Headers: f.headers, key: &f.key,
		}
		if err := f.next(&f.change); err != nil {
			return err
		}
	}
	f.done.Advance(last)
	return nil
}
