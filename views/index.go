package views

import (
	"context"
	"fmt"
	"iter"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/state"
)

// IndexView finds the rows of a key-value store by an index of it. It is safe for concurrent use.
type IndexView[I, K, V any] struct {
	group  *groupView
	index  codecs.Codec[I]
	key    codecs.Codec[K]
	reader *state.IndexReader[I, K, V]
}

// Index returns the typed view of an index of vs, and of the store that it leads to, which must have been opened as well. The
// codecs are those of the index and of the table.
func Index[I, K, V any](
	vs *Views, name string, index codecs.Codec[I], key codecs.Codec[K], value codecs.Codec[V],
) (*IndexView[I, K, V], error) {
	group, spec, err := vs.find(name, state.IndexKind)
	if err != nil {
		return nil, err
	}
	table, ok := group.specs[spec.Of]
	if !ok {
		return nil, fmt.Errorf("view %q: it is an index of store %q, which was not opened; pass its table to views.Open", name, spec.Of)
	}
	reader, err := state.NewIndexReader(spec, table, index, key, value)
	if err != nil {
		return nil, fmt.Errorf("view %q: %w", name, err)
	}
	return &IndexView[I, K, V]{group: group, index: index, key: key, reader: reader}, nil
}

// Find yields the rows that have the index key, in the order of their encoded keys, over all partitions. It ends after the first
// error: [state.ErrIndexIncomplete] if the index was added a short time ago and is not built yet.
func (v *IndexView[I, K, V]) Find(ctx context.Context, index I) iter.Seq2[state.IndexEntry[I, K, V], error] {
	return merge(ctx, v.group, v.appendKey, func(part state.Partition) iter.Seq2[state.IndexEntry[I, K, V], error] {
		return v.reader.Find(part, index)
	})
}

// Range yields the rows with lo <= index key < hi in the order of their encoded index keys, and then of their encoded keys, over
// all partitions; nil leaves that end open. A row with several index keys comes for each. It ends as Find does.
func (v *IndexView[I, K, V]) Range(ctx context.Context, lo, hi *I) iter.Seq2[state.IndexEntry[I, K, V], error] {
	return merge(ctx, v.group, v.appendKey, func(part state.Partition) iter.Seq2[state.IndexEntry[I, K, V], error] {
		return v.reader.Range(part, lo, hi)
	})
}

func (v *IndexView[I, K, V]) appendKey(dst []byte, e state.IndexEntry[I, K, V]) ([]byte, error) {
	index, err := v.index.Append(nil, e.Index)
	if err != nil {
		return dst, fmt.Errorf("view %s: index key: %w", v.group.group, err)
	}
	key, err := v.key.Append(nil, e.Key)
	if err != nil {
		return dst, fmt.Errorf("view %s: key: %w", v.group.group, err)
	}
	return state.AppendIndexKey(dst, index, key), nil
}

// Wait blocks until the view covers the offsets required. When ctx ends first it returns a *BehindError.
func (v *IndexView[I, K, V]) Wait(ctx context.Context, required state.Offsets) error {
	return v.group.freshness.wait(ctx, required)
}

// Position returns the source offsets the view reflects.
func (v *IndexView[I, K, V]) Position() state.Offsets { return v.group.freshness.position() }
