package topology

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
// Stream time moves with records, here and in the upstream tasks, and when an upstream task becomes idle. The last
// windows come out when the input goes on, unless [AdvanceWhenIdle] is used.
//
// A result stays in the store for the retention after its window has closed. Until the window closes, a lookup finds
// the aggregate so far.
func (s TimeWindowedStream[K, V]) EmitOnClose(opts ...EmitOption) TimeWindowedStream[K, V] {
	s.emission = onClose(s.grouped.stream.graph(), opts)
	return s
}

// EmitOnClose forwards one result for each session, when it closes, instead of every update and of every deletion of a
// session that became part of another one (KIP-825). A session closes when the stream time of the operator exceeds its
// end plus gap and grace. Results come in the order of their ends, then of their starts, then of their encoded keys.
// Their timestamp is the end of the session.
//
// Stream time moves with records, here and in the upstream tasks, and when an upstream task becomes idle. The last
// sessions come out when the input goes on, unless [AdvanceWhenIdle] is used.
//
// A result stays in the store for the retention after its session has closed. Until the session closes, a lookup finds
// the aggregate so far.
func (s SessionWindowedStream[K, V]) EmitOnClose(opts ...EmitOption) SessionWindowedStream[K, V] {
	s.emission = onClose(s.grouped.stream.graph(), opts)
	return s
}

func onClose(g *graph, opts []EmitOption) emission {
	e := emission{onClose: true}
	for _, opt := range opts {
		if opt == nil {
			g.errorf(&node{graph: g, kind: "emit-on-close", site: callSite()}, "option is nil")
			continue
		}
		opt.applyEmit(&e)
	}
	return e
}
