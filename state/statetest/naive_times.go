package statetest

import (
	"errors"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/state"
)

// naiveVersions holds all changes ever made, by key and time, and where history begins.
type naiveVersions struct {
	*versionedStore
	versionsTruth
}

type versionsTruth struct {
	changes map[string]map[int64]*string // nil: deleted
	history int64
}

func testVersionedModel(t *testing.T, e state.Engine) {
	testNaive(t, e, func() naive {
		return &naiveVersions{versionsTruth: versionsTruth{map[string]map[int64]*string{}, math.MinInt64}}
	})
}

func (m *naiveVersions) open(t testing.TB, part state.Partition, budget *state.Budget) {
	m.versionedStore = newVersioned(t, part, budget)
}

func (m *naiveVersions) resume() {
	if m.history > math.MinInt64 {
		m.Advance(m.history + retention)
	}
}

func (m *naiveVersions) save() any {
	saved := versionsTruth{make(map[string]map[int64]*string, len(m.changes)), m.history}
	for key, changes := range m.changes {
		saved.changes[key] = maps.Clone(changes)
	}
	return saved
}
func (m *naiveVersions) load(saved any)       { m.versionsTruth, _ = saved.(versionsTruth) }
func (m *naiveVersions) exactLocalRows() bool { return true }

func (m *naiveVersions) change(t testing.TB, rng *rand.Rand, clock int64) {
	key, value, from := naiveKey(rng), randomText(rng), clock/4-rng.Int64N(retention*5/4)
	deletes := rng.IntN(3) == 0
	var err error
	if deletes {
		err = m.Delete(key, from)
	} else {
		err = m.Put(key, value, from)
	}
	if from < m.history {
		if !errors.Is(err, state.ErrTooOld) {
			t.Fatalf("change at %d with a history from %d: %v, want ErrTooOld", from, m.history, err)
		}
		return
	}
	must(t, err)
	m.history = max(m.history, from-retention)
	if m.changes[key] == nil {
		m.changes[key] = map[int64]*string{}
	}
	m.changes[key][from] = &value
	if deletes {
		m.changes[key][from] = nil
	}
}

// versions returns all versions of key.
func (m *naiveVersions) versions(key string) (versions []versionRow) {
	var times []int64
	for at := range m.changes[key] {
		times = append(times, at)
	}
	slices.Sort(times)
	for i, at := range times {
		end := int64(math.MaxInt64)
		if i+1 < len(times) {
			end = times[i+1]
		}
		if value := m.changes[key][at]; value != nil {
			versions = append(versions, versionRow{Key: key, Value: *value, ValidFrom: at, ValidTo: end})
		}
	}
	return versions
}

// between returns the versions that were valid between from and before to, within history.
func (m *naiveVersions) between(key string, from, to int64) (found []versionRow) {
	for _, v := range m.versions(key) {
		if v.ValidTo > max(from, m.history) && v.ValidFrom < to {
			found = append(found, v)
		}
	}
	return found
}

// asOf returns the version of key that was valid at a time, or none.
func (m *naiveVersions) asOf(key string, at int64) (v versionRow, ok bool) {
	for _, v := range m.versions(key) {
		if v.ValidFrom <= at && at < v.ValidTo && v.ValidTo > m.history {
			return v, true
		}
	}
	return v, false
}

func (m *naiveVersions) check(t testing.TB, rng *rand.Rand) {
	key := naiveKey(rng)
	at := max(m.history, 0) - 5 + rng.Int64N(retention*3/2)
	value, from, ok, err := m.GetAsOf(key, at)
	must(t, err)
	want, wantOK := m.asOf(key, at)
	equal(t, []any{value, from, ok}, []any{want.Value, want.ValidFrom, wantOK},
		"value of %q at %d, history from %d", key, at, m.history)
	value, from, ok, err = m.Get(key)
	must(t, err)
	want, wantOK = m.asOf(key, math.MaxInt64-1)
	equal(t, []any{value, from, ok}, []any{want.Value, want.ValidFrom, wantOK}, "value of %q", key)
	to := at + rng.Int64N(retention)
	equal(t, collect(t, m.Versions(key, at, to)), m.between(key, at, to), "versions of %q from %d to %d", key, at, to)
	equal(t, m.HistoryStart(), m.history, "start of history")
}

func (m *naiveVersions) expire(t testing.TB, rng *rand.Rand) {
	before := max(m.history, 0)
	if rng.IntN(4) == 0 {
		before += rng.Int64N(5)
	}
	m.history = max(m.history, before)
	_, err := m.Expire(before)
	must(t, err)
}

