package views

import (
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/internal/localcopy"
	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/state/pebblestore"
)

// breaking is an engine whose reads meet damage once broken is set, until the rows are dropped.
type breaking struct {
	state.Engine
	broken bool
}

func (e *breaking) Open(p int32) (state.Partition, error) {
	part, err := e.Engine.Open(p)
	return breakingPart{part, e}, err
}

func (e *breaking) Drop(p int32) error {
	e.broken = false
	return e.Engine.Drop(p)
}

type breakingPart struct {
	state.Partition
	engine *breaking
}

func (p breakingPart) Get(dst, key []byte) ([]byte, bool, error) {
	if p.engine.broken {
		return dst, false, fmt.Errorf("block 7: %w", pebblestore.ErrCorrupt)
	}
	return p.Partition.Get(dst, key)
}

// A damaged part of a view answers nothing and reflects nothing until it is read again. (That it is read again without
// a gap is a test of package localcopy.)
func TestViewTable_answersNothingWhileItIsReadAgain(t *testing.T) {
	layout, err := state.NewLayout()
	require.NoError(t, err)
	fresh, err := newFreshness(1, []state.TableRef{{Direct: []string{"events"}}})
	require.NoError(t, err)
	engine := &breaking{Engine: state.NewMemory()}
	g := &groupView{group: "g", engine: engine, freshness: fresh}
	part, err := engine.Open(0)
	require.NoError(t, err)
	reflected := state.Offsets{{Topic: "events"}: 5}
	var b state.Batch
	b.Set([]byte(state.PositionKey), state.Position{Direct: reflected}.Append(nil))
	b.SetOffset(7)
	require.NoError(t, part.Apply(&b))

	table, err := openViewTable(t.Context(), g, 0, layout, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	require.Equal(t, reflected, fresh.position())
	offset, known := table.copy.Store(0).Offset()
	require.True(t, known)
	require.EqualValues(t, 7, offset)

	engine.broken = true
	_, _, err = table.rows.Get(nil, []byte("k"))
	require.ErrorIs(t, err, ErrRebuilding)
	require.ErrorIs(t, err, pebblestore.ErrCorrupt)
	require.ErrorContains(t, err, "group g, partition 0")
	require.Empty(t, fresh.position())
	_, _, err = table.rows.Get(nil, []byte("k"))
	require.ErrorIs(t, err, ErrRebuilding)
	require.EqualValues(t, 1, table.copy.Damaged())

	run := positions{state.PositionKey: state.Position{Direct: reflected}.Append(nil)}
	b.Reset()
	require.NoError(t, table.Append(&b, 0, run))
	require.NoError(t, table.Applied(0, run))
	require.Equal(t, reflected, fresh.position())
}

// positions is a run up to offset 7.
type positions map[string][]byte

var _ localcopy.Run = positions(nil)

func (r positions) Rows() iter.Seq2[[]byte, []byte] {
	return func(yield func(key, value []byte) bool) {
		for key, value := range maps.All(r) {
			if !yield([]byte(key), value) {
				return
			}
		}
	}
}
func (r positions) Len() int     { return len(r) }
func (r positions) Records() int { return len(r) }
func (r positions) Bytes() int64 { return 0 }
func (r positions) Last() int64  { return 7 }
