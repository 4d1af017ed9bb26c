package conformance_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/topology"
	"github.com/seed84377926/millrace/topology/topologytest"
)

// Whatever the disorder, a stream-stream join never contradicts itself: no record comes out both joined and alone, none
// comes out alone before its window is over, and all come out in the end, unless they are counted as dropped. The pairs
// are the pairs of a naive definition: for records that are not late, all pairs that are near enough.
func TestStreamJoins(t *testing.T) {
	n := 100
	if testing.Short() {
		n = 30
	}
	var all joinTotal
	for _, seed := range seeds(t, n) {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			dice := rand.New(rand.NewPCG(seed, 5))
			m := newJoinModel(dice)
			t.Logf("%+v", m.joinShape)
			m.run(t, dice, seed)
			m.check(t)
			all.add(m)
		})
	}
	t.Logf("%+v", all)
}

// joinShape is a join, with its times in milliseconds.
type joinShape struct {
	kind                 string // inner, left or outer
	before, after, grace int64
	lag                  int64 // how late records come
}

// joinModel is a random run of a join, with all that happened.
type joinModel struct {
	joinShape
	arrivals []*arrival
	pairs    map[[2]*arrival]int // the step at which the pair came out
	alone    map[*arrival]int
	drops    map[*arrival]bool
}

// arrival is one record of a run.
type arrival struct {
	step int
	left bool
	now  int64 // stream time of the join, with it
	record
}

type joinTotal struct{ runs, records, pairs, alone, dropped int }

func (c *joinTotal) add(m *joinModel) {
	c.runs++
	c.records += len(m.arrivals)
	c.pairs += len(m.pairs)
	c.alone += len(m.alone)
	c.dropped += len(m.drops)
}

func newJoinModel(dice *rand.Rand) *joinModel {
	s := joinShape{kind: []string{"inner", "left", "outer"}[dice.IntN(3)]}
	s.before, s.after = dice.Int64N(12)-3, dice.Int64N(12)-3
	if s.before+s.after < 0 {
		s.before, s.after = -s.after, -s.before
	}
	s.grace = []int64{0, 0, 1, 5, 30}[dice.IntN(5)]
	s.lag = []int64{0, 3, 15, 60}[dice.IntN(4)]
	return &joinModel{
		joinShape: s, pairs: make(map[[2]*arrival]int), alone: make(map[*arrival]int), drops: make(map[*arrival]bool),
	}
}

func (s joinShape) define(b *topology.Builder) {
	ms := func(n int64) time.Duration { return time.Duration(n) * time.Millisecond }
	windows := topology.Within(0).Before(ms(s.before)).After(ms(s.after)).Grace(ms(s.grace))
	left, right := source(b, "a"), source(b, "b")
	switch s.kind {
	case "inner":
		out(left.Join("joined", right, windows, joined, codecs.String, codecs.String))
	case "left":
		out(left.LeftJoin("joined", right, windows, leftJoined, codecs.String, codecs.String))
	default:
		out(left.OuterJoin("joined", right, windows, outerJoined, codecs.String, codecs.String))
	}
}

// run pipes random records, and in the end some that let time pass.
func (m *joinModel) run(t *testing.T, dice *rand.Rand, seed uint64) {
	t.Helper()
	d := topologytest.NewDriver(t, build(t, m.define))
	disturbed := topologytest.NewDriver(t, build(t, m.define), topologytest.CommitRandomly(seed), topologytest.CacheBytes(1))
	result := topologytest.Output(d, "out", codecs.String, codecs.String)
	var outputs []record
	dropped := 0
	pipe := func(left bool, r record) {
		a := m.arrive(left, r)
		topic := "b"
		if left {
			topic = "a"
		}
		topologytest.Input(d, topic, codecs.String, codecs.String).PipeRecord(a.record)
		topologytest.Input(disturbed, topic, codecs.String, codecs.String).PipeRecord(a.record)
		interrupt(disturbed, dice)
		for _, r := range result.Drain() {
			m.came(t, a, r)
			outputs = append(outputs, r)
		}
		if n := len(d.Drops()); n > dropped {
			require.Equal(t, dropped+1, n)
			m.drops[a], dropped = true, n
		}
	}
	now := int64(0)
	for range 150 {
		switch dice.IntN(12) {
		case 0:
			now += dice.Int64N(50)
		case 1, 2, 3, 4:
			now += dice.Int64N(4)
		}
		r := record{Key: string(rune('A' + dice.IntN(2))), Timestamp: max(0, now-dice.Int64N(m.lag+1))}
		switch dice.IntN(25) {
		case 0:
			r.Key, r.NullKey = "", true
		case 1:
			r.NullValue = true
		}
		pipe(dice.IntN(2) == 0, r)
	}
	for range 6 {
		now += 1000
		pipe(true, record{Key: "end", Timestamp: now})
		pipe(false, record{Key: "end", Timestamp: now})
	}
	got := topologytest.Output(disturbed, "out", codecs.String, codecs.String).Drain()
	require.Equal(t, outputs, got, "commits, cache and interruptions change nothing")
	require.Equal(t, d.Drops(), disturbed.Drops())
}