func (m *naiveVersions) checkReader(t testing.TB, part state.Partition) {
	r := state.NewVersionReader(m.Spec().Name, codecs.String, codecs.String)
	for key := range m.changes {
		for at := max(m.history, 0); at < m.history+retention; at += 3 {
			value, from, ok, err := r.GetAsOf(part, key, at)
			must(t, err)
			want, wantOK := m.asOf(key, at)
			equal(t, []any{value, from, ok}, []any{want.Value, want.ValidFrom, wantOK}, "committed %q at %d", key, at)
		}
		value, from, ok, err := r.Get(part, key)
		must(t, err)
		want, wantOK := m.asOf(key, math.MaxInt64-1)
		equal(t, []any{value, from, ok}, []any{want.Value, want.ValidFrom, wantOK}, "committed %q", key)
		start := max(m.history, 0)
		equal(t, collect(t, r.Versions(part, key, start, math.MaxInt64)), m.between(key, start, math.MaxInt64),
			"committed versions of %q", key)
	}
}

// naiveExpiring holds rows in a map until Expire removes them.
type naiveExpiring struct {
	*expiringStore
	expiringTruth
}

type expiringTruth struct {
	live  map[string]modelValue
	alive int64
}

func testExpiringModel(t *testing.T, e state.Engine) {
	testNaive(t, e, func() naive {
		return &naiveExpiring{expiringTruth: expiringTruth{map[string]modelValue{}, math.MinInt64}}
	})
}

func (m *naiveExpiring) open(t testing.TB, part state.Partition, budget *state.Budget) {
	m.expiringStore = newExpiring(t, part, budget)
}

func (m *naiveExpiring) resume() {
	if m.alive > math.MinInt64 {
		m.Advance(m.alive + ttl)
	}
}
func (m *naiveExpiring) save() any            { return expiringTruth{maps.Clone(m.live), m.alive} }
func (m *naiveExpiring) load(saved any)       { m.expiringTruth, _ = saved.(expiringTruth) }
func (m *naiveExpiring) exactLocalRows() bool { return false }

func (m *naiveExpiring) change(t testing.TB, rng *rand.Rand, clock int64) {
	key := naiveKey(rng)
	if rng.IntN(4) == 0 {
		must(t, m.Delete(key))
		delete(m.live, key)
		return
	}
	v := modelValue{randomText(rng), clock/4 - rng.Int64N(ttl*2)}
	must(t, m.Put(key, v.value, v.timestamp))
	m.live[key] = v
	m.Advance(v.timestamp)
	m.alive = max(m.alive, v.timestamp-ttl)
}

func (m *naiveExpiring) rows(lo, hi string) (all []stringEntry) {
	for key, v := range m.live {
		if lo <= key && key < hi && v.timestamp >= m.alive {
			all = append(all, entry(key, v.value, v.timestamp))
		}
	}
	slices.SortFunc(all, func(a, b stringEntry) int {
		if a.Key < b.Key {
			return -1
		}
		return 1
	})
	return all
}

func (m *naiveExpiring) check(t testing.TB, rng *rand.Rand) {
	key, hi := naiveKey(rng), naiveKey(rng)
	value, timestamp, ok, err := m.Get(key)
	must(t, err)
	want, wantOK := m.live[key]
	if want.timestamp < m.alive {
		want, wantOK = modelValue{}, false
	}
	equal(t, []any{modelValue{value, timestamp}, ok}, []any{want, wantOK}, "row %q, alive from %d", key, m.alive)
	equal(t, collect(t, m.Range(&key, &hi)), m.rows(key, hi), "rows from %q to %q", key, hi)
}

func (m *naiveExpiring) expire(t testing.TB, rng *rand.Rand) {
	before, n := max(m.alive, 0)+rng.Int64N(3), 0
	for key, v := range m.live {
		if v.timestamp < before {
			delete(m.live, key)
			n++
		}
	}
	m.alive = max(m.alive, before)
	got, err := m.Expire(before)
	must(t, err)
	equal(t, got, n, "rows expired before %d", before)
}

func (m *naiveExpiring) checkReader(t testing.TB, part state.Partition) {
	r := state.NewKeyValueReader(m.Spec().Name, codecs.String, codecs.String)
	got := map[string]modelValue{}
	for _, e := range collect(t, r.Range(part, nil, nil)) {
		got[e.Key] = modelValue{e.Value, e.Timestamp}
	}
	equal(t, got, m.live, "committed rows")
	for key, v := range m.live {
		local := append([]byte("\x01"+m.Spec().Name+"\x00"), state.AppendRowValue(nil, v.timestamp, []byte(key))...)
		wantRow(t, part, string(local), []byte{})
	}
}
