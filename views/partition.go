package views

import (
	"context"
	"fmt"
	"iter"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/internal/murmur2"
	"github.com/seed84377926/millrace/state"
)

// partitionOf returns the partition where the rows of key are. Windows, sessions and versions are partitioned by their inner key.
func partitionOf[K any](ctx context.Context, g *groupView, codec codecs.Codec[K], key K) (state.Partition, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	encoded, err := codec.Append(nil, key)
	if err != nil {
		return nil, fmt.Errorf("view %s: key: %w", g.group, err)
	}
	return g.tables[murmur2.Partition(encoded, g.partitions)].rows, nil
}

// inPartitionOf yields what read finds in the partition of key. It ends when ctx does, with its error.
func inPartitionOf[K, E any](
	ctx context.Context, g *groupView, codec codecs.Codec[K], key K, read func(state.Partition) iter.Seq2[E, error],
) iter.Seq2[E, error] {
	return func(yield func(E, error) bool) {
		part, err := partitionOf(ctx, g, codec, key)
		if err != nil {
			var none E
			yield(none, err)
			return
		}
		for entry, err := range read(part) {
			if err == nil {
				err = ctx.Err()
			}
			if !yield(entry, err) || err != nil {
				return
			}
		}
	}
}
