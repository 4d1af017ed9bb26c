package topology

import (
	"context"
	"errors"

	"github.com/seed84377926/millrace/topology/engine"
)

// Processor is called for each record of a stream, null keys and values included. It may do what the functions of other
// operators must not: keep anything in stores, call other systems, fail. ctx ends when the task does.
//
// An error, like a panic, says that the record cannot be processed: everything that was done with the record is rolled
// back, and the topology's policy for failed processing says what comes next. An error made by [Unavailable] says that
// the record did not cause it: the record is tried again, with growing pauses, until it succeeds. Errors of stores need
// no handling: whether or not the processor returns them, they are never attributed to the record.
//
// Because a record may be processed again after its transaction was aborted, the effects of a processor on other
// systems may happen more than once; its effects on stores and downstream operators count once.
type Processor[K, V any] func(ctx context.Context, r Record[K, V]) error

// Process passes each record to a processor, which forwards what it likes, with keys and values of any type. create
// makes the processor, once for each task, and again when a task rolls back what was not committed: what a processor
// keeps in variables, and not in a store, is lost then. create asks p for all that the processor needs: stores, tables,
// children and schedules.
//
// Build also calls create, once, with empty stores and nothing to forward to: the stores that it opens are connected
// with the processor, and its mistakes are errors of Build. Only the processor should call other systems, not create.
//
// Downstream, equal keys may be in different partitions: grouping and joining need a [Stream.Repartition] first.
// [Stream.ProcessValues] keeps the keys.
func (s Stream[K, V]) Process[K2, V2 any](
	name string, create func(p *ProcessorContext[K2, V2]) (Processor[K, V], error),
) Stream[K2, V2] {
	n := s.graph().namedNode("process", name)
	out := &port[item[K2, V2]]{node: n}
	start := func(h *engine.Host, children []receiver[item[K2, V2]]) (*scope, *Processor[K, V]) {
		sc := newScope(h, n)
		p := &ProcessorContext[K2, V2]{
			scope: sc, all: broadcast(children), children: children, ends: out.ends, it: &item[K2, V2]{key: new(encodedKey)},
		}
		return sc, begin(sc, p, create)
	}
	n.processes(create != nil, func(h *engine.Host) *scope {
		sc, _ := start(h, make([]receiver[item[K2, V2]], len(out.links)))
		return sc
	})
	link(s.out, n, func(h *engine.Host) receiver[item[K, V]] {
		sc, process := start(h, out.receivers(h))
		return func(it *item[K, V]) error {
			if err := sc.enter(it.Timestamp); err != nil {
				return err
			}
			return sc.leave((*process)(h.Context(), it.Record))
		}
	})
	return Stream[K2, V2]{out: out, keys: keying[K2]{changed: n.site}}
}

// ProcessValues is [Stream.Process] for a processor that keeps the key of each record: what it forwards has the key of
// the record that it was called for, so that equal keys stay in one partition. From a schedule it cannot forward.
func (s Stream[K, V]) ProcessValues[V2 any](
	name string, create func(p *ValuesContext[V2]) (Processor[K, V], error),
) Stream[K, V2] {
	n := s.graph().namedNode("process-values", name)
	out := &port[item[K, V2]]{node: n}
	n.processes(create != nil, func(h *engine.Host) *scope {
		sc := newScope(h, n)
		begin(sc, &ValuesContext[V2]{scope: sc}, create)
		return sc
	})
	link(s.out, n, func(h *engine.Host) receiver[item[K, V]] {
		sc, next := newScope(h, n), out.receiver(h)
		var current *item[K, V] // nil in a punctuation
		it2 := new(item[K, V2])
		process := begin(sc, &ValuesContext[V2]{scope: sc, forward: func(r *ValueRecord[V2]) {
			if current == nil {
				panic("Forward is called by a schedule: there is no record whose key it could keep; use Process")
			}
			it2.Record = Record[K, V2]{
				Key: current.Key, NullKey: current.NullKey,
				Value: r.Value, NullValue: r.NullValue, Timestamp: r.Timestamp, Headers: r.Headers,
			}
			it2.key = current.key
			sc.forwarded(next(it2))
		}}, create)
		return func(it *item[K, V]) error {
			if err := sc.enter(it.Timestamp); err != nil {
				return err
			}
			current = it
			sc.headers = it.Headers
			err := sc.leave((*process)(h.Context(), it.Record))
			current = nil
			return err
		}
	})
	return Stream[K, V2]{out: out, keys: s.keys}
}

// begin creates the processor of a scope, and lets it be created again when the scope is rolled back.
func begin[K, V, P any](sc *scope, p P, create func(P) (Processor[K, V], error)) *Processor[K, V] {
	process := new(Processor[K, V])
	sc.create = func() (err error) {
		if *process, err = create(p); err == nil && *process == nil {
			err = errors.New("the processor is nil")
		}
		return err
	}
	sc.Renew()
	return process
}
