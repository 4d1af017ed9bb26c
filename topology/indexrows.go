package topology

import (
	"bytes"
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

// In opens the index for reading where a processor is created. As with [Table.In] the processor and the table then run
// in one sub-topology and must be partitioned alike, and the processor finds the rows of its own partition.
func (x Index[I, K, V]) In(p ProcessorScope) IndexRows[I, K, V] {
	if x.decl == nil {
		panic("topology: method of the zero Index called; indexes are made by Table.Index")
	}
	d, sc := x.decl, p.scopeOf()
	return openIn(sc, d, "the "+d.n.label(), func() (IndexRows[I, K, V], bool) {
		if d.info == nil { // an error of the index
			return IndexRows[I, K, V]{}, false
		}
		if sc.h.Trial() {
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
		return IndexRows[I, K, V]{d.open(sc.h), d.table.view.open(sc.h)}, true
	})
}

// Find yields the rows that have the index key as they are now, in the order of their encoded keys. The loop body must
// not forward anything that changes the table. An error ends the sequence.
func (r IndexRows[I, K, V]) Find(index I) iter.Seq2[state.IndexEntry[I, K, V], error] {
	return func(yield func(state.IndexEntry[I, K, V], error) bool) {
		encoded, err := r.encode(&index)
		if err != nil {
			yield(state.IndexEntry[I, K, V]{}, err)
			return
		}
		r.follow(r.x.rows.Find(encoded), yield)
	}
}

// Range yields the rows with lo <= index key < hi, in the order of their encoded index keys and then of their encoded
// keys, as Find does. Nil bounds are open. A row with several index keys comes once for each.
func (r IndexRows[I, K, V]) Range(lo, hi *I) iter.Seq2[state.IndexEntry[I, K, V], error] {
	return func(yield func(state.IndexEntry[I, K, V], error) bool) {
		low, err := r.encode(lo)
		var high []byte
		if err == nil {
			high, err = r.encode(hi)
		}
		if err != nil {
			yield(state.IndexEntry[I, K, V]{}, err)
			return
		}
		r.follow(r.x.rows.Range(low, high), yield)
	}
}

// encode returns the encoding of an index key, nil if there is none.
func (r IndexRows[I, K, V]) encode(index *I) ([]byte, error) {
	if index == nil {
		return nil, nil
	}
	encoded, err := r.x.index.Append([]byte{}, *index)
	if err != nil {
		return nil, fmt.Errorf("index %q: index key: %w", r.x.n.name, err)
	}
	return encoded, nil
}

// follow yields the rows that the places lead to.
func (r IndexRows[I, K, V]) follow(places iter.Seq2[state.IndexPlace, error], yield func(state.IndexEntry[I, K, V], error) bool) {
	for place, err := range places {
		var e state.IndexEntry[I, K, V]
		if err == nil {
			e, err = r.row(place)
		} else {
			r.x.h.StateFailed(err)
		}
		if !yield(e, err) || err != nil {
			return
		}
	}
}

// row reads the row that a place leads to.
func (r IndexRows[I, K, V]) row(place state.IndexPlace) (e state.IndexEntry[I, K, V], err error) {
	if e.Index, err = r.x.index.Decode(place.Index); err != nil {
		return e, fmt.Errorf("index %q: index key %q: %w", r.x.n.name, place.Index, err)
	}
	if e.Key, err = r.x.table.keys.codec.Decode(place.Key); err != nil {
		return e, fmt.Errorf("index %q: key %q: %w", r.x.n.name, place.Key, err)
	}
	var ok bool
	if e.Value, e.Timestamp, ok, err = r.rows(e.Key, place.Key); err != nil {
		r.x.h.StateFailed(err)
		return e, err
	}
	if !ok {
		spec := r.x.info.spec
		err = &state.DanglingIndexError{Store: spec.Name, Of: spec.Of, Index: bytes.Clone(place.Index), Key: bytes.Clone(place.Key)}
	}
	return e, err
}
