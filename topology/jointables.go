package topology

import (
	"slices"

	"github.com/seed84377926/millrace/topology/engine"
)

// Join joins the rows of two tables that have the same key: the result has a row while both tables have one, and join
// makes it from the two. A change of either side is joined with the row of the other side; without that row nothing
// happens (docs/semantics.md, Join of tables). The deletion of a row deletes the result. The deletion is forwarded even
// if the result was deleted before, as in Kafka Streams.
//
// The timestamp of a result, and of a deletion, is the larger of both sides; the headers are the headers of the change.
// An update of a versioned table that is older than the latest one is dropped ([DropStale]), and the result is not
// versioned (KIP-914). The result has no store: it is computed from both sides when another operator joins with it
// (docs/semantics.md, Computed tables). To query it, call [Table.Materialize].
//
// Both tables must be partitioned alike: by the same key with the same codec, and with the same number of partitions.
func (t Table[K, V]) Join[W, R any](other Table[K, W], join func(value V, row W) R, opts ...NodeOption) Table[K, R] {
	n := t.graph().node("join", opts)
	n.require(join != nil, "function")
	n.passesOld = true
	return joinTables(t, other, n, func(left *V, right *W) R { return join(*left, *right) }, true, true)
}

// LeftJoin is [Table.Join] that also keeps the rows of this table without a row in the other one: join gets nil for it.
// The pointer row is valid during the call only, and its target must not be modified.
func (t Table[K, V]) LeftJoin[W, R any](other Table[K, W], join func(value V, row *W) R, opts ...NodeOption) Table[K, R] {
	n := t.graph().node("left-join", opts)
	n.require(join != nil, "function")
	n.wantsOld = true
	return joinTables(t, other, n, func(left *V, right *W) R { return join(*left, right) }, true, false)
}

// OuterJoin is [Table.Join] that keeps the rows of both tables: join gets nil for a side that has no row, never for
// both. The pointers are valid during the call only, and their targets must not be modified.
func (t Table[K, V]) OuterJoin[W, R any](other Table[K, W], join func(left *V, right *W) R, opts ...NodeOption) Table[K, R] {
	n := t.graph().node("outer-join", opts)
	n.require(join != nil, "function")
	n.wantsOld = true
	return joinTables(t, other, n, join, false, false)
}

// joinTables makes n the join of two tables; needLeft and needRight say which sides a row of the result must have.
func joinTables[K, V, W, R any](
	left Table[K, V], right Table[K, W], n *node, join func(*V, *W) R, needLeft, needRight bool,
) Table[K, R] {
	out := &port[change[K, R]]{node: n}
	result := Table[K, R]{out: out, keys: left.keys}
	if right.out == nil {
		n.graph.errorf(n, "the other table is the zero Table; tables are made by topology.TableOf and aggregations")
		result.view = &view[K, R]{}
		return result
	}
	left.view.connect(n)
	right.view.connect(n)
	if left.keys.copartitioned(n) && right.keys.copartitioned(n) {
		left.keys.sameEncoding(n, right.keys, right.out.node)
	}
	shared := sameCodec(left.keys.codec, right.keys.codec)
	link(left.out, n, func(h *engine.Host) receiver[change[K, V]] {
		side := tableSide[K, W]{keys: right.keys, rows: right.view.open(h), needed: needRight, shared: shared}
		return joinSide(h, n, &side, needLeft, join, out.receiver(h))
	})
	link(right.out, n, func(h *engine.Host) receiver[change[K, W]] {
		side := tableSide[K, V]{keys: left.keys, rows: left.view.open(h), needed: needLeft, shared: shared, names: true}
		return joinSide(h, n, &side, needRight, func(right *W, left *V) R { return join(left, right) }, out.receiver(h))
	})
	result.view = joinedView(left, right, n, join, needLeft, needRight)
	return result
}

// tableSide is the side of a join whose rows are looked up for the changes of the other side.
type tableSide[K, W any] struct {
	keys   keying[K]
	rows   lookup[K, W]
	needed bool // there is no result without a row of this side
	shared bool // both sides encode their keys alike
	names  bool // the result has the keys of this side
	row    W    // the row found last, which the user's function looks at
	own    encodedKey
}

// joinSide returns the receiver of the changes of one side; side is the other one.
func joinSide[K, V, W, R any](
	h *engine.Host, n *node, side *tableSide[K, W], needed bool, join func(*V, *W) R, next receiver[change[K, R]],
) receiver[change[K, V]] {
	joined, wantsOld := new(change[K, R]), n.oldWanted()
	return func(c *change[K, V]) error {
		h.Enter(n)
		if c.Stale {
			h.Drop(n, DropStale, c.Timestamp)
			return nil
		}
		memo := c.key
		if !side.shared {
			memo = &side.own
			memo.reset()
		}
		encoded, err := side.keys.encode(h, n, memo, c.Key)
		if err != nil {
			return err
		}
		var timestamp int64
		var found bool
		if side.row, timestamp, found, err = side.rows(c.Key, encoded); err != nil {
			return h.NodeError(n, err)
		}
		if !found && (side.needed || !c.HasNew && !c.HasOld) {
			return nil
		}
		*joined = change[K, R]{Key: c.Key, Timestamp: c.Timestamp, Headers: c.Headers, key: c.key}
		var row *W
		if found {
			row, joined.Timestamp = &side.row, max(c.Timestamp, timestamp)
		}
		if side.names {
			joined.key = memo
		}
		if c.HasNew || !needed && found {
			joined.New, joined.HasNew = join(present(&c.New, c.HasNew), row), true
		}
		if wantsOld && (c.HasOld || !needed && found) {
			// The row of the other side alone was a row of the result.
			hadRow := !needed && found
			joined.Old, joined.HasOld = join(present(&c.Old, c.HasOld && (!c.Began || !hadRow)), row), true
			joined.Began = c.Began && !hadRow
		}
		return next(joined)
	}
}

// present returns value, or nil if there is none.
func present[V any](value *V, ok bool) *V {
	if !ok {
		return nil
	}
	return value
}

// joinedView computes the rows of a join from the rows of both sides.
func joinedView[K, V, W, R any](
	left Table[K, V], right Table[K, W], n *node, join func(*V, *W) R, needLeft, needRight bool,
) *view[K, R] {
	shared := sameCodec(left.keys.codec, right.keys.codec)
	return &view[K, R]{stores: slices.Concat(left.view.stores, right.view.stores), open: func(h *engine.Host) lookup[K, R] {
		rowsLeft, rowsRight := left.view.open(h), right.view.open(h)
		var pair struct {
			left  V
			right W
			own   encodedKey
		}
		return func(key K, encoded []byte) (result R, timestamp int64, ok bool, err error) {
			var times [2]int64
			var found [2]bool
			if pair.left, times[0], found[0], err = rowsLeft(key, encoded); err != nil || needLeft && !found[0] {
				return result, 0, false, err
			}
			if !shared {
				pair.own.reset()
				if encoded, err = right.keys.encode(h, n, &pair.own, key); err != nil {
					return result, 0, false, err
				}
			}
			if pair.right, times[1], found[1], err = rowsRight(key, encoded); err != nil || needRight && !found[1] {
				return result, 0, false, err
			}
			for i := range times {
				if found[i] {
					timestamp, ok = max(timestamp, times[i]), true
				}
			}
			if ok {
				reader := h.At()
				h.Enter(n)
				result = join(present(&pair.left, found[0]), present(&pair.right, found[1]))
				h.Enter(reader) // goes on with functions of its own
			}
			return result, timestamp, ok, nil
		}
	}}
}
