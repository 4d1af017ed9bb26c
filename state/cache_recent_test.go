package state_test

import (
	"cmp"
	"fmt"
	"iter"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/state"
)

// timedRows is a store of rows that have a key and a span of time: a window of 10 ms, or a session. The end is that of
// the store key.
type timedRows interface {
	state.Store
	state.Measured
	put(key string, w state.Window, value string) error
	remove(key string, w state.Window) error
	// find returns the rows of a key by FetchEncoded or FindSessionsEncoded, from a time on and up to another one.
	find(key string, from, to int64) ([]timedRow, error)
	expire(before int64) (int, error)
	// ended returns how many rows ended up to a time.
	ended(last int64) (int, error)
	Charged() (got, want int64)
}

type timedRow struct {
	key    string
	window state.Window
	value  string
}

type windowRows struct {
	*state.Windowed[string, string]
}

func (s windowRows) put(key string, w state.Window, value string) error {
	return s.PutEncoded([]byte(key), w.Start, value, w.Start)
}

func (s windowRows) remove(key string, w state.Window) error {
	return s.DeleteEncoded([]byte(key), w.Start)
}

func (s windowRows) find(key string, from, to int64) (rows []timedRow, err error) {
	found, err := s.FetchEncoded(nil, []byte(key), from, to)
	for _, e := range found {
		rows = append(rows, timedRow{key, e.Window, e.Value})
	}
	return rows, err
}

func (s windowRows) expire(before int64) (int, error) { return s.Expire(before) }

func (s windowRows) ended(last int64) (int, error) { return count(s.Ended(math.MinInt64, last)) }

func count[T any](all iter.Seq2[T, error]) (n int, err error) {
	for _, err := range all {
		if err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

type sessionRows struct {
	*state.Sessions[string, string]
}

func (s sessionRows) put(key string, w state.Window, value string) error {
	return s.PutEncoded([]byte(key), state.Session(w), value, w.End)
}

func (s sessionRows) remove(key string, w state.Window) error {
	return s.RemoveEncoded([]byte(key), state.Session(w))
}

func (s sessionRows) find(key string, from, to int64) (rows []timedRow, err error) {
	found, err := s.FindSessionsEncoded(nil, []byte(key), from, to)
	for _, e := range found {
		rows = append(rows, timedRow{key, state.Window(e.Session), e.Value})
	}
	return rows, err
}

func (s sessionRows) expire(before int64) (int, error) { return s.Expire(before) }

func (s sessionRows) ended(last int64) (int, error) { return count(s.Ended(math.MinInt64, last)) }

// timedKind makes stores of one kind and the spans of their rows.
type timedKind struct {
	open func(tb testing.TB, part state.Partition, budget *state.Budget) timedRows
	span func(at, length int64) state.Window
	// isFound reports whether find(from, to) finds a row.
	isFound func(w state.Window, from, to int64) bool
	gone    func(w state.Window, before int64) bool
}

var timedKinds = map[string]timedKind{
	"windows": {
		open: func(tb testing.TB, part state.Partition, budget *state.Budget) timedRows {
			tb.Helper()
			spec := state.Spec{Name: "rows", Kind: state.WindowKind, WindowSize: 10 * time.Millisecond}
			s, err := state.NewWindowed(spec, part, budget, codecs.String, codecs.String)
			require.NoError(tb, err)
			return windowRows{s}
		},
		span:    func(at, _ int64) state.Window { return state.Window{Start: at, End: at + 10} },
		isFound: func(w state.Window, from, to int64) bool { return from <= w.Start && w.Start < to },
		gone:    func(w state.Window, before int64) bool { return w.End <= before },
	},
	"sessions": {
		open: func(tb testing.TB, part state.Partition, budget *state.Budget) timedRows {
			tb.Helper()
			spec := state.Spec{Name: "rows", Kind: state.SessionKind}
			s, err := state.NewSessions(spec, part, budget, codecs.String, codecs.String)
			require.NoError(tb, err)
			return sessionRows{s}
		},
		span:    func(at, length int64) state.Window { return state.Window{Start: at - length, End: at} },
		isFound: func(w state.Window, from, to int64) bool { return from <= w.End && w.Start <= to },
		gone:    func(w state.Window, before int64) bool { return w.End < before },
	},
}

// timedModel is what a store should hold: all rows, and those at the last commit.
type timedModel struct{ now, committed map[timedRow]string }

func (m *timedModel) find(kind timedKind, key string, from, to int64) (rows []timedRow) {
	for r, value := range m.now {
		if r.key == key && kind.isFound(r.window, from, to) {
			r.value = value
			rows = append(rows, r)
		}
	}
	slices.SortFunc(rows, compareTimed)
	return rows
}

func compareTimed(a, b timedRow) int {
	return cmp.Or(cmp.Compare(a.key, b.key), cmp.Compare(a.window.End, b.window.End), cmp.Compare(a.window.Start, b.window.Start))
}

// Whatever the budget, and however commits, rollbacks and new owners come between: what is found is what there is.
func TestRecent_findsWhatThereIs(t *testing.T) {
	for name, kind := range timedKinds {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(60) {
				t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) { checkRecent(t, kind, seed) })
			}
		})
	}
}

