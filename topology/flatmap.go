package topology

import "github.com/seed84377926/millrace/topology/engine"

// FlatMap replaces each record by any number of records: f calls emit with the key and the value of each. They have the
// timestamp and the headers of the record. For a record with a null key, f gets the zero value of K. For a record with
// a null value f is not called: it becomes a record with a null key and a null value, see [Stream.FlatMapRecord].
//
// f must not keep emit, and must not call it after f has returned.
//
// The keys are new, as after [Stream.Rekey]: to group or join the stream, send it through [Stream.Repartition] first.
func (s Stream[K, V]) FlatMap[K2, V2 any](
	f func(key K, value V, emit func(key K2, value V2)), opts ...NodeOption,
) Stream[K2, V2] {
	n := s.graph().node("flat-map", opts)
	n.require(f != nil, "function")
	out := then(s.out, n, func(h *engine.Host, next receiver[item[K2, V2]]) receiver[item[K, V]] {
		e := &emitter[item[K2, V2]]{h: h, node: n, next: next}
		made := &item[K2, V2]{key: new(encodedKey)}
		emit := func(key K2, value V2) {
			made.key.reset()
			made.Key, made.Value = key, value
			e.forward(made)
		}
		return func(it *item[K, V]) error {
			made.key.reset()
			made.Record = Record[K2, V2]{
				NullKey: it.NullValue, NullValue: it.NullValue, Timestamp: it.Timestamp, Headers: it.Headers,
			}
			if it.NullValue {
				return next(made)
			}
			e.begin()
			f(it.Key, it.Value, emit)
			return e.end()
		}
	})
	return Stream[K2, V2]{out: out, keys: keying[K2]{changed: n.site}}
}

// FlatMapRecord replaces each record by any number of records: f calls emit with each. It does what [Stream.FlatMap]
// cannot do: f sees records with a null key or a null value and may emit such records, and f sets the timestamp and the
// headers of each. The headers of the argument are shared: emit other headers instead of modifying them. A negative
// timestamp is a [engine.RecordError].
//
// f must not keep emit, and must not call it after f has returned.
//
// The keys count as new, as after [Stream.Rekey]: to group or join the stream, send it through [Stream.Repartition]
// first.
func (s Stream[K, V]) FlatMapRecord[K2, V2 any](
	f func(r Record[K, V], emit func(r Record[K2, V2])), opts ...NodeOption,
) Stream[K2, V2] {
	n := s.graph().node("flat-map-record", opts)
	n.require(f != nil, "function")
	out := then(s.out, n, func(h *engine.Host, next receiver[item[K2, V2]]) receiver[item[K, V]] {
		e := &emitter[item[K2, V2]]{h: h, node: n, next: next}
		made := &item[K2, V2]{key: new(encodedKey)}
		emit := func(r Record[K2, V2]) {
			if err := made.set(h, n, r); err != nil {
				e.fail(err)
				return
			}
			e.forward(made)
		}
		return func(it *item[K, V]) error {
			e.begin()
			f(it.Record, emit)
			return e.end()
		}
	})
	return Stream[K2, V2]{out: out, keys: keying[K2]{changed: n.site}}
}

// FlatMapValues replaces each record by any number of records with the same key: f calls emit with the value of each.
// They have the timestamp and the headers of the record. A record with a null value passes as it is: f is not called.
//
// f must not keep emit, and must not call it after f has returned.
func (s Stream[K, V]) FlatMapValues[V2 any](f func(value V, emit func(value V2)), opts ...NodeOption) Stream[K, V2] {
	n := s.graph().node("flat-map-values", opts)
	n.require(f != nil, "function")
	return flatMapValues(s, n, func(_ K, value V, emit func(V2)) { f(value, emit) })
}

// FlatMapValuesWithKey is [Stream.FlatMapValues] for a function that also sees the key: the zero value for a record
// with a null key.
func (s Stream[K, V]) FlatMapValuesWithKey[V2 any](
	f func(key K, value V, emit func(value V2)), opts ...NodeOption,
) Stream[K, V2] {
	n := s.graph().node("flat-map-values-with-key", opts)
	n.require(f != nil, "function")
	return flatMapValues(s, n, f)
}

// flatMapValues makes n the operator that replaces each record of a stream by any number of records.
func flatMapValues[K, V, V2 any](s Stream[K, V], n *node, f func(key K, value V, emit func(V2))) Stream[K, V2] {
	out := then(s.out, n, func(h *engine.Host, next receiver[item[K, V2]]) receiver[item[K, V]] {
		e := &emitter[item[K, V2]]{h: h, node: n, next: next}
		made := new(item[K, V2])
		emit := func(value V2) {
			made.Value = value
			e.forward(made)
		}
		return func(it *item[K, V]) error {
			made.Record = Record[K, V2]{
				Key: it.Key, NullKey: it.NullKey, NullValue: it.NullValue, Timestamp: it.Timestamp, Headers: it.Headers,
			}
			made.key = it.key
			if it.NullValue {
				return next(made)
			}
			e.begin()
			f(it.Key, it.Value, emit)
			return e.end()
		}
	})
	return Stream[K, V2]{out: out, keys: s.keys}
}
