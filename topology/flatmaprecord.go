package topology

// FlatMapRecord replaces each record by any number of records, none included: f calls emit with each. It is for what
// [Stream.FlatMap] cannot do: f sees records with a null key or a null value and may emit such, and each has the timestamp
// and the headers that f gives it. The headers of the argument are shared: emit others instead of modifying them. A negative
// timestamp is a [RecordError].
//
// f must not keep emit, nor call it after it has returned.
//
// The keys count as new, as after [Stream.Rekey]: to group or join the stream, send it through [Stream.Repartition] first.
func (s Stream[K, V]) FlatMapRecord[K2, V2 any](
	f func(r Record[K, V], emit func(r Record[K2, V2])), opts ...NodeOption,
) Stream[K2, V2] {
	n := s.builder().node("flat-map-record", opts)
	n.require(f != nil, "function")
	out := then(s.out, n, func(t *Task, next receiver[item[K2, V2]]) receiver[item[K, V]] {
		e := &emitter[item[K2, V2]]{t: t, node: n, next: next}
		made := &item[K2, V2]{key: new(encodedKey)}
		emit := func(r Record[K2, V2]) {
			if err := made.set(t, n, r); err != nil {
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
