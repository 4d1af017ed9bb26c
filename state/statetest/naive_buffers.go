package statetest

import (
	"errors"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/state"
)

type (
	suppressBuffer = state.SuppressBuffer[string, string]
	suppressEntry  = state.SuppressEntry[string, string]
	tableUpdate    = state.TableUpdate[string]
	joinBuffer     = state.JoinBuffer[string, string]
	joinEntry      = state.JoinEntry[string, string]
	timeQueue      = state.TimeQueue[string, string]
	queueEntry     = state.QueueEntry[string, string]
)

const joinRetention = 20 // milliseconds

func newSuppress(t testing.TB, part state.Partition, budget *state.Budget) *suppressBuffer {
	t.Helper()
	spec := state.Spec{Name: "suppressed", Kind: state.SuppressKind}
	s, err := state.NewSuppressBuffer(spec, part, budget, codecs.String, codecs.String)
	must(t, err)
	return s
}

func newJoin(t testing.TB, part state.Partition, budget *state.Budget) *joinBuffer {
	t.Helper()
	spec := state.Spec{Name: "joined", Kind: state.JoinKind, Retention: joinRetention * time.Millisecond}
	s, err := state.NewJoinBuffer(spec, part, budget, codecs.String, codecs.String)
	must(t, err)
	return s
}

func newQueue(t testing.TB, part state.Partition, budget *state.Budget) *timeQueue {
	t.Helper()
	s, err := state.NewTimeQueue(state.Spec{Name: "queued", Kind: state.QueueKind}, part, budget, codecs.String, codecs.String)
	must(t, err)
	return s
}

// naiveSuppress holds entries in a map.
type naiveSuppress struct {
	*suppressBuffer
	live map[string]suppressEntry
}

func testSuppressModel(t *testing.T, e state.Engine) {
	testNaive(t, e, func() naive { return &naiveSuppress{live: map[string]suppressEntry{}} })
}

func (m *naiveSuppress) open(t testing.TB, part state.Partition, budget *state.Budget) {
	m.suppressBuffer = newSuppress(t, part, budget)
}
func (m *naiveSuppress) resume()              {}
func (m *naiveSuppress) save() any            { return maps.Clone(m.live) }
func (m *naiveSuppress) load(saved any)       { m.live, _ = saved.(map[string]suppressEntry) }
func (m *naiveSuppress) exactLocalRows() bool { return false }

func (m *naiveSuppress) change(t testing.TB, rng *rand.Rand, clock int64) {
	key, place := naiveKey(rng), clock/4-rng.Int64N(20)
	if rng.IntN(2) == 0 {
		key += string(rune('a' + rng.IntN(26)))
	}
	u := tableUpdate{Value: randomText(rng), HasValue: rng.IntN(4) > 0, Old: randomText(rng), HasOld: rng.IntN(2) == 0, Timestamp: clock}
	if rng.IntN(3) == 0 {
		u.Headers = []byte(randomText(rng))
	}
	if !u.HasValue {
		u.Value = ""
	}
	if !u.HasOld {
		u.Old = ""
	}
	must(t, m.Put(key, place, u))
	m.put(key, place, u)
	if rng.IntN(8) == 0 {
		m.evict(t, len(m.live)-1)
	}
}

// put does what Put must do.
func (m *naiveSuppress) put(key string, place int64, u tableUpdate) {
	if len(u.Headers) == 0 {
		u.Headers = nil
	}
	if there, ok := m.live[key]; ok {
		place, u.Old, u.HasOld = there.Time, there.Old, there.HasOld
	}
	m.live[key] = suppressEntry{Key: key, Time: place, TableUpdate: u}
}

// sorted returns the entries in the order in which they are emitted.
func (m *naiveSuppress) sorted() []suppressEntry {
	return slices.SortedFunc(maps.Values(m.live), func(a, b suppressEntry) int {
		if a.Time != b.Time {
			return int(a.Time - b.Time)
		}
		return strings.Compare(a.Key, b.Key)
	})
}

