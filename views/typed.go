package views

import (
	"context"
	"fmt"
	"iter"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/internal/murmur2"
	"github.com/seed84377926/millrace/state"
)

// typed is what all typed views share: the group that they read, and the codec of its keys.
type typed[K any] struct {
	group *groupView
	key   codecs.Codec[K]
}

// Wait blocks until the view covers the offsets required. If ctx ends first, it returns a *BehindError.
func (v *typed[K]) Wait(ctx context.Context, required state.Offsets) error {
	return v.group.freshness.wait(ctx, required)
}

// Position returns the source offsets that the view reflects.
func (v *typed[K]) Position() state.Offsets { return v.group.freshness.position() }

// partitionOf returns the partition of the rows of key. Windows, sessions and versions are partitioned by their inner
// key.
func (v *typed[K]) partitionOf(ctx context.Context, key K) (state.Partition, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	encoded, err := v.key.Append(nil, key)
	if err != nil {
		return nil, fmt.Errorf("view %s: key: %w", v.group.group, err)
	}
	return v.group.tables[murmur2.Partition(encoded, v.group.partitions)].rows, nil
}

// inPartitionOf yields the entries that read finds in the partition of key. It ends with the error of ctx when ctx
// ends.
func (v *typed[K]) inPartitionOf[E any](ctx context.Context, key K, read func(state.Partition) iter.Seq2[E, error]) iter.Seq2[E, error] {
	return func(yield func(E, error) bool) {
		part, err := v.partitionOf(ctx, key)
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
