package statetest

import (
	"errors"
	"math"
	"testing"
	"time"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/state"
)

type (
	sessionStore   = state.Sessions[string, string]
	sessionRow     = state.SessionEntry[string, string]
	versionedStore = state.Versioned[string, string]
	versionRow     = state.VersionEntry[string, string]
	expiringStore  = state.Expiring[string, string]
)

const (
	retention = 20 // milliseconds of history
	ttl       = 20 // milliseconds
)

func newSessions(t testing.TB, part state.Partition, budget *state.Budget) *sessionStore {
	t.Helper()
	spec := state.Spec{Name: "sessions", Kind: state.SessionKind, Retention: time.Minute}
	s, err := state.NewSessions(spec, part, budget, codecs.String, codecs.String)
	must(t, err)
	return s
}

func newVersioned(t testing.TB, part state.Partition, budget *state.Budget) *versionedStore {
	t.Helper()
	spec := state.Spec{Name: "versions", Kind: state.VersionedKind, Retention: retention * time.Millisecond}
	s, err := state.NewVersioned(spec, part, budget, codecs.String, codecs.String)
	must(t, err)
	return s
}

func newExpiring(t testing.TB, part state.Partition, budget *state.Budget) *expiringStore {
	t.Helper()
	spec := state.Spec{Name: "expiring", Kind: state.KeyValueKind, TTL: ttl * time.Millisecond}
	s, err := state.NewExpiring(spec, part, budget, codecs.String, codecs.String)
	must(t, err)
	return s
}

func testSessions(t *testing.T, e state.Engine) {
	part := openPartition(t, e, 0)
	s := newSessions(t, part, nil)
	row := func(start, end int64) sessionRow {
		return sessionRow{Key: "a", Session: state.Session{Start: start, End: end}, Value: "v", Timestamp: end}
	}
	all := []sessionRow{row(-5, -1), row(0, 0), row(2, 9), row(4, 9), row(1, 20), row(30, math.MaxInt64)}
	for _, i := range []int{3, 0, 5, 2, 4, 1} {
		must(t, s.Put("a", all[i].Session, "v", all[i].Timestamp))
		for _, near := range []string{"", "a\x00", "a\x00\x01", "ab"} {
			must(t, s.Put(near, all[i].Session, "wrong", 0))
		}
	}
	r := state.NewSessionReader("sessions", codecs.String, codecs.String)
	check := func(committed bool) {
		t.Helper()
		find := func(earliestEnd, latestStart int64, want ...sessionRow) {
			t.Helper()
			equal(t, collect(t, s.FindSessions("a", earliestEnd, latestStart)), want, "from %d to %d", earliestEnd, latestStart)
			if committed {
				got := collect(t, r.FindSessions(part, "a", earliestEnd, latestStart))
				equal(t, got, want, "from %d to %d, as a reader sees it", earliestEnd, latestStart)
			}
		}
		find(math.MinInt64, math.MaxInt64, all...)
		find(9, 2, all[2], all[4]) // both ends belong to the session
		find(10, 2, all[4])
		find(-1, -5, all[0])
		find(0, -1)
		find(1, 0)
		find(math.MaxInt64, 30, all[5])
	}
	check(false)
	commit(t, part, s)
	check(true)
	equal(t, len(collect(t, r.All(part, 0, 20))), 3*5, "sessions of all keys by end")
	equal(t, collect(t, r.All(part, 0, 20))[0].Key, "", "first key by end")
	value, timestamp, ok, err := r.Get(part, "a", state.Session{Start: 2, End: 9})
	must(t, err)
	equal(t, []any{value, timestamp, ok}, []any{"v", int64(9), true}, "one session")

	must(t, s.Remove("a", state.Session{Start: 2, End: 9}))
	must(t, s.Remove("a", state.Session{Start: 2, End: 8})) // is none
	equal(t, collect(t, s.FindSessions("a", 0, 3)), []sessionRow{all[1], all[4]}, "after a removal")
	s.Rollback()
	check(true)
	if err := s.Put("a", state.Session{Start: 2, End: 1}, "v", 0); err == nil {
		t.Fatal("a session may end before it starts")
	}

	for _, step := range []struct {
		before int64
		want   int
	}{{-1, 0}, {0, 5}, {9, 5}, {10, 10}, {10, 0}, {math.MaxInt64, 5}} {
		n, err := s.Expire(step.before)
		must(t, err)
		equal(t, n, step.want, "sessions expired before %d", step.before)
	}
	commit(t, part, s)
	equal(t, len(rows(t, part.Scan(nil, nil))), 2*5, "rows of the partition")
}

