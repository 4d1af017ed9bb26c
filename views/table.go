package views

import (
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/seed84377926/millrace/internal/broker"
	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/state/pebblestore"
)

// ErrRebuilding says that a part of a view was found damaged on disk and is read again from its table. What is there is not
// all, so that nothing is answered until it is: try again in a while.
var ErrRebuilding = errors.New("views: view is being rebuilt")

// viewTable is one partition of a group's table as goka fills it: the rows of the stores asked for and the position
// records, everything else is left out.
type viewTable struct {
	group     *groupView
	partition int32
	layout    *state.Layout
	logger    *slog.Logger
	batch     state.Batch
	stored    state.Partition // what is on disk; readers use part

	part    state.Partition // what readers see
	goal    atomic.Int64    // the changelog offset it must have reached again before it is read, noGoal if it may be
	damaged atomic.Int64    // times that it was dropped

	mu struct {
		sync.Mutex               // held while rows are applied or dropped
		restart    chan struct{} // closed when goka must read the table anew
		dropped    bool          // goka has not asked yet where to read on: what it brings would leave a gap
	}
}

const noGoal = -1

func newViewTable(g *groupView, partition int32, layout *state.Layout, logger *slog.Logger) (*viewTable, error) {
	t := &viewTable{group: g, partition: partition, layout: layout, logger: logger}
	t.goal.Store(noGoal)
	t.mu.restart = make(chan struct{})
	position, err := t.open()
	if errors.Is(err, pebblestore.ErrCorrupt) {
		t.tell(err)
		if err := g.engine.Drop(partition); err != nil {
			return nil, err
		}
		position, err = t.open()
	}
	if err != nil {
		return nil, err
	}
	t.part = readable{t.stored, t}
	g.freshness.advance(partition, position)
	return t, nil
}

// open opens what is on disk and reads the position that it reflects.
func (t *viewTable) open() (state.Position, error) {
	var err error
	if t.stored, err = t.group.engine.Open(t.partition); err != nil {
		return state.Position{}, err
	}
	data, ok, err := t.stored.Get(nil, []byte(state.PositionKey))
	if err != nil {
		return state.Position{}, fmt.Errorf("read position: %w", err)
	}
	if !ok {
		return state.NewPosition(), nil
	}
	position, err := state.DecodePosition(data)
	if err != nil {
		return state.Position{}, fmt.Errorf("read position: %w", err)
	}
	return position, nil
}

// restart returns a channel that is closed when the table must be read anew. goka asks for it after the offset: if the rows were
// dropped in between, it is closed already, since what goka is about to read is behind them.
func (t *viewTable) restart() <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.mu.restart
}

// failed looks whether err, which a read met, is damage, and returns the error for the reader.
func (t *viewTable) failed(err error) error {
	if !errors.Is(err, pebblestore.ErrCorrupt) {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rebuild(err)
	return fmt.Errorf("%w: group %s, partition %d: %w", ErrRebuilding, t.group.group, t.partition, err)
}

// rebuild drops what is on disk and lets goka read the table from the beginning. The lock is held. Readers that met the
// same damage come too late: the rebuild is under way.
func (t *viewTable) rebuild(err error) {
	if t.goal.Load() != noGoal {
		return
	}
	t.tell(err)
	if last, ok := t.stored.Offset(); ok {
		t.goal.Store(last)
	}
	t.group.freshness.advance(t.partition, state.NewPosition())
	if err := t.group.engine.Drop(t.partition); err != nil {
		t.logger.Error("damaged view cannot be dropped; it is tried again", slog.Any("error", err))
		t.goal.Store(noGoal)
		return
	}
	t.mu.dropped = true
	close(t.mu.restart)
}

func (t *viewTable) tell(err error) {
	t.damaged.Add(1)
	t.logger.Error("view is damaged; it is dropped and read again from its table",
		slog.String("group", t.group.group), slog.Int("partition", int(t.partition)), slog.Any("error", err))
}

// Get, Offset and Restore are what goka's side of the table needs (broker.TableStore).

func (t *viewTable) Get(dst, key []byte) ([]byte, bool, error) { return t.stored.Get(dst, key) }

// Offset is asked for when goka begins to read.
func (t *viewTable) Offset() (int64, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.mu.dropped {
		t.mu.dropped, t.mu.restart = false, make(chan struct{})
	}
	return t.stored.Offset()
}

func (t *viewTable) Restore(run *broker.Run) error {
	last := run.Last()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.mu.dropped {
		return fmt.Errorf("%w: group %s, partition %d: rows up to %d were read for what was dropped", ErrRebuilding, t.group.group, t.partition, last)
	}
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
	t.batch.SetOffset(last)
	if err := t.stored.Apply(&t.batch); err != nil {
		if errors.Is(err, pebblestore.ErrCorrupt) {
			t.rebuild(err)
		}
		return err
	}
	if goal := t.goal.Load(); goal != noGoal && last >= goal {
		t.goal.Store(noGoal)
		t.logger.Info("view is rebuilt", slog.String("group", t.group.group), slog.Int("partition", int(t.partition)))
	}
	if latest == nil {
		return nil
	}
	position, err := state.DecodePosition(latest)
	if err != nil {
		return fmt.Errorf("position record: %w", err)
	}
	t.group.freshness.advance(t.partition, position)
	return nil
}

// readable is a partition for readers: it notices damage and is closed to them while it is rebuilt.
type readable struct {
	state.Partition
	table *viewTable
}

func (r readable) check() error {
	if r.table.goal.Load() != noGoal {
		return fmt.Errorf("%w: group %s, partition %d", ErrRebuilding, r.table.group.group, r.table.partition)
	}
	return nil
}

// Get implements state.Partition.
func (r readable) Get(dst, key []byte) ([]byte, bool, error) {
	if err := r.check(); err != nil {
		return dst, false, err
	}
	value, ok, err := r.Partition.Get(dst, key)
	if err != nil {
		return value, ok, r.table.failed(err)
	}
	return value, ok, nil
}

// Scan implements state.Partition.
func (r readable) Scan(lo, hi []byte) iter.Seq2[state.Row, error] {
	return func(yield func(state.Row, error) bool) {
		if err := r.check(); err != nil {
			yield(state.Row{}, err)
			return
		}
		for row, err := range r.Partition.Scan(lo, hi) {
			if err != nil {
				err = r.table.failed(err)
			}
			if !yield(row, err) {
				return
			}
		}
	}
}

// Snapshot implements state.Partition.
func (r readable) Snapshot(read func(state.Reader) error) error {
	if err := r.check(); err != nil {
		return err
	}
	err := r.Partition.Snapshot(read)
	if err != nil {
		return r.table.failed(err)
	}
	return nil
}
