package topology

import "fmt"

// MapRecord replaces each record by f of it. It is for what [Stream.Map] cannot do: f sees records with a null key or a null
// value and may return such, and it may change the timestamp and the headers. The headers of the argument are shared:
// return others instead of modifying them. A negative timestamp is a [RecordError].
//
// The keys count as new, as after [Stream.Rekey]: to group or join the stream, send it through [Stream.Repartition] first.
func (s Stream[K, V]) MapRecord[K2, V2 any](f func(r Record[K, V]) Record[K2, V2], opts ...NodeOption) Stream[K2, V2] {
	n := s.builder().node("map-record", opts)
	n.require(f != nil, "function")
	out := then(s.out, n, func(t *Task, next receiver[item[K2, V2]]) receiver[item[K, V]] {
		mapped := &item[K2, V2]{key: new(encodedKey)}
		return func(it *item[K, V]) error {
			t.at = n
			if err := mapped.set(t, n, f(it.Record)); err != nil {
				return err
			}
			return next(mapped)
		}
	})
	return Stream[K2, V2]{out: out, keys: keying[K2]{changed: n.site}}
}

// set gives it a record that a function of the user made.
func (it *item[K, V]) set(t *Task, n *node, r Record[K, V]) error {
	if r.Timestamp < 0 {
		return t.recordError(n, fmt.Errorf("the function made a record with timestamp %d; want none below 0", r.Timestamp))
	}
	it.key.reset()
	it.Record = r
	var none Record[K, V]
	if r.NullKey {
		it.Key = none.Key
	}
	if r.NullValue {
		it.Value = none.Value
	}
	return nil
}