func testVersioned(t *testing.T, e state.Engine) {
	part := openPartition(t, e, 0)
	s := newVersioned(t, part, nil)
	r := state.NewVersionReader("versions", codecs.String, codecs.String)
	must(t, s.Put("a", "first", 10))
	must(t, s.Put("a", "third", 30))
	must(t, s.Delete("a", 25))
	must(t, s.Put("a", "second", 20))
	must(t, s.Put("a\x00", "near", 10))
	for _, when := range []string{"dirty", "committed", "reopened"} {
		for at, want := range map[int64]string{
			9: "", 10: "first", 19: "first", 20: "second", 24: "second", 25: "", 29: "", 30: "third", math.MaxInt64: "third",
		} {
			value, _, ok, err := s.GetAsOf("a", at)
			must(t, err)
			equal(t, []any{value, ok}, []any{want, want != ""}, "%s: value at %d", when, at)
			if when == "dirty" {
				continue
			}
			value, _, ok, err = r.GetAsOf(part, "a", at)
			must(t, err)
			equal(t, []any{value, ok}, []any{want, want != ""}, "%s: value at %d that a reader sees", when, at)
		}
		equal(t, collect(t, s.Versions("a", 15, 31)), []versionRow{
			{Key: "a", Value: "first", ValidFrom: 10, ValidTo: 20},
			{Key: "a", Value: "second", ValidFrom: 20, ValidTo: 25},
			{Key: "a", Value: "third", ValidFrom: 30, ValidTo: math.MaxInt64},
		}, "%s: versions", when)
		if when == "dirty" {
			commit(t, part, s)
		} else {
			s.Close()
			s = newVersioned(t, part, nil)
			s.Advance(30)
		}
	}

	// History is 20 ms long, and begins at 10 now. An older change is refused and changes nothing.
	equal(t, s.HistoryStart(), int64(10), "start of history")
	for _, err := range []error{s.Put("a", "too old", 9), s.Delete("a", 9)} {
		if !errors.Is(err, state.ErrTooOld) {
			t.Fatalf("change before history: %v, want ErrTooOld", err)
		}
	}
	equal(t, flush(t, s).Len(), 0, "rows of changes that were refused")
	must(t, s.Put("a", "oldest", 10))
	must(t, s.Put("b", "later", 45))
	value, from, ok, err := s.GetAsOf("a", 24)
	must(t, err)
	equal(t, []any{value, from, ok}, []any{"", int64(0), false}, "value before a history from 25")
	value, _, ok, err = s.GetAsOf("a\x00", 24)
	must(t, err)
	equal(t, []any{value, ok}, []any{"near", true}, "value before history that is valid in it as well")

	// After a rollback, history begins where it did before.
	s.Rollback()
	equal(t, s.HistoryStart() <= 10, true, "start of history after the rollback")
	s.Advance(45)
	n, err := s.Expire(s.HistoryStart())
	must(t, err)
	equal(t, n, 2, "versions expired")
	commit(t, part, s)
	equal(t, collect(t, r.Versions(part, "a", 0, 100)), []versionRow{
		{Key: "a", Value: "third", ValidFrom: 30, ValidTo: math.MaxInt64},
	}, "versions left")

	// Nothing is left of a deleted key once history begins later.
	must(t, s.Delete("a", 50))
	must(t, s.Delete("a\x00", 51))
	must(t, s.Delete("never there", 52))
	commit(t, part, s)
	value, _, ok, err = r.Get(part, "a")
	must(t, err)
	equal(t, []any{value, ok}, []any{"", false}, "value of a deleted key")
	n, err = s.Expire(52)
	must(t, err)
	equal(t, n, 4, "rows expired: two versions, the deletions at 52 and, cut off by the version after it, at 30")
	commit(t, part, s)
	equal(t, len(rows(t, part.Scan(nil, nil))), 0, "rows of the partition")
	if err := s.Put("a", "never", math.MaxInt64); err == nil {
		t.Fatal("a version may begin at the end of time")
	}
}