func checkRecent(t *testing.T, kind timedKind, seed uint64) {
	t.Helper()
	dice := rand.New(rand.NewPCG(seed, 3))
	part := openMemory(t)
	budget := state.NewBudget([]int64{0, 1, 5_000, 20_000, 60_000}[seed%5])
	s := kind.open(t, part, budget)
	model := timedModel{now: map[timedRow]string{}, committed: map[timedRow]string{}}
	keys, now, scanned, finds := 1+dice.IntN(40), int64(0), int64(0), 0
	somewhere := func() (string, int64) {
		at := now - dice.Int64N(20)
		if dice.IntN(4) == 0 {
			at = now - dice.Int64N(600)
		}
		return fmt.Sprint("\x00k", dice.IntN(keys)), at
	}
	for step := range 3000 {
		now += dice.Int64N(4)
		key, at := somewhere()
		switch dice.IntN(20) {
		case 0, 1, 2, 3, 4, 5, 6, 7, 8:
			from, to := at-dice.Int64N(50), at+dice.Int64N(20)
			before := s.Stats().Scans
			got, err := s.find(key, from, to)
			require.NoError(t, err)
			require.Equal(t, model.find(kind, key, from, to), got, "step %d: %q from %d to %d", step, key, from, to)
			finds++
			scanned += s.Stats().Scans - before
		case 9, 10, 11, 12, 13, 14:
			w := kind.span(at, dice.Int64N(5))
			require.NoError(t, s.put(key, w, fmt.Sprint(step)))
			model.now[timedRow{key: key, window: w}] = fmt.Sprint(step)
		case 15, 16, 17:
			w := kind.span(at, dice.Int64N(5))
			if rows := model.find(kind, key, at, now); len(rows) > 0 {
				w = rows[dice.IntN(len(rows))].window
			}
			require.NoError(t, s.remove(key, w))
			delete(model.now, timedRow{key: key, window: w})
		default:
			disturbRecent(t, dice, kind, &s, part, budget, &model, now)
			got, want := s.Charged()
			require.Equal(t, want, got, "step %d: bytes charged", step)
		}
	}
	t.Logf("%d scans for %d finds", scanned, finds)
	if budget.Limit() == state.DefaultBudgetBytes {
		require.Less(t, scanned, int64(finds/2), "scans")
	}
	require.NoError(t, commitTimed(part, s))
	s.Close()
	require.Zero(t, budget.Used(), "bytes of the budget after Close")
}

func commitTimed(part state.Partition, s state.Store) error {
	var b state.Batch
	if err := s.Flush(&b); err != nil {
		return err
	}
	if err := part.Apply(&b); err != nil {
		return err
	}
	s.Committed()
	return nil
}

// disturbRecent does what may come between two records.
func disturbRecent(
	t *testing.T, dice *rand.Rand, kind timedKind, s *timedRows, part state.Partition, budget *state.Budget, model *timedModel, now int64,
) {
	t.Helper()
	switch dice.IntN(10) {
	case 0, 1, 2:
		require.NoError(t, commitTimed(part, *s))
		model.committed = maps.Clone(model.now)
	case 3: // rows change between the flush and the commit
		var b state.Batch
		require.NoError(t, (*s).Flush(&b))
		model.committed = maps.Clone(model.now)
		for _, r := range slices.SortedFunc(maps.Keys(model.now), compareTimed) {
			if dice.IntN(4) == 0 {
				require.NoError(t, (*s).remove(r.key, r.window))
				delete(model.now, r)
			}
			if dice.IntN(4) == 0 {
				require.NoError(t, (*s).put(r.key, r.window, "late"))
				model.now[r] = "late"
			}
		}
		require.NoError(t, part.Apply(&b))
		(*s).Committed()
	case 4:
		(*s).Rollback()
		model.now = maps.Clone(model.committed)
	case 5:
		(*s).Close()
		*s = kind.open(t, part, budget)
		model.now = maps.Clone(model.committed)
	case 6: // somebody else takes memory
		other := newCounts(t, part, budget)
		for i := range int64(20) {
			require.NoError(t, other.Put(i, i, i))
		}
		other.Close()
	case 7: // from now on the store keeps an order of time, until it is closed
		if dice.IntN(5) > 0 {
			return
		}
		want := 0
		for r := range model.now {
			if r.window.End <= now {
				want++
			}
		}
		n, err := (*s).ended(now)
		require.NoError(t, err)
		require.Equal(t, want, n, "rows ended at %d", now)
	default:
		before := now - 100 - dice.Int64N(500)
		want := 0
		for r := range model.now {
			if kind.gone(r.window, before) {
				delete(model.now, r)
				want++
			}
		}
		n, err := (*s).expire(before)
		require.NoError(t, err)
		require.Equal(t, want, n, "rows expired")
	}
}