// bytes returns the size of the entries.
func (m *naiveSuppress) bytes() (n int64) {
	for _, e := range m.live {
		n += int64(len(e.Key) + strings.Count(e.Key, "\x00") + 2 + 8 + 1 + 8 + len(e.Value))
		if len(e.Headers) > 0 {
			n += int64(4 + len(e.Headers))
		}
		if e.HasOld {
			n += int64(4 + len(e.Old))
		}
	}
	return n
}

// evict evicts the first entries until there are no more than left, from store and model.
func (m *naiveSuppress) evict(t testing.TB, left int) {
	t.Helper()
	want := m.sorted()
	want = want[:max(0, len(want)-left)]
	got := plain(collect(t, m.EvictWhile(func(int64) bool { return m.Len() > int64(left) })))
	equal(t, len(got), len(want), "number of entries evicted")
	for i := range got {
		equal(t, got[i], want[i], "entry evicted")
		delete(m.live, got[i].Key)
	}
}

// plain makes entries comparable.
func plain(entries []suppressEntry) []suppressEntry {
	for i := range entries {
		if len(entries[i].Headers) == 0 {
			entries[i].Headers = nil
		}
	}
	return entries
}

func (m *naiveSuppress) check(t testing.TB, rng *rand.Rand) {
	key := naiveKey(rng)
	got, ok, err := m.Get(key)
	must(t, err)
	want, wantOK := m.live[key]
	equal(t, []any{plain([]suppressEntry{got})[0], ok}, []any{want, wantOK}, "entry of %q", key)
	equal(t, m.Len(), int64(len(m.live)), "number of entries")
	if rng.IntN(3) == 0 {
		equal(t, m.Bytes(), m.bytes(), "bytes of all entries")
	}
	first, ok, err := m.MinTime()
	must(t, err)
	equal(t, ok, len(m.live) > 0, "there is an entry")
	if ok {
		equal(t, first, m.sorted()[0].Time, "place of the first entry")
	}
}

func (m *naiveSuppress) expire(t testing.TB, rng *rand.Rand) {
	all := m.sorted()
	if len(all) == 0 {
		return
	}
	until := all[rng.IntN(len(all))].Time
	n := 0
	for e, err := range m.EvictWhile(func(place int64) bool { return place <= until }) {
		must(t, err)
		equal(t, plain([]suppressEntry{e})[0], all[n], "entry evicted up to %d", until)
		delete(m.live, e.Key)
		n++
	}
	equal(t, n == len(all) || all[n].Time > until, true, "all entries up to %d were evicted", until)
}

func (m *naiveSuppress) checkReader(t testing.TB, part state.Partition) {
	other := newSuppress(t, part, nil)
	equal(t, []int64{other.Len(), other.Bytes()}, []int64{int64(len(m.live)), m.bytes()}, "committed totals")
	want := m.sorted()
	equal(t, len(want), len(m.live), "entries")
	got := plain(collect(t, other.EvictWhile(func(int64) bool { return true })))
	equal(t, len(got), len(want), "committed entries")
	for i := range got {
		equal(t, got[i], want[i], "committed entry")
	}
	equal(t, []int64{other.Len(), other.Bytes()}, []int64{0, 0}, "totals of an empty buffer")
	other.Close()
}

// fetchBoth returns the records that Fetch and FetchEncoded find, which must be the same.
func fetchBoth(t testing.TB, s *joinBuffer, key string, from, to int64) []joinEntry {
	t.Helper()
	first := joinEntry{Key: "first"}
	encoded, err := s.FetchEncoded([]joinEntry{first}, []byte(key), from, to)
	must(t, err)
	equal(t, encoded[0], first, "what FetchEncoded appends to")
	for i := range encoded {
		encoded[i].Key = key
	}
	all := collect(t, s.Fetch(key, from, to))
	equal(t, encoded[1:], append([]joinEntry{}, all...), "records that FetchEncoded finds")
	return all
}

// naiveJoin holds records in a slice, in the order in which they came.
type naiveJoin struct {
	*joinBuffer
	joinTruth
}

type joinTruth struct {
	live    []joinEntry
	history int64
}

func testJoinModel(t *testing.T, e state.Engine) {
	testNaive(t, e, func() naive { return &naiveJoin{history: math.MinInt64} })
}

