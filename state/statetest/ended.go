package statetest

import (
	"cmp"
	"fmt"
	"iter"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/seed84377926/millrace/state"
)

// testEnded checks that windows and sessions are yielded by the time of their end, dirty ones merged in, and once each
// in consecutive ranges.
func testEnded(t *testing.T, e state.Engine) {
	part := openPartition(t, e, 0)
	s := newWindowed(t, part, nil)
	put := func(key string, start int64, value string) { must(t, s.Put(key, start, value, start)) }
	want := func(after, last int64, want ...string) {
		t.Helper()
		var got []string
		for _, row := range collect(t, s.Ended(after, last)) {
			equal(t, row.Window.End, row.Window.Start+windowSize, "end of window")
			equal(t, row.Timestamp, row.Window.Start, "timestamp of window")
			got = append(got, fmt.Sprintf("%s%d%s", row.Key, row.Window.End, row.Value))
		}
		equal(t, got, want, "windows that ended after %d and up to %d", after, last)
	}
	want(math.MinInt64, math.MaxInt64)
	put("b", 0, "x")
	put("a", 0, "x")
	put("a", 5, "x")
	put("a", 20, "x")
	want(9, 15, "a10x", "b10x", "a15x")
	want(15, 29)
	want(29, 30, "a30x")
	want(9, 10, "a10x", "b10x") // back
	commit(t, part, s)
	want(10, 29, "a15x")
	want(29, 40, "a30x")
	want(-1, 10, "a10x", "b10x")

	// Dirty rows hide committed ones, at every position of the loop.
	put("a", 5, "y")
	must(t, s.Delete("b", 0))
	put("c", 5, "y")
	put("b", 5, "y")
	want(9, 15, "a10x", "a15y", "b15y", "c15y")
	put("b", 12, "y")
	must(t, s.Delete("a", 20))
	put("0", 20, "y")
	want(15, 30, "b22y", "030y")
	s.Rollback()
	want(9, 15, "a10x", "b10x", "a15x")

	// A loop may end early, and its body may change later rows.
	for row, err := range s.Ended(0, 100) {
		must(t, err)
		equal(t, row.Key, "a", "first key")
		put("d", 50, "z")
		put("a", 20, "z")
		break
	}
	want(10, 60, "a15x", "a30z", "d60z")

	// Many rows, committed between two loops.
	for i := range int64(1000) {
		put(fmt.Sprintf("%03d", i%100), 100+i/10, "m")
	}
	batch := flush(t, s)
	put("late", 150, "l")
	must(t, part.Apply(batch))
	n := len(collect(t, s.Ended(100, 150)))
	s.Committed()
	n += len(collect(t, s.Ended(150, 160)))
	n += len(collect(t, s.Ended(160, 500)))
	equal(t, n, 1001, "windows")
	commit(t, part, s)
	s.Close()
	s = newWindowed(t, part, state.NewBudget(1))
	for end := int64(100); end < 210; end++ {
		n -= len(collect(t, s.Ended(end, end+1)))
	}
	equal(t, n, 0, "windows not seen")

	sessions := newSessions(t, part, nil)
	for _, session := range []state.Session{{Start: 3, End: 9}, {Start: 1, End: 9}, {Start: 9, End: 9}, {Start: 0, End: 10}} {
		must(t, sessions.Put("b", session, "v", session.End))
		must(t, sessions.Put("a", session, "v", session.End))
	}
	must(t, sessions.Remove("b", state.Session{Start: 1, End: 9}))
	for range 2 {
		var got []string
		for _, e := range collect(t, sessions.Ended(8, 9)) {
			got = append(got, fmt.Sprintf("%s%d-%d", e.Key, e.Session.Start, e.Session.End))
		}
		equal(t, got, []string{"a1-9", "a3-9", "b3-9", "a9-9", "b9-9"}, "sessions that ended at 9")
		commit(t, part, sessions)
	}
}

