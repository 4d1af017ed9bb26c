package topology

import (
	"errors"

	"github.com/seed84377926/millrace/topology/engine"
)

// JoinGlobal joins each record of the stream with a row of a global table: the function key makes the key of the row
// from the record. The result has the key, timestamp and headers of the record, and the value that join makes from
// both. A record without a row, or for which key reports false, has no result. Changes of the table have no results.
//
// Records with a null value are dropped; so are records for which key reports false. The key of a record may be null:
// the function key then gets the zero value. The stream may be partitioned in any way. A row that cannot be decoded is
// a failure of the record that looks it up.
func (s Stream[K, V]) JoinGlobal[GK, GV, R any](
	global GlobalTable[GK, GV], key func(key K, value V) (GK, bool), join func(value V, row GV) R, opts ...NodeOption,
) Stream[K, R] {
	n := s.graph().node("join-global", opts)
	n.require(join != nil, "function")
	both := func(value *V, row *GV) R { return join(*value, *row) }
	return joinGlobal(n, s, global, key, both, false)
}

// LeftJoinGlobal is [Stream.JoinGlobal] with a result for every record that has a value: join gets nil if there is no
// row, or if key reports false (KIP-962). The pointer is only valid during the call.
func (s Stream[K, V]) LeftJoinGlobal[GK, GV, R any](
	global GlobalTable[GK, GV], key func(key K, value V) (GK, bool), join func(value V, row *GV) R, opts ...NodeOption,
) Stream[K, R] {
	n := s.graph().node("left-join-global", opts)
	n.require(join != nil, "function")
	both := func(value *V, row *GV) R { return join(*value, row) }
	return joinGlobal(n, s, global, key, both, true)
}

func joinGlobal[K, V, GK, GV, R any](
	n *node, s Stream[K, V], global GlobalTable[GK, GV], key func(K, V) (GK, bool), join func(*V, *GV) R, left bool,
) Stream[K, R] {
	n.require(key != nil, "function that makes keys of the global table")
	if !n.readsGlobal(global.node) {
		return Stream[K, R]{out: &port[item[K, R]]{node: n}, keys: s.keys}
	}
	out := then(s.out, n, func(h *engine.Host, next receiver[item[K, R]]) receiver[item[K, V]] {
		j := &globalJoin[K, V, GK, GV, R]{
			h: h, node: n, combine: join, left: left, results: joinResults[K, R]{next: next},
			keys: global.keys, rows: global.view.open(h), key: key,
		}
		return j.receive
	})
	return Stream[K, R]{out: out, keys: s.keys}
}

// globalJoin is a join of a stream with a global table in a task.
type globalJoin[K, V, GK, GV, R any] struct {
	rowJoin[K, V, GV, R]
	keys keying[GK] // of the table
	rows lookup[GK, GV]
	key  func(K, V) (GK, bool)
	memo encodedKey
}

func (j *globalJoin[K, V, GK, GV, R]) receive(it *item[K, V]) error {
	j.h.Enter(j.node)
	if it.NullValue {
		j.h.Drop(j.node, DropNullValue, it.Timestamp)
		return nil
	}
	key, ok := j.key(it.Key, it.Value)
	switch {
	case !ok && j.left:
		return j.forward(it, nil)
	case !ok:
		j.h.Drop(j.node, DropNullKey, it.Timestamp)
		return nil
	}
	j.memo.reset()
	encoded, err := j.keys.encode(j.h, j.node, &j.memo, key)
	if err != nil {
		return err
	}
	var found bool
	if j.row, _, found, err = j.rows(key, encoded); err != nil {
		if _, ok := errors.AsType[*globalRowError](err); ok {
			return j.h.RecordError(j.node, err)
		}
		return j.h.NodeError(j.node, err)
	}
	return j.joined(it, found)
}
