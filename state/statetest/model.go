package statetest

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/state"
)

// modelKey is a key of either kind of store; key-value stores leave the start 0.
type modelKey struct {
	key   string
	start int64
}

func (k modelKey) compare(other modelKey) int {
	if c := strings.Compare(k.key, other.key); c != 0 {
		return c
	}
	return int(k.start - other.start)
}

type modelValue struct {
	value     string
	timestamp int64
}

type modelRow struct {
	modelKey
	modelValue
}

// subject is a store under test, in the terms of the model.
type subject interface {
	state.Store
	put(k modelKey, v modelValue) error
	remove(k modelKey) error
	get(k modelKey) (modelValue, bool, error)
	// fetch returns the rows from lo to before hi. A window store only has rows of lo's key in order.
	fetch(lo, hi modelKey) ([]modelRow, error)
	// read returns the same rows through a reader.
	read(part state.Partition, lo, hi modelKey) ([]modelRow, error)
	expire(before int64) (int, error)
}

// model is a naive model of a store: a map of the committed rows and a map of the current rows.
type model struct {
	rng       *rand.Rand
	part      state.Partition
	budget    *state.Budget
	open      func() subject
	store     subject
	windowed  bool
	committed map[modelKey]modelValue
	live      map[modelKey]modelValue
	changelog changelog
	clock     int64
	order     endedModel
}

func testKeyValueModel(t *testing.T, e state.Engine) {
	testModel(t, e, false, func(part state.Partition, budget *state.Budget) subject {
		return kvSubject{newKeyValue(t, part, budget)}
	})
}

func testWindowedModel(t *testing.T, e state.Engine) {
	testModel(t, e, true, func(part state.Partition, budget *state.Budget) subject {
		return windowSubject{newWindowed(t, part, budget)}
	})
}

// testModel runs random operations with a budget so small that rows are evicted all the time, and with a large one.
func testModel(t *testing.T, e state.Engine, windowed bool, open func(state.Partition, *state.Budget) subject) {
	for i, bytes := range []int64{3000, 1 << 20} {
		m := &model{
			rng:       random(t),
			part:      openPartition(t, e, int32(2*i)),
			budget:    state.NewBudget(bytes),
			windowed:  windowed,
			committed: map[modelKey]modelValue{},
			live:      map[modelKey]modelValue{},
			changelog: changelog{},
		}
		m.open = func() subject { return open(m.part, m.budget) }
		m.store = m.open()
		for range 1500 {
			m.step(t)
		}
		m.store.Rollback()
		m.store.Close()
		equal(t, []int64{m.budget.Used(), m.budget.Dirty()}, []int64{0, 0}, "budget after Close")
		m.checkRestore(t, openPartition(t, e, int32(2*i+1)))
	}
}

func (m *model) step(t *testing.T) {
	t.Helper()
	if m.rng.IntN(3) == 0 {
		m.ended(t)
	}
	switch n := m.rng.IntN(100); {
	case n < 35:
		m.change(t)
	case n < 60:
		k := m.key()
		got, ok, err := m.store.get(k)
		must(t, err)
		want, wantOK := m.live[k]
		equal(t, []any{got, ok}, []any{want, wantOK}, "row %v", k)
	case n < 85:
		lo, hi := m.key(), m.key()
		got, err := m.store.fetch(lo, hi)
		must(t, err)
		equal(t, got, m.rows(m.live, lo, hi), "rows from %v to %v", lo, hi)
	case n < 93:
		m.commit(t)
	case n < 95:
		must(t, m.store.Flush(new(state.Batch)))
		m.change(t)
		m.rollback()
	case n < 97:
		m.rollback()
	case n < 98:
		// The task moves away and comes back.
		m.store.Close()
		m.live = maps.Clone(m.committed)
		m.store = m.open()
	default:
		m.expire(t)
	}
}

func (m *model) change(t *testing.T) {
	t.Helper()
	k := m.key()
	if m.rng.IntN(4) == 0 {
		must(t, m.store.remove(k))
		delete(m.live, k)
		return
	}
	m.clock++
	v := modelValue{strings.Repeat("x", m.rng.IntN(40)), m.clock}
	must(t, m.store.put(k, v))
	m.live[k] = v
}

func (m *model) commit(t *testing.T) {
	t.Helper()
	b := flush(t, m.store)
	flushed := maps.Clone(m.live)
	for range m.rng.IntN(4) {
		m.change(t)
	}
	must(t, m.part.Apply(b))
	m.store.Committed()
	m.committed = flushed
	m.changelog.write(b)
	lo, hi := m.key(), m.key()
	got, err := m.store.read(m.part, lo, hi)
	must(t, err)
	equal(t, got, m.rows(m.committed, lo, hi), "committed rows from %v to %v", lo, hi)
}

