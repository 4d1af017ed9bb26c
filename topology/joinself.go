package topology

import (
	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/state"
)

// selfJoin joins a stream with itself. The results are those of a join of two streams, in the same order, from one store.
func selfJoin[K, V, R any](
	n *node, s Stream[K, V], windows JoinWindows, join func(left, right V) R, value codecs.Codec[V],
) Stream[K, R] {
	windows.validate(n)
	n.require(value != nil, "codec of the values")
	s.keys.copartitioned(n)
	w := windows.millis()
	keep := max(w.keep(), w.reversed().keep())
	spec := joinSpec(keep)
	spec.Name = n.name
	store := joined{keep: keep, storeInfo: n.keep(spec)}
	n.timed = true
	out := then(s.out, n, func(t *Task, next receiver[item[K, R]]) receiver[item[K, V]] {
		rows := openBuffer(t, store, s.keys.codec, value)
		rows.clock = t.clockFor(n.name, clockHooks{expire: rows.expire})
		j := &openSelfJoin[K, V, R]{
			task: t, node: n, keys: s.keys, windows: w, rows: rows, join: join, results: &joinResults[K, R]{next: next},
		}
		return j.receive
	})
	return Stream[K, R]{out: out, keys: s.keys}
}

// openSelfJoin is a join of a stream with itself in a task.
type openSelfJoin[K, V, R any] struct {
	task    *Task
	node    *node
	keys    keying[K]
	windows joinMillis
	rows    *joinBuffer[K, V]
	join    func(left, right V) R
	results *joinResults[K, R]
	found   []state.JoinEntry[K, V] // scratch
}

func (j *openSelfJoin[K, V, R]) receive(it *item[K, V]) error {
	j.task.at = j.node
	if j.task.dropNulls(j.node, it.NullKey, it.NullValue) {
		return nil
	}
	key, err := j.keys.encode(j.task, j.node, it.key, it.Key)
	if err != nil {
		return err
	}
	// As the left record it meets the others before it is kept, as the right record afterwards, so that it meets itself.
	matched, err := j.match(it, key, j.windows, func(other *V) R { return j.join(it.Value, *other) })
	if err != nil {
		return err
	}
	j.rows.clock.advance(it.Timestamp)
	if it.Timestamp >= j.rows.first() {
		if _, err := j.rows.put(key, it.Timestamp, it.Value); err != nil {
			return j.task.nodeError(j.node, err)
		}
	}
	again, err := j.match(it, key, j.windows.reversed(), func(other *V) R { return j.join(*other, it.Value) })
	if err == nil && !matched && !again {
		j.task.drop(j.node, DropLateWindow)
	}
	return err
}

// match forwards a result for each record that is kept and belongs to it.
func (j *openSelfJoin[K, V, R]) match(it *item[K, V], key []byte, w joinMillis, join func(other *V) R) (matched bool, err error) {
	j.found, err = j.rows.fetch(j.found[:0], key, it.Timestamp-w.before, it.Timestamp+w.after)
	if err != nil {
		return false, j.task.nodeError(j.node, err)
	}
	for i := range j.found {
		other := &j.found[i]
		j.task.at = j.node
		if err := forward(j.results, it, max(it.Timestamp, other.Timestamp), join(&other.Value), it.key); err != nil {
			return false, err
		}
	}
	matched = len(j.found) > 0
	clear(j.found)
	return matched, nil
}
