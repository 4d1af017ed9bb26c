package statetest

import (
	"bytes"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/state"
)

// naive is a store under test together with a naive model of its content, which is easy to copy and to compare.
type naive interface {
	state.Store
	// resume sets the store's stream time to the model's, after open and Rollback.
	resume()
	// open makes a new store above part. The model stays as it is.
	open(t testing.TB, part state.Partition, budget *state.Budget)
	// change changes store and model at random; clock is higher than ever before.
	change(t testing.TB, rng *rand.Rand, clock int64)
	// check compares reads of the store with the model.
	check(t testing.TB, rng *rand.Rand)
	// expire expires in store and model.
	expire(t testing.TB, rng *rand.Rand)
	// checkReader compares the results of a reader with the model, which holds the committed content.
	checkReader(t testing.TB, part state.Partition)
	// save returns a copy of the model, load makes such a copy the model.
	save() any
	load(saved any)
	// exactLocalRows reports whether no local row may ever be left over.
	exactLocalRows() bool
}

// testNaive runs random operations with a budget so small that rows are evicted all the time, and with a large one.
func testNaive(t *testing.T, e state.Engine, fresh func() naive) {
	for i, size := range []int64{3000, 1 << 20} {
		m := &naiveModel{naive: fresh(), rng: random(t), changelog: changelog{}}
		m.part, m.budget = openPartition(t, e, int32(2*i)), state.NewBudget(size)
		m.open(t, m.part, m.budget)
		m.committed = m.save()
		for range 1500 {
			m.step(t)
		}
		m.rollback()
		m.Close()
		equal(t, []int64{m.budget.Used(), m.budget.Dirty()}, []int64{0, 0}, "budget after Close")
		m.checkRestore(t, openPartition(t, e, int32(2*i+1)))
	}
}

type naiveModel struct {
	naive
	rng       *rand.Rand
	part      state.Partition
	budget    *state.Budget
	committed any // what save returned
	changelog changelog
	clock     int64
}

func (m *naiveModel) step(t *testing.T) {
	t.Helper()
	switch n := m.rng.IntN(100); {
	case n < 40:
		m.changeOnce(t)
	case n < 80:
		m.check(t, m.rng)
	case n < 90:
		m.commit(t)
	case n < 92:
		must(t, m.Flush(new(state.Batch)))
		m.changeOnce(t)
		m.rollback()
	case n < 94:
		m.rollback()
	case n < 96:
		// The task moves away and comes back.
		m.Close()
		m.load(m.committed)
		m.committed = m.save()
		m.open(t, m.part, m.budget)
		m.resume()
	default:
		m.expire(t, m.rng)
	}
}

func (m *naiveModel) changeOnce(t *testing.T) {
	t.Helper()
	m.clock++
	m.change(t, m.rng, m.clock)
}

func (m *naiveModel) rollback() {
	m.Rollback()
	m.load(m.committed)
	m.committed = m.save()
	m.resume()
}

func (m *naiveModel) commit(t *testing.T) {
	t.Helper()
	b := flush(t, m)
	m.committed = m.save()
	for range m.rng.IntN(4) {
		m.changeOnce(t)
	}
	must(t, m.part.Apply(b))
	m.Committed()
	m.changelog.write(b)
	live := m.save()
	m.load(m.committed)
	m.committed = m.save()
	m.checkReader(t, m.part)
	m.load(live)
}

// checkRestore replays the compacted changelog and compares the result with the partition: all rows, and all local rows
// that they need. Obsolete local rows may be missing.
func (m *naiveModel) checkRestore(t *testing.T, restored state.Partition) {
	t.Helper()
	m.changelog.restore(t, m.Spec(), restored)
	got, want := rows(t, restored.Scan(nil, nil)), rows(t, m.part.Scan(nil, nil))
	if m.exactLocalRows() {
		equal(t, got, want, "rows restored from the changelog")
		return
	}
	there := map[pair]bool{}
	for _, row := range want {
		there[row] = true
	}
	for _, row := range got {
		if !there[row] {
			t.Fatalf("restored row %q is not a row of the partition", row.key)
		}
	}
	logged := func(all []pair) []pair {
		isLocal := func(row pair) bool { return bytes.HasPrefix([]byte(row.key), []byte{1}) }
		return slices.DeleteFunc(append([]pair{}, all...), isLocal) // never nil: there may be local rows and no others
	}
	equal(t, logged(got), logged(want), "rows restored from the changelog")
}

