package views

import (
	"fmt"

	"github.com/seed84377926/millrace/internal/broker"
	"github.com/seed84377926/millrace/state"
)

// viewTable is one partition of a group's table as goka fills it: the rows of the stores asked for and the position
// records, everything else is left out.
type viewTable struct {
	part      state.Partition
	partition int32
	layout    *state.Layout
	freshness *freshness
	batch     state.Batch
}

func newViewTable(part state.Partition, partition int32, layout *state.Layout, f *freshness) (*viewTable, error) {
	t := &viewTable{part: part, partition: partition, layout: layout, freshness: f}
	data, ok, err := part.Get(nil, []byte(state.PositionKey))
	if err != nil {
		return nil, fmt.Errorf("read position: %w", err)
	}
	if ok {
		position, err := state.DecodePosition(data)
		if err != nil {
			return nil, fmt.Errorf("read position: %w", err)
		}
		f.advance(partition, position)
	}
	return t, nil
}

// Get, Offset and Restore are what goka's side of the table needs (broker.TableStore).

func (t *viewTable) Get(dst, key []byte) ([]byte, bool, error) { return t.part.Get(dst, key) }

func (t *viewTable) Offset() (int64, bool) { return t.part.Offset() }

func (t *viewTable) Restore(run *broker.Run) error {
	t.batch.Reset()
	var latest []byte
	for key, value := range run.Rows() {
		if _, err := t.layout.RestoreRow(&t.batch, key, value); err != nil {
			return err
		}
		if string(key) == state.PositionKey {
			latest = value
		}
	}
	t.batch.SetOffset(run.Last())
	if err := t.part.Apply(&t.batch); err != nil {
		return err
	}
	if latest == nil {
		return nil
	}
	position, err := state.DecodePosition(latest)
	if err != nil {
		return fmt.Errorf("position record: %w", err)
	}
	t.freshness.advance(t.partition, position)
	return nil
}
