package statetest

import (
	"slices"
	"testing"

	"github.com/seed84377926/millrace/state"
)

// replay restores the rows of a batch into a partition, as a reader of the changelog does: record by record, without
// the local rows.
func replay(t testing.TB, layout *state.Layout, restored state.Partition, b *state.Batch) {
	t.Helper()
	var r state.Batch
	for op := range b.Ops() {
		if op.Local {
			continue
		}
		known, err := layout.RestoreRow(&r, op.Key, op.Value)
		must(t, err)
		equal(t, known, true, "row %q is known", op.Key)
	}
	must(t, restored.Apply(&r))
}

// changelog is a changelog as compaction leaves it: the last value of each key.
type changelog map[string][]byte

// write adds the rows of a batch.
func (c changelog) write(b *state.Batch) {
	for op := range b.Ops() {
		switch {
		case op.Local:
		case op.Value == nil:
			delete(c, string(op.Key))
		default:
			c[string(op.Key)] = slices.Clone(op.Value)
		}
	}
}

// restore restores the rows of the store that spec describes into a partition, in no order.
func (c changelog) restore(t testing.TB, spec state.Spec, restored state.Partition) {
	t.Helper()
	layout, err := state.NewLayout(spec)
	must(t, err)
	var b state.Batch
	for key, value := range c {
		_, err := layout.RestoreRow(&b, []byte(key), value)
		must(t, err)
	}
	must(t, restored.Apply(&b))
}