// naiveKey returns one of a few keys, difficult ones included.
func naiveKey(rng *rand.Rand) string {
	keys := []string{"", "\x00", "\x00\xff", "a", "a\x00", "a\x00\x01", "ab", "\xff", "\xff\xff"}
	return keys[rng.IntN(len(keys))]
}

func randomText(rng *rand.Rand) string { return strings.Repeat("x", rng.IntN(40)) }

// naiveSessions holds sessions in a map.
type naiveSessions struct {
	*sessionStore
	live  map[sessionID]modelValue
	order endedModel
}

type sessionID struct {
	key     string
	session state.Session
}

func (m *naiveSessions) open(t testing.TB, part state.Partition, budget *state.Budget) {
	m.sessionStore = newSessions(t, part, budget)
}
func (m *naiveSessions) resume()              {}
func (m *naiveSessions) save() any            { return maps.Clone(m.live) }
func (m *naiveSessions) load(saved any)       { m.live, _ = saved.(map[sessionID]modelValue) }
func (m *naiveSessions) exactLocalRows() bool { return true }

func (m *naiveSessions) change(t testing.TB, rng *rand.Rand, clock int64) {
	start := rng.Int64N(30) - 5
	id := sessionID{naiveKey(rng), state.Session{Start: start, End: start + rng.Int64N(8)}}
	if rng.IntN(4) == 0 {
		must(t, m.Remove(id.key, id.session))
		delete(m.live, id)
		return
	}
	v := modelValue{randomText(rng), clock}
	must(t, m.Put(id.key, id.session, v.value, v.timestamp))
	m.live[id] = v
}

func (m *naiveSessions) check(t testing.TB, rng *rand.Rand) {
	m.ended(t, rng)
	key, earliest, latest := naiveKey(rng), rng.Int64N(40)-8, rng.Int64N(40)-8
	got := collect(t, m.FindSessions(key, earliest, latest))
	equal(t, got, m.find(key, earliest, latest), "sessions of %q from %d to %d", key, earliest, latest)
	id := sessionID{key, state.Session{Start: earliest, End: earliest + rng.Int64N(8)}}
	value, timestamp, ok, err := m.Get(id.key, id.session)
	must(t, err)
	want, wantOK := m.live[id]
	equal(t, []any{modelValue{value, timestamp}, ok}, []any{want, wantOK}, "session %v", id)
}

func (m *naiveSessions) expire(t testing.TB, rng *rand.Rand) {
	before, n := rng.Int64N(30)-5, 0
	for id := range m.live {
		if id.session.End < before {
			delete(m.live, id)
			n++
		}
	}
	got, err := m.Expire(before)
	must(t, err)
	equal(t, got, n, "sessions expired before %d", before)
}

func (m *naiveSessions) checkReader(t testing.TB, part state.Partition) {
	r := state.NewSessionReader(m.Spec().Name, codecs.String, codecs.String)
	n := 0
	for _, key := range []string{"", "\x00", "\x00\xff", "a", "a\x00", "a\x00\x01", "ab", "\xff", "\xff\xff"} {
		want := m.find(key, 0, 20)
		equal(t, collect(t, r.FindSessions(part, key, 0, 20)), want, "committed sessions of %q", key)
		n += len(m.find(key, 3, 100))
	}
	all := collect(t, r.All(part, 3, 100))
	equal(t, len(all), n, "committed sessions of all keys")
	for _, e := range all {
		equal(t, modelValue{e.Value, e.Timestamp}, m.live[sessionID{e.Key, e.Session}], "session %v of %q", e.Session, e.Key)
	}
}

func (m *naiveSessions) find(key string, earliestEnd, latestStart int64) (found []sessionRow) {
	for id, v := range m.live {
		if id.key == key && id.session.End >= earliestEnd && id.session.Start <= latestStart {
			found = append(found, sessionRow{Key: key, Session: id.session, Value: v.value, Timestamp: v.timestamp})
		}
	}
	slices.SortFunc(found, func(a, b sessionRow) int {
		if a.Session.End != b.Session.End {
			return int(a.Session.End - b.Session.End)
		}
		return int(a.Session.Start - b.Session.Start)
	})
	return found
}

func testSessionsModel(t *testing.T, e state.Engine) {
	testNaive(t, e, func() naive { return &naiveSessions{live: map[sessionID]modelValue{}} })
}
