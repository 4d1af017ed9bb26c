package topology

import "github.com/seed84377926/millrace/topology/engine"

// JoinTable joins each record of the stream with the table's row for its key: the result has the key, timestamp and
// headers of the record, and the value that join makes from both. A record without a row has no result. Changes of the
// table have no results. Records with a null key or a null value are dropped.
//
// The row is the latest one at that moment. If the table has a history, it is the row that was valid at the timestamp
// of the record, see [Versioned]; records can wait for it, see [Stream.JoinTableWithGrace].
//
// Both sides must be partitioned alike: by the same key with the same codec, and with the same number of partitions.
func (s Stream[K, V]) JoinTable[W, R any](
	table Table[K, W], join func(value V, row W) R, opts ...NodeOption,
) Stream[K, R] {
	n := s.graph().node("join-table", opts)
	n.require(join != nil, "function")
	both := func(value *V, row *W) R { return join(*value, *row) }
	return joinTable(n, s, table, both, false)
}

// LeftJoinTable is [Stream.JoinTable] with a result for every record: join gets nil for a row that does not exist. The
// pointer is only valid during the call. A record with a null key has no row (KIP-962); a record with a null value is
// dropped.
func (s Stream[K, V]) LeftJoinTable[W, R any](
	table Table[K, W], join func(value V, row *W) R, opts ...NodeOption,
) Stream[K, R] {
	n := s.graph().node("left-join-table", opts)
	n.require(join != nil, "function")
	both := func(value *V, row *W) R { return join(*value, row) }
	return joinTable(n, s, table, both, true)
}

func joinTable[K, V, W, R any](
	n *node, s Stream[K, V], table Table[K, W], join func(value *V, row *W) R, left bool,
) Stream[K, R] {
	n.nullKeys = left
	if !s.joins(n, table) {
		return Stream[K, R]{out: &port[item[K, R]]{node: n}, keys: s.keys}
	}
	reencode := !sameCodec(s.keys.codec, table.keys.codec)
	out := then(s.out, n, func(h *engine.Host, next receiver[item[K, R]]) receiver[item[K, V]] {
		j := openTableJoin(h, n, table, join, left, next)
		return func(it *item[K, V]) error {
			if done, err := j.refuse(it); done {
				return err
			}
			memo := it.key
			if reencode {
				j.memo.reset()
				memo = &j.memo
			}
			return j.join(it, memo)
		}
	})
	return Stream[K, R]{out: out, keys: s.keys}
}

// joins makes n, the join of the stream with a table, a reader of the table. If it cannot, it records a mistake and
// reports false.
func (s Stream[K, V]) joins[W any](n *node, table Table[K, W]) bool {
	if table.out == nil {
		n.graph.errorf(n, "the table is the zero Table; tables are made by topology.TableOf and aggregations")
		return false
	}
	table.view.connect(n)
	if s.keys.copartitioned(n) && table.keys.copartitioned(n) {
		s.keys.sameEncoding(n, table.keys, table.out.node)
	}
	return true
}

// rowJoin is a join of a stream with the rows of any kind of table, in a task.
type rowJoin[K, V, W, R any] struct {
	h       *engine.Host
	node    *node
	combine func(value *V, row *W) R
	left    bool // records without a row have results
	results joinResults[K, R]
	row     W // the one found last: what combine gets must not be allocated for each record
}

// joined forwards the result of a record: with the row if one was found.
func (j *rowJoin[K, V, W, R]) joined(it *item[K, V], found bool) error {
	switch {
	case found:
		return j.forward(it, &j.row)
	case j.left:
		return j.forward(it, nil)
	}
	return nil
}

func (j *rowJoin[K, V, W, R]) forward(it *item[K, V], row *W) error {
	j.h.Enter(j.node)
	return forward(&j.results, it, it.Timestamp, j.combine(&it.Value, row), it.key)
}

// tableJoin is a join of a stream with a table in a task.
type tableJoin[K, V, W, R any] struct {
	rowJoin[K, V, W, R]
	keys keying[K] // of the table
	rows historyLookup[K, W]
	memo encodedKey // for keys that the table encodes otherwise
}

func openTableJoin[K, V, W, R any](
	h *engine.Host, n *node, table Table[K, W], combine func(*V, *W) R, left bool, next receiver[item[K, R]],
) *tableJoin[K, V, W, R] {
	j := &tableJoin[K, V, W, R]{
		h: h, node: n, keys: table.keys, combine: combine, left: left, results: joinResults[K, R]{next: next},
	}
	if table.view.history != nil {
		j.rows = table.view.history(h)
		return j
	}
	latest := table.view.open(h)
	j.rows = func(key K, encoded []byte, _ int64) (W, int64, bool, error) { return latest(key, encoded) }
	return j
}

// refuse handles a record without a key or without a value, and reports whether the record was one.
func (j *tableJoin[K, V, W, R]) refuse(it *item[K, V]) (done bool, err error) {
	j.h.Enter(j.node)
	if it.NullKey && j.left && !it.NullValue {
		return true, j.forward(it, nil)
	}
	return dropNulls(j.h, j.node, &it.Record), nil
}

// join joins a record that has a key. memo is the encoding of the key by the codec of the table.
func (j *tableJoin[K, V, W, R]) join(it *item[K, V], memo *encodedKey) error {
	encoded, err := j.keys.encode(j.h, j.node, memo, it.Key)
	if err != nil {
		return err
	}
	var found bool
	if j.row, _, found, err = j.rows(it.Key, encoded, it.Timestamp); err != nil {
		return j.h.NodeError(j.node, err)
	}
	return j.joined(it, found)
}
