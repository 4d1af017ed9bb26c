package localcopy

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/state/pebblestore"
)

var (
	errDamage     = fmt.Errorf("block 7: %w", pebblestore.ErrCorrupt)
	errRebuilding = errors.New("read again")
)

// fakeDisk is an engine that can be damaged: until the next drop, or for ever, its partitions fail.
type fakeDisk struct {
	state.Engine
	damage   error // what reads and Apply return
	stuck    bool  // Drop fails
	drops    int
	onGet    func() // called by a read before it looks
	reformat bool   // Open fails, too
}

func newFakeDisk() *fakeDisk { return &fakeDisk{Engine: state.NewMemory()} }

func (d *fakeDisk) Open(p int32) (state.Partition, error) {
	if d.reformat {
		return nil, errDamage
	}
	part, err := d.Engine.Open(p)
	return fakePart{part, d}, err
}

func (d *fakeDisk) Drop(p int32) error {
	if d.stuck {
		return errors.New("disk is stuck")
	}
	d.drops++
	d.damage, d.reformat = nil, false
	return d.Engine.Drop(p)
}

type fakePart struct {
	state.Partition
	disk *fakeDisk
}

func (p fakePart) Get(dst, key []byte) ([]byte, bool, error) {
	if p.disk.onGet != nil {
		p.disk.onGet()
	}
	if p.disk.damage != nil {
		return dst, false, p.disk.damage
	}
	return p.Partition.Get(dst, key)
}

func (p fakePart) Scan(lo, hi []byte) iter.Seq2[state.Row, error] {
	if p.disk.damage != nil {
		return func(yield func(state.Row, error) bool) { yield(state.Row{}, p.disk.damage) }
	}
	return p.Partition.Scan(lo, hi)
}

func (p fakePart) Snapshot(read func(state.Reader) error) error {
	if p.disk.damage != nil {
		return p.disk.damage
	}
	return p.Partition.Snapshot(read)
}

func (p fakePart) Apply(b *state.Batch) error {
	if p.disk.damage != nil {
		return p.disk.damage
	}
	return p.Partition.Apply(b)
}

// fakeContents keeps rows as they are, and the offset of source p in the row "@p".
type fakeContents struct {
	unusable string // until the rows are dropped
	applied  int
	dropped  int
}

func offsetRow(source int32) []byte { return fmt.Appendf(nil, "@%d", source) }

func (f *fakeContents) Load(_ context.Context, store state.Partition) (map[int32]int64, string, error) {
	offsets := make(map[int32]int64)
	for row, err := range store.Scan([]byte("@"), []byte("A")) {
		if err != nil {
			return nil, "", err
		}
		offsets[int32(row.Key[1]-'0')] = int64(binary.BigEndian.Uint64(row.Value))
	}
	if len(offsets) == 0 {
		return nil, "", nil
	}
	return offsets, f.unusable, nil
}

func (f *fakeContents) Append(b *state.Batch, source int32, run Run) error {
	for key, value := range run.Rows() {
		b.Set(key, value)
	}
	b.Set(offsetRow(source), binary.BigEndian.AppendUint64(nil, uint64(run.Last())))
	return nil
}

func (f *fakeContents) Applied(int32, Run) error { f.applied++; return nil }

func (f *fakeContents) Dropped() { f.dropped++ }

func (f *fakeContents) Rebuilding(cause error) error {
	if cause == nil {
		return errRebuilding
	}
	return fmt.Errorf("%w: %w", errRebuilding, cause)
}

// fakeRun is rows up to an offset.
type fakeRun struct {
	rows map[string]string
	last int64
}

func (r fakeRun) Rows() iter.Seq2[[]byte, []byte] {
	return func(yield func(key, value []byte) bool) {
		for _, key := range slices.Sorted(maps.Keys(r.rows)) {
			if !yield([]byte(key), []byte(r.rows[key])) {
				return
			}
		}
	}
}

func (r fakeRun) Len() int     { return len(r.rows) }
func (r fakeRun) Records() int { return len(r.rows) }
func (r fakeRun) Last() int64  { return r.last }
func (r fakeRun) Bytes() int64 { return 0 }

// bench is a copy of some sources on a fake disk.
type bench struct {
	t        *testing.T
	disk     *fakeDisk
	contents *fakeContents
	copy     *Copy
}

func newBench(t *testing.T, sources ...int32) *bench {
	t.Helper()
	b := &bench{t: t, disk: newFakeDisk(), contents: &fakeContents{}}
	b.open(sources...)
	return b
}

func (b *bench) open(sources ...int32) {
	b.t.Helper()
	var err error
	b.copy, err = Open(b.t.Context(), Config{Engine: b.disk, Sources: sources, Logger: slog.New(slog.DiscardHandler)}, b.contents)
	require.NoError(b.t, err)
}

// bring applies the row key=value of a source, up to offset last.
func (b *bench) bring(source int32, key, value string, last int64) error {
	return b.copy.apply(source, fakeRun{map[string]string{key: value}, last})
}

// get reads a row; "" is none.
func (b *bench) get(key string) (string, error) {
	value, _, err := b.copy.Rows().Get(nil, []byte(key))
	return string(value), err
}

func (b *bench) requireRow(key, want string) {
	b.t.Helper()
	got, err := b.get(key)
	require.NoError(b.t, err)
	require.Equal(b.t, want, got)
}

func (b *bench) requireRefused() {
	b.t.Helper()
	_, err := b.get("k")
	require.ErrorIs(b.t, err, errRebuilding)
	for _, err := range b.copy.Rows().Scan(nil, nil) {
		require.ErrorIs(b.t, err, errRebuilding)
	}
	require.ErrorIs(b.t, b.copy.Rows().Snapshot(func(state.Reader) error { return nil }), errRebuilding)
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
