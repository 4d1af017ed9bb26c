package state

import (
	"bytes"
	"fmt"
	"iter"

	"github.com/seed84377926/millrace/codecs"
)

// Index finds the rows of another store of the same partition by their values. It has a row for each pair of an index
// key and the key of a row. A change of the other store and the resulting change of the index must be in one
// transaction. An Index has a write-back cache above a partition and belongs to one goroutine.
//
//	flights            by-airline
//	  LH1  …LH…          LH ▸ LH1
//	  LH2  …LH…          LH ▸ LH2
//	  U27  …U2…          U2 ▸ U27
//
// The rows of an index are ordinary logged rows, not local rows: a reader does not know the index keys of a row and
// could not compute them.
//
// An index that is added to a store with rows must first be built from these rows. The row with the empty store key
// records the progress, so that building continues after a restart and readers never take an incomplete index for a
// complete one.
type Index struct {
	rows     *cache[struct{}]
	progress indexProgress
	now      indexProgress // with uncommitted progress
	flushed  indexProgress
	rowKey   []byte // scratch for store keys
}

var _ Store = (*Index)(nil)

// indexProgress says from which rows of the other store an index is built: from all rows, or from the rows up to a key.
type indexProgress struct {
	complete bool
	upTo     []byte // nil: none
}

const (
	indexPartial  = 0x00 // and the key up to which it is built
	indexComplete = 0x01
)

func (p indexProgress) equal(other indexProgress) bool {
	return p.complete == other.complete && bytes.Equal(p.upTo, other.upTo) && (p.upTo == nil) == (other.upTo == nil)
}

func (p indexProgress) encode() []byte {
	if p.complete {
		return []byte{indexComplete}
	}
	return append([]byte{indexPartial}, p.upTo...)
}

// readIndexProgress reads the row with the empty store key. The row is missing until building begins.
func readIndexProgress(part Reader, store string) (p indexProgress, ok bool, err error) {
	data, ok, err := part.Get(nil, AppendRowKey(nil, store, nil))
	switch {
	case err != nil:
		return p, false, fmt.Errorf("read store %q: progress of the index: %w", store, err)
	case !ok:
		return p, false, nil
	case len(data) == 1 && data[0] == indexComplete:
		return indexProgress{complete: true}, true, nil
	case len(data) > 0 && data[0] == indexPartial:
		return indexProgress{upTo: data[1:]}, true, nil
	}
	return p, false, fmt.Errorf("read store %q: progress of the index: %x means nothing: its writer used another format", store, data)
}

// NewIndex returns the index that spec describes, in the partition part. The partition must be restored already,
// because NewIndex reads how far the index is built. A nil budget means a budget of its own with [DefaultBudgetBytes].
// It fails if the spec is not valid or does not describe an index, or if the partition cannot be read.
func NewIndex(spec Spec, part Partition, budget *Budget) (*Index, error) {
	if err := spec.validateKind(IndexKind); err != nil {
		return nil, err
	}
	progress, _, err := readIndexProgress(part, spec.Name)
	if err != nil {
		return nil, err
	}
	rows := newCache(spec, part, budget, codecs.Codec[struct{}](noValue{}))
	return &Index{rows: rows, progress: progress, now: progress, flushed: progress}, nil
}

// Add adds the pair of an index key and a key, if it is missing. timestamp is the timestamp of the row of key, in
// milliseconds. Add keeps neither slice.
func (x *Index) Add(index, key []byte, timestamp int64) {
	x.rowKey = AppendIndexKey(x.rowKey[:0], index, key)
	x.rows.put(x.rowKey, struct{}{}, timestamp).transient = true // lookups scan, and a scan does not use cached clean rows
}

// Remove removes the pair of an index key and a key, if it exists. It keeps neither slice.
func (x *Index) Remove(index, key []byte) {
	x.rowKey = AppendIndexKey(x.rowKey[:0], index, key)
	x.rows.delete(x.rowKey)
}

// Find yields the keys that are paired with the index key, in order, including uncommitted changes. A place is valid
// until the next place. The loop body may change the index; the loop sees changes ahead of its position. The body must
// not flush, commit or roll back. An error ends the sequence.
func (x *Index) Find(index []byte) iter.Seq2[IndexPlace, error] {
	prefix := appendEscaped([]byte{}, index)
	return x.scan(prefix, prefixEnd(prefix))
}

// Range yields the pairs with lo <= index key < hi, in order, as Find does. A nil bound is open.
func (x *Index) Range(lo, hi []byte) iter.Seq2[IndexPlace, error] { return x.scan(indexBounds(lo, hi)) }

func (x *Index) scan(low, high []byte) iter.Seq2[IndexPlace, error] {
	return func(yield func(IndexPlace, error) bool) {
		var place IndexPlace
		for r, err := range x.rows.scan(low, high) {
			if err == nil {
				place.Index, place.Key, err = SplitIndexKey(place.Index[:0], r.key)
			}
			if err != nil {
				yield(IndexPlace{}, err)
				return
			}
			if !yield(place, nil) {
				return
			}
		}
	}
}

// IndexPlace is a pair of an index key and a key, both encoded.
type IndexPlace struct{ Index, Key []byte }

// Built returns whether the index is built from all rows that existed when it was added. If not, it is built from the
// rows up to the key upTo, or from none if upTo is nil.
func (x *Index) Built() (complete bool, upTo []byte) { return x.now.complete, x.now.upTo }

// BuiltUpTo records that all rows up to key are in the index. It keeps key.
func (x *Index) BuiltUpTo(key []byte) { x.now = indexProgress{upTo: key} }

// BuiltAll records that all rows are in the index.
func (x *Index) BuiltAll() { x.now = indexProgress{complete: true} }

// Spec implements [Store].
func (x *Index) Spec() Spec { return x.rows.spec }

// Flush implements [Store].
func (x *Index) Flush(b *Batch) error {
	if !x.now.equal(x.progress) {
		b.Set(x.rows.rowKey[:x.rows.prefixLen], x.now.encode())
	}
	x.flushed = x.now
	return x.rows.flush(b)
}

// Committed implements [Store].
func (x *Index) Committed() {
	x.progress = x.flushed
	x.rows.committed()
}

// Rollback implements [Store].
func (x *Index) Rollback() {
	x.now, x.flushed = x.progress, x.progress
	x.rows.rollback()
}

// DirtyBytes implements [Store].
func (x *Index) DirtyBytes() int64 { return x.rows.account.dirty }

// Close implements [Store].
func (x *Index) Close() { x.rows.close() }

// noValue is the codec of the values of an index, which are empty.
type noValue struct{}

func (noValue) Append(dst []byte, _ struct{}) ([]byte, error) { return dst, nil }

func (noValue) Decode(data []byte) (struct{}, error) {
	if len(data) > 0 {
		return struct{}{}, fmt.Errorf("%d bytes, want none: the row is not one of an index", len(data))
	}
	return struct{}{}, nil
}
