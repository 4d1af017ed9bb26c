package topology

import (
	"bytes"
	"iter"
	"slices"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/topology/engine"
)

// Index finds the rows of a table by index keys, which a function makes from the rows. It is made by [Table.Index] and
// [Table.IndexEach]. Processors read it by [Index.In], all others by a view.
type Index[I, K, V any] struct{ decl *indexDecl[I, K, V] }

// indexDecl is what the tasks of an index have in common.
type indexDecl[I, K, V any] struct {
	n     *node
	info  *storeInfo
	table Table[K, V]
	index codecs.Codec[I]
	// each calls add with the index keys of a row.
	each func(key K, value V, add func(I))
}

// Index keeps an index of the rows of the table, in a store with the given name: f returns the index key of a row, or
// false if the index leaves the row out. The result of f must depend on the row alone.
//
//	flights                       Index("by-airline", airline, codecs.String)
//	LH1 {LH FRA}    U27 {U2 BER}  LH ▸ LH1 LH2   U2 ▸ U27
//	LH2 {LH MUC}
//
// The index changes in the transaction of the table, before the change is forwarded. A change that leaves the index key
// as it is costs nothing. Rows of a [TTL] table leave the index when they expire. In a [Versioned] table the index
// finds the latest versions. (Kafka Streams has no indexes: its users write a second table and keep both consistent.)
//
// The table must have a store of its own: one that is computed from others needs [Table.Materialize]. An index that is
// added to an application with state is built from the existing rows before the first record is processed. If f
// changes, give the index another name: the new f would not find the entries that the old one made.
func (t Table[K, V]) Index[I any](name string, f func(key K, value V) (I, bool), index codecs.Codec[I]) Index[I, K, V] {
	var each func(K, V, func(I))
	if f != nil {
		each = func(key K, value V, add func(I)) {
			if index, ok := f(key, value); ok {
				add(index)
			}
		}
	}
	return newIndex(t, t.graph().namedNode("index", name), each, index)
}

// IndexEach is [Table.Index] for rows that have several index keys each, such as the words of a text. A key that f
// yields twice counts once.
func (t Table[K, V]) IndexEach[I any](name string, f func(key K, value V) iter.Seq[I], index codecs.Codec[I]) Index[I, K, V] {
	var each func(K, V, func(I))
	if f != nil {
		each = func(key K, value V, add func(I)) {
			for index := range f(key, value) {
				add(index)
			}
		}
	}
	return newIndex(t, t.graph().namedNode("index", name), each, index)
}

func newIndex[I, K, V any](t Table[K, V], n *node, each func(K, V, func(I)), index codecs.Codec[I]) Index[I, K, V] {
	n.require(each != nil, "function")
	n.require(index != nil, "index codec")
	n.wantsOld = true
	d := &indexDecl[I, K, V]{n: n, table: t, index: index, each: each}
	table := t.view.table
	if table == nil || table.owner != t.out.node {
		n.graph.errorf(n, "the table has no store of its own that the index could lead to; call Materialize before")
		return Index[I, K, V]{d}
	}
	d.info = n.keep(state.Spec{Name: n.name, Kind: state.IndexKind, Of: table.spec.Name})
	n.read(table)
	linkFirst(t.out, n, func(h *engine.Host) receiver[change[K, V]] { return d.open(h).take })
	return Index[I, K, V]{d}
}

// open returns the index in the task of h. All callers get the same index.
func (d *indexDecl[I, K, V]) open(h *engine.Host) *indexer[I, K, V] {
	return engine.Once(h, d, func() *indexer[I, K, V] {
		x := &indexer[I, K, V]{indexDecl: d, h: h}
		x.add = x.collect
		rows, err := state.NewIndex(d.info.spec, h.State(), h.Budget())
		if err != nil {
			h.Fail(err)
			return x
		}
		x.rows = rows
		h.AddStore(rows)
		h.AddPreparer(x)
		return x
	})
}

// indexer keeps an index in a task.
type indexer[I, K, V any] struct {
	*indexDecl[I, K, V]

	h    *engine.Host
	rows *state.Index

	before, after [][]byte // encoded index keys of a row, sorted

	// While the function of the user runs.
	add   func(I)
	found [][]byte
	err   error // of the codec
}

// take changes the index as a row changes.
func (x *indexer[I, K, V]) take(c *change[K, V]) (err error) {
	x.h.Enter(x.n)
	if c.Stale {
		return nil // the latest row is what it was
	}
	x.before, x.after = x.before[:0], x.after[:0]
	if c.HasOld && !c.Began {
		if x.before, err = x.keys(x.before, c.Key, c.Old); err != nil {
			return x.h.RecordError(x.n, err)
		}
	}
	if c.HasNew {
		if x.after, err = x.keys(x.after, c.Key, c.New); err != nil {
			return x.h.RecordError(x.n, err)
		}
	}
	encoded, err := x.table.keys.encode(x.h, x.n, c.key, c.Key)
	if err != nil {
		return err
	}
	x.replace(encoded, c.Timestamp)
	return nil
}

// replace makes the index lead to key from after instead of from before.
func (x *indexer[I, K, V]) replace(key []byte, timestamp int64) {
	before, after := x.before, x.after
	for len(before) > 0 || len(after) > 0 {
		var order int
		switch {
		case len(after) == 0:
			order = -1
		case len(before) == 0:
			order = 1
		default:
			order = bytes.Compare(before[0], after[0])
		}
		if order < 0 {
			x.rows.Remove(before[0], key)
		}
		if order > 0 {
			x.rows.Add(after[0], key, timestamp)
		}
		if order <= 0 {
			before = before[1:]
		}
		if order >= 0 {
			after = after[1:]
		}
	}
}

// keys appends the encoded index keys of a row to dst, sorted, each once. The memory of the keys belongs to the arena
// of the task.
func (x *indexer[I, K, V]) keys(dst [][]byte, key K, value V) ([][]byte, error) {
	x.found, x.err = dst, nil
	x.each(key, value, x.add)
	found := x.found
	x.found = nil
	if len(found) > 1 {
		slices.SortFunc(found, bytes.Compare)
		found = slices.CompactFunc(found, bytes.Equal)
	}
	return found, x.err
}

func (x *indexer[I, K, V]) collect(index I) {
	encoded, err := engine.Encode(x.h.Arena(), x.index, index)
	if err != nil {
		x.err = err
		return
	}
	x.found = append(x.found, encoded)
}