// arrive remembers a record and gives it a value of its own.
func (m *joinModel) arrive(left bool, r record) *arrival {
	a := &arrival{step: len(m.arrivals), left: left, now: -1, record: r}
	if !a.NullValue {
		a.Value = fmt.Sprint(a.step)
	}
	m.arrivals = append(m.arrivals, a)
	for _, other := range m.arrivals {
		a.now = max(a.now, other.Timestamp)
	}
	return a
}

// came takes an output of the step of a.
func (m *joinModel) came(t *testing.T, a *arrival, r record) {
	t.Helper()
	l, right, ok := strings.Cut(strings.Trim(r.Value, "()"), ",")
	require.True(t, ok, r.Value)
	find := func(value string) *arrival {
		i := slices.IndexFunc(m.arrivals, func(a *arrival) bool { return !a.NullValue && a.Value == value })
		require.GreaterOrEqual(t, i, 0, r.Value)
		return m.arrivals[i]
	}
	if l != "null" && right != "null" {
		pair := [2]*arrival{find(l), find(right)}
		require.NotContains(t, m.pairs, pair, "the pair %s comes out twice", r.Value)
		require.True(t, a == pair[0] || a == pair[1], "the pair %s comes out with another record", r.Value)
		require.Equal(t, max(pair[0].Timestamp, pair[1].Timestamp), r.Timestamp)
		require.Equal(t, a.Key, r.Key)
		m.pairs[pair] = a.step
		return
	}
	single := find(strings.Replace(l+right, "null", "", 1))
	require.NotContains(t, m.alone, single, "%s comes out twice", r.Value)
	require.Equal(t, single.left, right == "null")
	require.Equal(t, single.Timestamp, r.Timestamp)
	require.Equal(t, [2]any{single.Key, single.NullKey}, [2]any{r.Key, r.NullKey})
	m.alone[single] = a.step
}

func (m *joinModel) check(t *testing.T) {
	t.Helper()
	paired := make(map[*arrival]bool)
	for pair := range m.pairs {
		for _, a := range pair {
			paired[a] = true
			require.NotContains(t, m.alone, a, "record %s comes out joined and alone", a.Value)
		}
	}
	for a, step := range m.alone {
		require.True(t, m.comesAlone(a))
		if !a.NullKey {
			require.Greater(t, m.arrivals[step].now, m.closes(a), "record %s comes out alone before its window is over", a.Value)
		}
	}
	for _, a := range m.arrivals {
		_, alone := m.alone[a]
		switch {
		case a.NullValue:
			require.Contains(t, m.drops, a)
		case m.comesAlone(a) && a.Key != "end":
			require.True(t, paired[a] || alone, "record %s is lost", a.Value)
		}
		if m.drops[a] {
			require.False(t, paired[a] || alone, "record %s is dropped, but comes out", a.Value)
		}
		for _, b := range m.arrivals[:a.step] {
			m.checkPair(t, a, b)
		}
	}
}

// checkPair compares the pair of a and an earlier record with the definition.
func (m *joinModel) checkPair(t *testing.T, a, earlier *arrival) {
	t.Helper()
	pair := [2]*arrival{a, earlier}
	if !a.left {
		pair = [2]*arrival{earlier, a}
	}
	l, r := pair[0], pair[1]
	_, got := m.pairs[pair]
	near := l.left != r.left && l.Key == r.Key && !l.NullKey && !r.NullKey && !l.NullValue && !r.NullValue &&
		l.Timestamp-m.before <= r.Timestamp && r.Timestamp <= l.Timestamp+m.after
	require.Equal(t, near && m.seen(earlier, a), got, "left %s @%d, right %s @%d", l.Value, l.Timestamp, r.Value, r.Timestamp)
	if late := a.Timestamp+m.grace < a.now || earlier.Timestamp+m.grace < earlier.now; near && !late {
		require.True(t, got, "left %s @%d, right %s @%d: neither is late", l.Value, l.Timestamp, r.Value, r.Timestamp)
	}
}

// comesAlone reports whether a record comes out that is joined with nothing.
func (m *joinModel) comesAlone(a *arrival) bool {
	return !a.NullValue && (m.kind == "outer" || m.kind == "left" && a.left)
}

// closes returns the last stream time at which the window of a record is open.
func (m *joinModel) closes(a *arrival) int64 {
	if a.left {
		return a.Timestamp + m.after + m.grace
	}
	return a.Timestamp + m.before + m.grace
}

// seen reports whether an earlier record was kept when it came, and is still kept when a comes.
func (m *joinModel) seen(earlier, a *arrival) bool {
	if m.comesAlone(earlier) {
		return m.closes(earlier) >= a.now
	}
	keep := max(m.closes(earlier)-earlier.Timestamp, m.before+m.after+m.grace-1)
	sideTime := int64(-1)
	for _, b := range m.arrivals[:a.step] {
		if b.left == earlier.left && !b.NullKey && !b.NullValue {
			sideTime = max(sideTime, b.Timestamp)
		}
	}
	return earlier.Timestamp+keep >= sideTime
}