func testExpiring(t *testing.T, e state.Engine) {
	part := openPartition(t, e, 0)
	s := newExpiring(t, part, nil)
	wantKeys := func(want ...string) {
		t.Helper()
		var got []string
		for _, e := range collect(t, s.Range(nil, nil)) {
			got = append(got, e.Key)
		}
		equal(t, got, want, "keys alive")
	}
	for i, key := range []string{"", "a", "b", "c"} {
		must(t, s.Put(key, key, int64(i)))
	}
	s.Advance(ttl + 1) // passes the timestamp 0 by more than the TTL, but not 1
	wantKeys("a", "b", "c")
	_, _, ok, err := s.Get("")
	must(t, err)
	equal(t, ok, false, "a row that stream time has passed is there")
	commit(t, part, s)
	equal(t, len(rows(t, part.Scan(nil, nil))), 8, "rows and local rows")

	// A change moves the local row.
	must(t, s.Put("a", "later", 9))
	b := commit(t, part, s)
	equal(t, []int{b.Len(), localRows(b)}, []int{3, 2}, "rows of the batch")
	n, err := s.Expire(3)
	must(t, err)
	equal(t, n, 2, "rows expired")
	wantKeys("a", "c")

	// After a rollback, the rows of the last commit exist again, and expire again.
	s.Rollback()
	wantKeys("a", "b", "c")
	n, err = s.Expire(3)
	must(t, err)
	equal(t, n, 2, "rows expired again")
	commit(t, part, s)
	equal(t, len(rows(t, part.Scan(nil, nil))), 4, "rows and local rows")
	n, err = s.Expire(3)
	must(t, err)
	equal(t, n, 0, "rows expired without any")

	// When a row is changed without being read first, its old local row stays until Expire reads it.
	s.Close()
	s = newExpiring(t, part, nil)
	must(t, s.Put("a", "latest", 30))
	must(t, s.Delete("c"))
	commit(t, part, s)
	equal(t, len(rows(t, part.Scan(nil, nil))), 4, "rows and local rows, two of them left over")
	n, err = s.Expire(30)
	must(t, err)
	equal(t, n, 0, "rows expired that are not old")
	b = commit(t, part, s)
	equal(t, []int{b.Len(), localRows(b)}, []int{2, 2}, "rows of the batch")
	equal(t, len(rows(t, part.Scan(nil, nil))), 2, "rows and local rows")
	wantKeys("a")

	// A row that the store knows never leaves an obsolete local row.
	for timestamp := int64(31); timestamp < 35; timestamp++ {
		must(t, s.Put("a", "known", timestamp))
		commit(t, part, s)
		equal(t, len(rows(t, part.Scan(nil, nil))), 2, "rows and local rows after a change at %d", timestamp)
	}
	// Nor does it lose its own local row when it goes back to a timestamp that Expire has read in between.
	must(t, s.Put("a", "newer", 50))
	n, err = s.Expire(40)
	must(t, err)
	equal(t, n, 0, "rows expired that were changed")
	must(t, s.Put("a", "as before", 34))
	commit(t, part, s)
	equal(t, len(rows(t, part.Scan(nil, nil))), 2, "rows and local rows")
	n, err = s.Expire(41)
	must(t, err)
	equal(t, n, 1, "rows expired")
	commit(t, part, s)
	equal(t, len(rows(t, part.Scan(nil, nil))), 0, "rows and local rows")
}

// testRestoreKinds checks that restored stores continue like the original ones.
func testRestoreKinds(t *testing.T, e state.Engine) {
	part, restored := openPartition(t, e, 0), openPartition(t, e, 1)
	sessions, versions, expiring := newSessions(t, part, nil), newVersioned(t, part, nil), newExpiring(t, part, nil)
	layout, err := state.NewLayout(sessions.Spec(), versions.Spec(), expiring.Spec())
	must(t, err)
	for i := range int64(10) {
		must(t, sessions.Put("k", state.Session{Start: i - 1, End: i}, "v", i))
		must(t, versions.Put("k", "v", i))
		must(t, expiring.Put(string(rune('a'+i)), "v", i))
	}
	replay(t, layout, restored, commit(t, part, sessions, versions, expiring))
	equal(t, rows(t, restored.Scan(nil, nil)), rows(t, part.Scan(nil, nil)), "rows restored")
	must(t, expiring.Put("a", "later", 9))
	must(t, expiring.Delete("b"))
	replay(t, layout, restored, commit(t, part, expiring))

	sessions, versions, expiring = newSessions(t, restored, nil), newVersioned(t, restored, nil), newExpiring(t, restored, nil)
	for name, expire := range map[string]func(int64) (int, error){
		"sessions": sessions.Expire, "versions": versions.Expire, "rows": expiring.Expire,
	} {
		n, err := expire(5)
		must(t, err)
		equal(t, n, map[string]int{"sessions": 5, "versions": 5, "rows": 3}[name], "%s expired after restore", name)
	}
	commit(t, restored, sessions, versions, expiring)
	// 5 sessions, 5 versions, 6 rows. One version is valid now and has no local row.
	equal(t, len(rows(t, restored.Scan(nil, nil))), 5*2+5*2-1+6*2, "rows and local rows left")
}