func (m *naiveJoin) open(t testing.TB, part state.Partition, budget *state.Budget) {
	m.joinBuffer = newJoin(t, part, budget)
}

func (m *naiveJoin) resume() {
	if m.history > math.MinInt64 {
		m.Advance(m.history + joinRetention)
	}
}
func (m *naiveJoin) save() any            { return joinTruth{slices.Clone(m.live), m.history} }
func (m *naiveJoin) load(saved any)       { m.joinTruth, _ = saved.(joinTruth) }
func (m *naiveJoin) exactLocalRows() bool { return true }

func (m *naiveJoin) change(t testing.TB, rng *rand.Rand, clock int64) {
	e := joinEntry{Key: naiveKey(rng), Timestamp: clock/4 - rng.Int64N(joinRetention*5/4), Value: randomText(rng)}
	seq, err := m.Put(e.Key, e.Timestamp, e.Value)
	if e.Timestamp < m.history {
		if !errors.Is(err, state.ErrTooOld) {
			t.Fatalf("record at %d with a history from %d: %v, want ErrTooOld", e.Timestamp, m.history, err)
		}
		return
	}
	must(t, err)
	e.Seq = seq
	for _, other := range m.live {
		equal(t, other.Seq < seq, true, "number %d comes after %d", seq, other.Seq)
	}
	m.live = append(m.live, e)
	m.Advance(e.Timestamp)
	m.history = max(m.history, e.Timestamp-joinRetention)
}

// fetch returns the records of key that are there.
func (m *naiveJoin) fetch(key string, from, to int64) (found []joinEntry) {
	for _, e := range m.live {
		if e.Key == key && e.Timestamp >= max(from, m.history) && e.Timestamp <= to {
			found = append(found, e)
		}
	}
	slices.SortStableFunc(found, func(a, b joinEntry) int { return int(a.Timestamp - b.Timestamp) })
	return found
}

func (m *naiveJoin) check(t testing.TB, rng *rand.Rand) {
	key, from := naiveKey(rng), max(m.history, 0)-5+rng.Int64N(joinRetention)
	to := from + rng.Int64N(12)
	equal(t, fetchBoth(t, m.joinBuffer, key, from, to), m.fetch(key, from, to), "records of %q from %d to %d", key, from, to)
}

func (m *naiveJoin) expire(t testing.TB, rng *rand.Rand) {
	before, limit := max(m.history, 0)+rng.Int64N(3), rng.IntN(4)
	old := 0
	for _, e := range m.live {
		if e.Timestamp < before {
			old++
		}
	}
	m.history = max(m.history, before)
	total := 0
	for {
		n, err := m.Expire(before, limit)
		must(t, err)
		total += n
		if limit > 0 && n > limit {
			t.Fatalf("%d records expired, want %d at most", n, limit)
		}
		if limit == 0 || n < limit {
			break
		}
		if rng.IntN(3) == 0 {
			// The rest is for another commit.
			m.live = slices.DeleteFunc(m.live, func(e joinEntry) bool { return e.Timestamp < before })
			m.restOf(t, before, old-total)
			return
		}
	}
	m.live = slices.DeleteFunc(m.live, func(e joinEntry) bool { return e.Timestamp < before })
	equal(t, total, old, "records expired before %d", before)
}

// restOf expires the records before a time that were left.
func (m *naiveJoin) restOf(t testing.TB, before int64, want int) {
	n, err := m.Expire(before, 0)
	must(t, err)
	equal(t, n, want, "records expired before %d that were left", before)
}

func (m *naiveJoin) checkReader(t testing.TB, part state.Partition) {
	other := newJoin(t, part, nil)
	if m.history > math.MinInt64 {
		other.Advance(m.history + joinRetention)
	}
	for key := range map[string]bool{"": true, "\x00": true, "a": true, "a\x00": true, "ab": true, "\xff": true} {
		want := m.fetch(key, math.MinInt64, math.MaxInt64)
		equal(t, fetchBoth(t, other, key, math.MinInt64, math.MaxInt64), want, "committed records of %q", key)
	}
	other.Close()
}
