package views

import (
	"context"
	"fmt"
	"iter"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/state"
)

// IndexView finds the rows of a key-value store by a secondary index. It is safe for concurrent use.
type IndexView[I, K, V any] struct {
	typed[K]

	index  codecs.Codec[I]
	reader *state.IndexReader[I, K, V]
}

// Index returns the typed view of a secondary index of vs. The store that the index belongs to must have been opened as
// well. The codecs must be the ones that the topology uses for the index and the table.
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
	return &IndexView[I, K, V]{typed: typed[K]{group, key}, index: index, reader: reader}, nil
}

// Find yields the rows with this index key, over all partitions, in the order of their encoded keys. It ends after the
// first error. The error is [state.ErrIndexIncomplete] if the index was added recently and is not built yet.
func (v *IndexView[I, K, V]) Find(ctx context.Context, index I) iter.Seq2[state.IndexEntry[I, K, V], error] {
	return merge(ctx, v.group, v.appendKey, func(part state.Partition) iter.Seq2[state.IndexEntry[I, K, V], error] {
		return v.reader.Find(part, index)
	})
}

// Range yields the rows with lo <= index key < hi, over all partitions, in the order of their encoded index keys and
// then of their encoded keys. A bound that is nil is open. A row with several index keys is yielded once for each. It
// ends as Find does.
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
