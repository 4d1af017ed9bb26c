//go:build invariants

package state

import (
	"fmt"
	"iter"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/codecs"
)

func checkedStore(t *testing.T, part Partition) *KeyValue[string, string] {
	t.Helper()
	s, err := NewKeyValue("flights", part, nil, codecs.String, codecs.String)
	require.NoError(t, err)
	return s
}

func checkedPartition(t *testing.T) Partition {
	t.Helper()
	part, err := NewMemory().Open(0)
	require.NoError(t, err)
	return part
}

// violates runs f, which must violate the invariant with that name.
func violates(t *testing.T, name string, f func()) {
	t.Helper()
	defer func() {
		t.Helper()
		require.Contains(t, fmt.Sprint(recover()), "invariant "+name+" is violated")
	}()
	f()
}

// fakePartition yields rows that no engine yields.
type fakePartition struct {
	Partition
	rows []Row
}

func (p fakePartition) Scan(_, _ []byte) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		for _, row := range p.rows {
			if !yield(row, nil) {
				return
			}
		}
	}
}

// Each violation is made on purpose, and found.
func TestChecks_find(t *testing.T) {
	t.Run("ST2: Committed without Apply", func(t *testing.T) {
		s := checkedStore(t, checkedPartition(t))
		require.NoError(t, s.Put("LH1", "MUC", 1))
		require.NoError(t, s.Flush(new(Batch)))
		violates(t, "ST2", s.Committed)
	})
	t.Run("ST2: another batch was applied", func(t *testing.T) {
		part := checkedPartition(t)
		s := checkedStore(t, part)
		for _, row := range []struct {
			value     string
			timestamp int64
		}{{"FRA", 2}, {"other size", 1}} {
			var b Batch
			require.NoError(t, s.Put("LH1", row.value, row.timestamp))
			require.NoError(t, s.Flush(&b))
			require.NoError(t, part.Apply(&b))
			require.NoError(t, s.Put("LH1", "MUC", 1))
			require.NoError(t, s.Flush(new(Batch)))
			violates(t, "ST2", s.Committed)
		}
	})
	t.Run("ST2: a row is cached twice", func(t *testing.T) {
		s := checkedStore(t, checkedPartition(t))
		require.NoError(t, s.Put("LH1", "MUC", 1))
		violates(t, "ST2", func() { s.rows.insert(&row[string]{}, []byte("LH1"), 1) })
	})
	t.Run("ST3: an engine without order", func(t *testing.T) {
		rows := []Row{{Key: []byte("flights\x00b"), Value: make([]byte, 8)}, {Key: []byte("flights\x00a"), Value: make([]byte, 8)}}
		s := checkedStore(t, fakePartition{checkedPartition(t), rows})
		violates(t, "ST3", func() {
			for range s.Range(nil, nil) { //nolint:revive // the loop is what fails
			}
		})
	})
	t.Run("ST3: a flush without order", func(t *testing.T) {
		s := checkedStore(t, checkedPartition(t))
		require.NoError(t, s.Put("a", "", 1))
		require.NoError(t, s.Put("b", "", 1))
		s.rows.dirty.order()
		chunk := s.rows.dirty.chunks[0]
		chunk[0], chunk[1] = chunk[1], chunk[0]
		// A flush turns the panic of a codec into an error, and cannot tell this one from it.
		require.ErrorContains(t, s.Flush(new(Batch)), "invariant ST3 is violated")
	})
	t.Run("ST4: a row without its local row", func(t *testing.T) {
		part := checkedPartition(t)
		s, err := NewExpiring(Spec{Name: "e", Kind: KeyValueKind, TTL: time.Second}, part, nil, codecs.String, codecs.String)
		require.NoError(t, err)
		require.NoError(t, s.Put("LH1", "MUC", 1))
		var all, logged Batch
		require.NoError(t, s.Flush(&all))
		for op := range all.Ops() {
			if !op.Local {
				logged.Set(op.Key, op.Value)
			}
		}
		require.NoError(t, part.Apply(&logged))
		violates(t, "ST4", s.Committed)
	})
	t.Run("ST5: an engine with a nil value", func(t *testing.T) {
		s := checkedStore(t, fakePartition{checkedPartition(t), []Row{{Key: []byte("flights\x00a")}}})
		violates(t, "ST5", func() {
			for range s.Range(nil, nil) { //nolint:revive // the loop is what fails
			}
		})
	})
	t.Run("ST6: a scanned row is modified", func(t *testing.T) {
		part := checkedPartition(t)
		var b Batch
		b.Set([]byte("a"), []byte("1"))
		require.NoError(t, part.Apply(&b))
		violates(t, "ST6", func() {
			for row := range part.Scan(nil, nil) {
				row.Value[0] = '2'
			}
		})
	})
	t.Run("ST6: a reader is used after its snapshot", func(t *testing.T) {
		var kept Reader
		require.NoError(t, checkedPartition(t).Snapshot(func(r Reader) error {
			kept = r
			return nil
		}))
		violates(t, "ST6", func() { _, _, _ = kept.Get(nil, []byte("a")) })
		violates(t, "ST6", func() { kept.Scan(nil, nil) })
	})
	t.Run("ST7: two goroutines in one store", func(t *testing.T) {
		s := checkedStore(t, checkedPartition(t))
		s.rows.guard.Enter("ST7", "the other goroutine")
		for _, f := range []func(){
			func() { _ = s.Put("a", "", 1) },
			func() { _, _, _, _ = s.Get("a") },
			func() { _ = s.Delete("a") },
			func() { _ = s.Flush(new(Batch)) },
			s.Committed, s.Rollback, s.Close,
		} {
			violates(t, "ST7", f)
		}
	})
	t.Run("ST7: two goroutines apply to one partition", func(t *testing.T) {
		m := NewMemory()
		part, err := m.Open(0)
		require.NoError(t, err)
		p, ok := part.(*memoryPartition)
		require.True(t, ok)
		p.apply.Enter("ST7", "the other goroutine")
		violates(t, "ST7", func() { _ = part.Apply(new(Batch)) })
		violates(t, "ST7", func() { _ = m.Drop(0) })
	})
	t.Run("ST8: a dirty row without a charge", func(t *testing.T) {
		s := checkedStore(t, checkedPartition(t))
		require.NoError(t, s.Put("LH1", "MUC", 1))
		s.rows.account.dirty--
		violates(t, "ST8", s.Rollback)
	})
}

// What is lent is made useless when the loan is over.
func TestChecks_poison(t *testing.T) {
	part := checkedPartition(t)
	var b Batch
	b.Set([]byte("a"), []byte("1"))
	require.NoError(t, part.Apply(&b))
	var op Op
	for op = range b.Ops() { //nolint:revive // the last one is kept
	}
	b.Reset()
	require.Equal(t, Op{Key: []byte{0xDB}, Value: []byte{0xDB}}, op, "a change of a batch that is kept beyond Reset")
	var row Row
	for row = range part.Scan(nil, nil) { //nolint:revive // the last one is kept
	}
	require.Equal(t, Row{Key: []byte{0xDB}, Value: []byte{0xDB}}, row, "a row that is kept beyond the loop")
}
