package views

import (
	"errors"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/state"
)

// goka asks for the offset, and then for the restart. Rows that are dropped before, between or after these are read again.
func TestViewTable_isReadAnewWheneverItIsDropped(t *testing.T) {
	closed := func(c <-chan struct{}) bool {
		select {
		case <-c:
			return true
		default:
			return false
		}
	}
	for _, when := range []string{"before", "between", "after"} {
		t.Run(when, func(t *testing.T) {
			layout, err := state.NewLayout()
			require.NoError(t, err)
			fresh, err := newFreshness(1, nil)
			require.NoError(t, err)
			g := &groupView{group: "g", engine: state.NewMemory(), freshness: fresh}
			table, err := newViewTable(g, 0, layout, slog.New(slog.DiscardHandler))
			require.NoError(t, err)
			var b state.Batch
			b.SetOffset(7)
			require.NoError(t, table.stored.Apply(&b))
			drop := func(now string) {
				if now == when {
					table.mu.Lock()
					defer table.mu.Unlock()
					table.rebuild(errors.New("damaged"))
				}
			}
			drop("before")
			offset, known := table.Offset()
			drop("between")
			restart := table.restart()
			require.Equal(t, when == "between", closed(restart))
			drop("after")
			require.Equal(t, when != "before", closed(restart))
			require.Equal(t, when != "before", known, "offset %d", offset)

			if when != "before" { // what was read for the rows that are gone is over, and read again
				_, known = table.Offset()
				require.False(t, known)
				require.False(t, closed(table.restart()))
			}
			require.ErrorIs(t, readable{table.stored, table}.check(), ErrRebuilding)
		})
	}
}