func (m *model) rollback() {
	m.store.Rollback()
	m.live = maps.Clone(m.committed)
}

func (m *model) expire(t *testing.T) {
	t.Helper()
	if !m.windowed {
		return
	}
	before := m.rng.Int64N(60)
	n := 0
	for k := range m.live {
		if k.start+windowSize <= before {
			delete(m.live, k)
			n++
		}
	}
	got, err := m.store.expire(before)
	must(t, err)
	equal(t, got, n, "windows expired before %d", before)
}

// checkRestore replays the compacted changelog and compares the result with the partition.
func (m *model) checkRestore(t *testing.T, restored state.Partition) {
	t.Helper()
	m.changelog.restore(t, m.store.Spec(), restored)
	equal(t, rows(t, restored.Scan(nil, nil)), rows(t, m.part.Scan(nil, nil)), "rows restored from the changelog")
}

// rows returns the rows of want that fetch should return.
func (m *model) rows(of map[modelKey]modelValue, lo, hi modelKey) []modelRow {
	var all []modelRow
	for k, v := range of {
		if m.windowed {
			if k.key == lo.key && lo.start <= k.start && k.start < hi.start {
				all = append(all, modelRow{k, v})
			}
		} else if lo.key <= k.key && k.key < hi.key {
			all = append(all, modelRow{k, v})
		}
	}
	slices.SortFunc(all, func(a, b modelRow) int { return a.compare(b.modelKey) })
	return all
}

// key returns a key that was often used before, difficult ones included.
func (m *model) key() modelKey {
	difficult := []string{"", "\x00", "\x00\xff", "a", "a\x00", "a\x00\x01", "ab", "\xff", "\xff\xff"}
	k := modelKey{key: fmt.Sprint(m.rng.IntN(60))}
	if m.windowed {
		k = modelKey{key: fmt.Sprint(m.rng.IntN(6)), start: m.rng.Int64N(8) * windowSize / 2}
	}
	if m.rng.IntN(3) == 0 {
		k.key = difficult[m.rng.IntN(len(difficult))]
	}
	return k
}

type kvSubject struct{ *stringStore }

func (s kvSubject) put(k modelKey, v modelValue) error { return s.Put(k.key, v.value, v.timestamp) }
func (s kvSubject) remove(k modelKey) error            { return s.Delete(k.key) }
func (s kvSubject) expire(int64) (int, error)          { return 0, nil }

func (s kvSubject) get(k modelKey) (modelValue, bool, error) {
	v, ts, ok, err := s.Get(k.key)
	return modelValue{v, ts}, ok, err
}

func (s kvSubject) fetch(lo, hi modelKey) (rows []modelRow, err error) {
	for e, err := range s.Range(&lo.key, &hi.key) {
		if err != nil {
			return nil, err
		}
		rows = append(rows, modelRow{modelKey{key: e.Key}, modelValue{e.Value, e.Timestamp}})
	}
	return rows, nil
}

func (s kvSubject) read(part state.Partition, lo, hi modelKey) (rows []modelRow, err error) {
	r := state.NewKeyValueReader(s.Spec().Name, codecs.String, codecs.String)
	for e, err := range r.Range(part, &lo.key, &hi.key) {
		if err != nil {
			return nil, err
		}
		rows = append(rows, modelRow{modelKey{key: e.Key}, modelValue{e.Value, e.Timestamp}})
	}
	return rows, nil
}

type windowSubject struct{ *windowStore }

func (s windowSubject) put(k modelKey, v modelValue) error {
	return s.Put(k.key, k.start, v.value, v.timestamp)
}
func (s windowSubject) remove(k modelKey) error          { return s.Delete(k.key, k.start) }
func (s windowSubject) expire(before int64) (int, error) { return s.Expire(before) }

func (s windowSubject) get(k modelKey) (modelValue, bool, error) {
	v, ts, ok, err := s.Get(k.key, k.start)
	return modelValue{v, ts}, ok, err
}

func (s windowSubject) fetch(lo, hi modelKey) (rows []modelRow, err error) {
	for e, err := range s.Fetch(lo.key, lo.start, hi.start) {
		if err != nil {
			return nil, err
		}
		rows = append(rows, windowRow(e))
	}
	return rows, nil
}

func (s windowSubject) read(part state.Partition, lo, hi modelKey) (rows []modelRow, err error) {
	r := state.NewWindowReader(s.Spec(), codecs.String, codecs.String)
	for e, err := range r.Fetch(part, lo.key, lo.start, hi.start) {
		if err != nil {
			return nil, err
		}
		rows = append(rows, windowRow(e))
	}
	return rows, nil
}

func windowRow(e windowedRow) modelRow {
	return modelRow{modelKey{e.Key, e.Window.Start}, modelValue{e.Value, e.Timestamp}}
}
