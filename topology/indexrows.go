package topology

import (
	"fmt"
	"iter"
	"slices"

	"github.com/seed84377926/millrace/state"
)

// IndexRows reads the rows of a table by an index in a processor.
type IndexRows[I, K, V any] struct {
	x    *indexer[I, K, V]
	rows lookup[K, V]
}

// In opens the index for reading where a processor is created. As with [Table.In] the processor and the table then run in one
// sub-topology and must be partitioned alike, and the processor finds the rows of its own partition.
func (x Index[I, K, V]) In(p ProcessorScope) IndexRows[I, K, V] {
	if x.decl == nil {
		panic("topology: method of the zero Index called; indexes are made by Table.Index")
	}
	d, sc := x.decl, p.scopeOf()
	return openIn(sc, d, "the "+d.n.label(), func() (IndexRows[I, K, V], bool) {
		if d.info == nil { // an error of the index
			return IndexRows[I, K, V]{}, false
		}
		if sc.t.trial {
			if !sc.n.sameBuilder(d.n) {
				return IndexRows[I, K, V]{}, false
			}
			d.table.keys.copartitioned(sc.n)
			sc.n.read(d.info)
			d.table.view.connect(sc.n)
		}
		if !slices.Contains(sc.n.stores, d.info) {
			return IndexRows[I, K, V]{}, false
		}
		return IndexRows[I, K, V]{d.open(sc.t), d.table.view.open(sc.t)}, true
	})
}

// Find yields the rows that have the index key as they are now, in the order of their encoded keys. The loop body must not forward
// anything that changes the table. An error ends the sequence.
func (r IndexRows[I, K, V]) Find(index I) iter.Seq2[state.IndexEntry[I, K, V], error] {
	return func(yield func(state.IndexEntry[I, K, V], error) bool) {
		encoded, err := r.x.index.Append([]byte{}, index)
		if err != nil {
			yield(state.IndexEntry[I, K, V]{}, fmt.Errorf("index %q: %w", r.x.n.name, err))
			return
		}
		for key, err := range r.x.rows.Find(encoded) {
			var e state.IndexEntry[I, K, V]
			if err == nil {
				e, err = r.follow(encoded, key)
			} else {
				r.x.t.stateErr = err
			}
			e.Index = index
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}

// Range yields the rows with lo <= index key < hi, in the order of their encoded index keys and then of their encoded keys, as
// Find does. Nil bounds are open. A row with several index keys comes for each.
func (r IndexRows[I, K, V]) Range(lo, hi *I) iter.Seq2[state.IndexEntry[I, K, V], error] {
	return func(yield func(state.IndexEntry[I, K, V], error) bool) {
		low, high, err := r.bounds(lo, hi)
		if err != nil {
			yield(state.IndexEntry[I, K, V]{}, err)
			return
		}
		for place, err := range r.x.rows.Range(low, high) {
			var e state.IndexEntry[I, K, V]
			if err == nil {
				e, err = r.follow(place.Index, place.Key)
			} else {
				r.x.t.stateErr = err
			}
			if err == nil {
				e.Index, err = r.x.index.Decode(place.Index)
			}
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}

func (r IndexRows[I, K, V]) bounds(lo, hi *I) (low, high []byte, err error) {
	for _, bound := range []struct {
		index   *I
		encoded *[]byte
	}{{lo, &low}, {hi, &high}} {
		if bound.index == nil {
			continue
		}
		if *bound.encoded, err = r.x.index.Append([]byte{}, *bound.index); err != nil {
			return nil, nil, fmt.Errorf("index %q: bound: %w", r.x.n.name, err)
		}
	}
	return low, high, nil
}

// follow reads the row that the index leads to.
func (r IndexRows[I, K, V]) follow(index, key []byte) (e state.IndexEntry[I, K, V], err error) {
	if e.Key, err = r.x.table.keys.codec.Decode(key); err != nil {
		return e, fmt.Errorf("index %q: key %q: %w", r.x.n.name, key, err)
	}
	var ok bool
	if e.Value, e.Timestamp, ok, err = r.rows(e.Key, key); err != nil {
		r.x.t.stateErr = err
		return e, err
	}
	if !ok {
		err = &state.DanglingIndexError{Store: r.x.info.spec.Name, Of: r.x.info.spec.Of, Index: index, Key: key}
	}
	return e, err
}
