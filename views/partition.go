package views

import (
	"context"
	"fmt"

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
	return g.tables[murmur2.Partition(encoded, g.partitions)].part, nil
}

// until ends a sequence when ctx does, with its error.
func until[E any](ctx context.Context, entries func(yield func(E, error) bool)) func(yield func(E, error) bool) {
	return func(yield func(E, error) bool) {
		for entry, err := range entries {
			if err == nil {
				err = ctx.Err()
			}
			if !yield(entry, err) || err != nil {
				return
			}
		}
	}
}
