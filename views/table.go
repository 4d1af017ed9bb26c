package views

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/seed84377926/millrace/internal/localcopy"
	"github.com/seed84377926/millrace/state"
)

// ErrRebuilding is returned by reads of a partition that was found damaged on disk, until it has been read again from
// its table. Rows are missing until then. Try again later.
var ErrRebuilding = errors.New("views: view is being rebuilt")

// viewTable is one partition of a group's table: the rows of the opened stores, and the position records. Rows of other
// stores are left out.
type viewTable struct {
	group     *groupView
	partition int32
	layout    *state.Layout
	copy      *localcopy.Copy
	rows      state.Partition // for readers

	loaded state.Position // what the rows on disk reflect
	latest []byte         // the last position record of the run that is being applied, nil if it has none
}

var _ localcopy.Contents = (*viewTable)(nil)

func openViewTable(ctx context.Context, g *groupView, partition int32, layout *state.Layout, logger *slog.Logger) (*viewTable, error) {
	t := &viewTable{group: g, partition: partition, layout: layout}
	var err error
	if t.copy, err = localcopy.Open(ctx, localcopy.Config{
		Engine: g.engine, Partition: partition, Sources: []int32{partition},
		Logger: logger.With(slog.String("group", g.group), slog.Int("partition", int(partition))),
	}, t); err != nil {
		return nil, err
	}
	t.rows = t.copy.Rows()
	g.freshness.advance(partition, t.loaded)
	return t, nil
}

// Load implements localcopy.Contents.
func (t *viewTable) Load(_ context.Context, store state.Partition) (map[int32]int64, string, error) {
	t.loaded = state.NewPosition()
	data, ok, err := store.Get(nil, []byte(state.PositionKey))
	if err == nil && ok {
		t.loaded, err = state.DecodePosition(data)
	}
	if err != nil {
		return nil, "", fmt.Errorf("read position: %w", err)
	}
	offsets := make(map[int32]int64)
	if last, ok := store.Offset(); ok {
		offsets[t.partition] = last
	}
	return offsets, "", nil
}

// Append implements localcopy.Contents.
func (t *viewTable) Append(b *state.Batch, _ int32, run localcopy.Run) error {
	t.latest = nil
	for key, value := range run.Rows() {
		if _, err := t.layout.RestoreRow(b, key, value); err != nil {
			return err
		}
		if string(key) == state.PositionKey {
			t.latest = value
		}
	}
	b.SetOffset(run.Last())
	return nil
}

// Applied implements localcopy.Contents. The rows are applied already, so that a caller that waits for the position
// finds them.
func (t *viewTable) Applied(int32, localcopy.Run) error {
	if t.latest == nil {
		return nil
	}
	position, err := state.DecodePosition(t.latest)
	if err != nil {
		return fmt.Errorf("position record: %w", err)
	}
	t.group.freshness.advance(t.partition, position)
	return nil
}

// Dropped implements localcopy.Contents.
func (t *viewTable) Dropped() { t.group.freshness.advance(t.partition, state.NewPosition()) }

// Rebuilding implements localcopy.Contents.
func (t *viewTable) Rebuilding(cause error) error {
	err := fmt.Errorf("%w: group %s, partition %d", ErrRebuilding, t.group.group, t.partition)
	if cause != nil {
		err = fmt.Errorf("%w: %w", err, cause)
	}
	return err
}