// testEncoded checks that stores answer to encoded keys as they do to keys.
func testEncoded(t *testing.T, e state.Engine) {
	part := openPartition(t, e, 0)
	key := []byte("a\x00")
	w := newWindowed(t, part, nil)
	for _, start := range []int64{0, 10, 20} {
		must(t, w.PutEncoded(key, start, "v", start))
	}
	got, err := w.FetchEncoded(nil, key, 0, 20)
	must(t, err)
	want := collect(t, w.Fetch(string(key), 0, 20))
	for i := range got {
		got[i].Key = string(key)
	}
	equal(t, got, want, "windows by encoded key")
	none, err := w.FetchEncoded(nil, key, 20, 0)
	must(t, err)
	equal(t, len(none), 0, "no windows")

	s := newSessions(t, part, nil)
	session := state.Session{Start: 1, End: 2}
	must(t, s.PutEncoded(key, session, "v", 3))
	value, timestamp, ok, err := s.GetEncoded(key, session)
	must(t, err)
	equal(t, []any{value, timestamp, ok}, []any{"v", int64(3), true}, "session by encoded key")
	found, err := s.FindSessionsEncoded(nil, key, 0, 9)
	must(t, err)
	equal(t, found, []sessionRow{{Session: session, Value: "v", Timestamp: 3}}, "sessions by encoded key")
	must(t, s.RemoveEncoded(key, session))
	equal(t, len(collect(t, s.FindSessions(string(key), 0, 9))), 0, "sessions after the removal")
	if err := s.PutEncoded(key, state.Session{Start: 2, End: 1}, "v", 0); err == nil {
		t.Fatal("a session may end before it starts")
	}
}

// endedRow is a window or a session, with the fields that an order by time compares.
type endedRow struct {
	end, start int64
	key        string
	modelValue
}

// endedModel asks a store for ended rows, mostly from the end of the previous range.
type endedModel struct{ at int64 }

func (m *endedModel) check(t testing.TB, rng *rand.Rand, all []endedRow, ended func(after, last int64) iter.Seq2[endedRow, error]) {
	t.Helper()
	if rng.IntN(4) == 0 {
		m.at = rng.Int64N(50) - 10
	}
	after, last := m.at, m.at+rng.Int64N(20)
	m.at = last
	all = slices.DeleteFunc(all, func(r endedRow) bool { return r.end <= after || r.end > last })
	slices.SortFunc(all, func(a, b endedRow) int {
		return cmp.Or(cmp.Compare(a.end, b.end), cmp.Compare(a.start, b.start), strings.Compare(a.key, b.key))
	})
	leave := rng.IntN(4) == 0
	n := rng.IntN(len(all) + 1)
	if leave {
		all = all[:n]
	}
	var got []endedRow
	for r, err := range ended(after, last) {
		must(t, err)
		if leave && len(got) == n {
			break
		}
		got = append(got, r)
	}
	if len(got) > 0 || len(all) > 0 {
		equal(t, got, all, "what ended after %d and up to %d", after, last)
	}
}

func (m *model) ended(t testing.TB) {
	t.Helper()
	s, ok := m.store.(windowSubject)
	if !ok {
		return
	}
	var all []endedRow
	for k, v := range m.live {
		all = append(all, endedRow{end: k.start + windowSize, start: k.start, key: k.key, modelValue: v})
	}
	m.order.check(t, m.rng, all, func(after, last int64) iter.Seq2[endedRow, error] {
		return func(yield func(endedRow, error) bool) {
			for e, err := range s.Ended(after, last) {
				if !yield(endedRow{e.Window.End, e.Window.Start, e.Key, modelValue{e.Value, e.Timestamp}}, err) {
					return
				}
			}
		}
	})
}

func (m *naiveSessions) ended(t testing.TB, rng *rand.Rand) {
	t.Helper()
	var all []endedRow
	for id, v := range m.live {
		all = append(all, endedRow{id.session.End, id.session.Start, id.key, v})
	}
	m.order.check(t, rng, all, func(after, last int64) iter.Seq2[endedRow, error] {
		return func(yield func(endedRow, error) bool) {
			for e, err := range m.Ended(after, last) {
				if !yield(endedRow{e.Session.End, e.Session.Start, e.Key, modelValue{e.Value, e.Timestamp}}, err) {
					return
				}
			}
		}
	})
}
